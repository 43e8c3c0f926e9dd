"""Bazel 4.2.3's own provider under a name that can be exported again."""

BuiltinCcInfo = CcInfo  # buildifier: disable=native-cc-info
