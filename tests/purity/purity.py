#!/usr/bin/env python3
"""The engine is a function: its object code may reach nothing but memory and arithmetic.

Reads the undefined symbols of the archives given (the engine with base and api) and
fails on any that is not defined among them and not on the allow-list below: no clock,
randomness, thread, lock, socket, file or environment.
"""
import re
import subprocess
import sys

ALLOWED = [
    # memory and strings
    r"operator (new|delete)(\[\])?\(.*\)", r"mem(cpy|move|set|cmp|chr)", r"bcmp", r"str(len|cmp|chr)",
    r"__memcpy_chk|__memset_chk|__memmove_chk",
    # the compiler's own run-time
    r"_Unwind_Resume", r"__gxx_personality_v0", r"__stack_chk_fail", r"__cxa_(?!guard|thread)\w+", r"__dso_handle",
    r"_GLOBAL_OFFSET_TABLE_", r"__tls_get_addr", r"(vtable|typeinfo|VTT|guard variable)( name)? for .*",
    r"__dynamic_cast", r"__udivti3|__umodti3|__divti3|__modti3",
    # std::shared_ptr asks whether it may count without atomics
    r"__libc_single_threaded",
    # sanitizers, when the archives come from such a build
    r"__(asan|ubsan|tsan|sanitizer)_\w+",
    # containers, strings, exceptions
    r"std::__throw_\w+\(.*\)", r"std::__cxx11::basic_string<.*", r"std::__detail::.*",
    r"std::basic_string_view<.*", r"std::_Rb_tree_(in|de)crement.*",
    r"std::_Rb_tree_(insert_and_)?rebalance.*", r"std::terminate\(\)", r"std::exception::.*",
    r"std::(logic_error|runtime_error|length_error|out_of_range|bad_\w+|invalid_argument)::.*",
    r"std::_Hash_bytes\(.*", r"std::__shared_ptr.*", r"std::_Sp_.*", r"std::nothrow",
    r"std::get_(new_handler|unexpected)\(\)", r"std::uncaught_exceptions?\(\)",
    r"std::bad_function_call::.*",
    # values of Abseil and Protobuf
    r"absl::(?:(?:lts_|debian)\d+::)?(strings_internal|str_format_internal|status_internal|hash_internal|"
    r"container_internal|base_internal|numbers_internal|internal_statusor|cord_internal|"
    r"inlined_vector_internal|optional_internal|variant_internal|inline_variable_internal|"
    r"raw_logging_internal|string_view_internal)::.*",
    r"absl::(?:(?:lts_|debian)\d+::)?(Status|StatusOr|string_view|Cord|StrCat|StrAppend|StrContains|StrReplaceAll|"
    r"StrSplit|CEscape|CHexEscape|Utf8SafeCEscape|BytesToHexString|HexStringToBytes|SimpleAtoi|"
    r"StatusCodeToString|StartsWith|EndsWith|ByString|ByChar|StartsWithIgnoreCase|Base64\w+|"
    r"WebSafeBase64\w+|AsciiStr\w+|StripAsciiWhitespace|AlphaNum|uint128|int128|operator\S+|"
    r"\w+Error|Is[A-Z]\w+|throw_delegate\w*)\b.*",
    r"(bool |std::ostream& )?absl::.*\boperator(==|<|<<).*",
    r"google::protobuf::.*",
    # assertions in the headers of Abseil, in builds without NDEBUG
    r"__assert_fail",
    # checksums, and whether the processor has an instruction for them
    r"crc32_iscsi",
    r"__cpu_model",
]

# Inside what is allowed above, these are not.
FORBIDDEN = [
    r"absl::.*(Mutex|SpinLock|Now\(|GetCurrentTime|SleepFor|BitGen|random_internal|ThreadIdentity)",
    r"std::.*(chrono|random_device|thread|mutex|condition_variable|fstream|filebuf|future|"
    r"cout|cerr|cin\b)",
    r"absl::.*(FILE|FlagImpl|GetTID|GetEnv|Mmap|LowLevelAlloc)",
    r"google::protobuf::.*(FileInputStream|FileOutputStream|DiskSourceTree|MutexLock|TimeUtil|"
    r"FileDescriptor\(int|ToFileDescriptor|FromFileDescriptor|ostream|istream|compiler::|Importer)",
]

# Symbol -> the only object that may want it, and why.
EXCEPTIONS = {
    "abort": (r"check(\.pic)?\.o", "a failed CHECK ends the process"),
    "fputs": (r"check(\.pic)?\.o", "and says why"),
    "stderr": (r"check(\.pic)?\.o", "and says why"),
}


def symbols(archive, option):
    """(object, demangled name) of each symbol of one kind."""
    out = subprocess.run(["nm", "-C", "-A", "-P", option, archive], check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    for line in out.splitlines():
        match = re.match(r".*\[(?P<object>[^\]]+)\]: (?P<rest>.*)$", line)
        if not match:
            continue
        name = re.match(r"(.*?) [A-Za-z?-](?: [0-9a-f]*)*$", match["rest"])
        yield match["object"], (name[1] if name else match["rest"]).strip()


def judge(name, member):
    if name.startswith("std::ios_base::Init::"):
        return True  # Abseil's status.h and Protobuf's headers include <iostream>
    if name in EXCEPTIONS:
        return re.fullmatch(EXCEPTIONS[name][0], member) is not None
    if any(re.search(p, name) for p in FORBIDDEN):
        return False
    return any(re.fullmatch(p, name) for p in ALLOWED)


def main(archives):
    if not archives:
        sys.exit("purity: no archives given")
    defined = set()
    wanted = {}
    for archive in archives:
        defined.update(name for _, name in symbols(archive, "--defined-only"))
        for member, name in symbols(archive, "--undefined-only"):
            wanted.setdefault(name, set()).add(member)
    if not wanted or not defined:
        sys.exit("purity: no symbols in " + " ".join(archives))
    bad = [(name, member) for name, members in wanted.items() if name not in defined
           for member in sorted(members) if not judge(name, member)]
    for name, member in sorted(bad):
        print(f"{member}: {name}")
    print(f"purity: {len(archives)} archives, {len(wanted)} symbols wanted, {len(bad)} not allowed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
