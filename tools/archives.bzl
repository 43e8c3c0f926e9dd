"""The static archives that some libraries link, for tests that look into objects."""

load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")

def _static_archives_impl(ctx):
    files = []
    for dep in ctx.attr.deps:
        for linker_input in dep[CcInfo].linking_context.linker_inputs.to_list():
            for library in linker_input.libraries:
                archive = library.pic_static_library or library.static_library
                if archive:
                    files.append(archive)
    return [DefaultInfo(
        files = depset(files),
        runfiles = ctx.runfiles(files = files),
    )]

static_archives = rule(
    implementation = _static_archives_impl,
    attrs = {"deps": attr.label_list(providers = [CcInfo])},
    doc = "All static archives of `deps` and of what they depend on, system libraries left out.",
)
