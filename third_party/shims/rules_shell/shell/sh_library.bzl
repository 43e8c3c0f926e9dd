"""The built-in sh_library under rules_shell's name."""

sh_library = native.sh_library
