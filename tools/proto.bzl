"""C++ classes from .proto files by the system's protoc.

Bazel 4.2.3's proto_library wants a repository that cannot be had offline, so
this macro runs /usr/bin/protoc itself.
"""

load("@rules_cc//cc:defs.bzl", "cc_library")

def quorate_cc_proto(name, srcs, deps = [], proto_deps = [], visibility = None):
    """Generates and compiles the classes of some .proto files.

    Args:
      name: the cc_library.
      srcs: .proto files of this package; they import each other by their path
        from the workspace root.
      deps: cc_library targets of imported packages.
      proto_deps: .proto files that srcs import from elsewhere.
      visibility: as usual.
    """
    headers = [s.replace(".proto", ".pb.h") for s in srcs]
    sources = [s.replace(".proto", ".pb.cc") for s in srcs]
    native.genrule(
        name = name + "_gen",
        srcs = srcs + proto_deps,
        outs = headers + sources,
        cmd = "/usr/bin/protoc -I. --cpp_out=$(GENDIR) " +
              " ".join(["$(location %s)" % s for s in srcs]),
        message = "protoc",
    )
    cc_library(
        name = name,
        srcs = sources,
        hdrs = headers,
        # Generated code is not held to our warnings.
        copts = ["-w"],
        visibility = visibility,
        deps = deps + ["@sys//:protobuf"],
    )
