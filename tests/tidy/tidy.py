#!/usr/bin/env python3
"""Rules of the house that no compiler checks: sizes, banned calls, include arrows,
and values that depend on the order of evaluation (evaluation_order.py).

A ratchet, not a wall: files somewhat over the line fail, those that deserve to be
long are listed with the reason.
"""
import os
import re
import subprocess
import sys

import evaluation_order

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAX_FILE_LINES = 600
MAX_COLUMNS = 100

# Path -> why it is long.
LONG_FILES = {}

# Folder -> what it may not mention, and what to use instead. Comments are left out.
BANNED = {
    ("base/", "engine/", "io/", "storage/", "server/", "sim/"): [
        (r"std::chrono|gettimeofday|clock_gettime|\btime\(nullptr\)", "io::Loop's Now()"),
        (r"std::random_device|\brand\(\)|std::mt19937|std::uniform_|std::normal_dist|"
         r"std::exponential_dist", "base/prng.h"),
        (r"std::thread|std::mutex|pthread_|std::condition_variable|std::async", "io::Compute"),
        (r"\bgetenv\(|std::getenv", "flags, parsed in a main"),
        (r"absl::Now\(|absl::GetCurrentTime", "io::Loop's Now()"),
        (r"__rdtsc|_rdrand\d|_rdseed\d|\basm\b|__asm__", "nothing: no symbol would show it"),
        (r"#include <uv\.h>", "the interfaces in io/"),
    ],
    ("base/", "engine/", "storage/", "server/", "sim/", "io/"): [
        (r"\bassert\(", "CHECK, which stays on"),
        (r"using namespace std", "qualified names"),
        (r"\bTODO\b|\bFIXME\b|\bXXX\b", "an issue, or the finished thing"),
    ],
    ("engine/",): [
        (r"\bdouble\b|\bfloat\b", "integers: no floating point in the engine"),
        (r"#include \"(storage|server|io|sim)/", "nothing: the engine knows none of them"),
    ],
    ("storage/",): [(r"#include \"(server|sim|io/uv)/", "nothing: storage knows none of them")],
    ("server/",): [(r"#include \"(sim|io/uv)/", "io's interfaces")],
    ("sim/",): [(r"#include \"io/uv/", "nothing: the simulator implements io itself")],
}
# Files that are a binary's edge: they may touch the real world.
EDGES = re.compile(r"(^|/)main\.cc$|^io/uv/|^base/check\.cc$")


def tracked(*patterns):
    out = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return sorted(f for f in out.splitlines() if os.path.isfile(os.path.join(ROOT, f)))


def strip_comments(text):
    """Blanks out comments and string literals but keeps the line structure."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)

    def blank(match):
        token = match.group(0)
        if token.startswith('"'):
            before = text.rfind("\n", 0, match.start()) + 1
            if text[before:match.start()].lstrip().startswith("#include"):
                return token
        return re.sub(r"[^\n]", " ", token)

    return pattern.sub(blank, text)


def check_file(path, problems):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        text = f.read()
    lines = text.splitlines()
    if len(lines) > MAX_FILE_LINES and path not in LONG_FILES:
        problems.append(f"{path}: {len(lines)} lines; split it at a seam (limit {MAX_FILE_LINES})")
    if not path.startswith("tests/"):
        for number, line in enumerate(lines, 1):
            if len(line) > MAX_COLUMNS and "http" not in line:
                problems.append(f"{path}:{number}: {len(line)} columns (limit {MAX_COLUMNS})")
    if path.endswith(".h"):
        guard = "QUORATE_" + re.sub(r"[/.]", "_", path).upper() + "_"
        if f"#define {guard}" not in text:
            problems.append(f"{path}: include guard should be {guard}")
    for number, what in evaluation_order.problems(text):
        problems.append(f"{path}:{number}: {what}: compilers differ in which comes first")
    if EDGES.search(path):
        return
    code = strip_comments(text)
    for folders, rules in BANNED.items():
        if not path.startswith(folders):
            continue
        for pattern, instead in rules:
            for match in re.finditer(pattern, code):
                number = code.count("\n", 0, match.start()) + 1
                problems.append(f"{path}:{number}: '{match.group(0)}'; use {instead}")


def check_build_file(path, problems):
    """The aliases at the top are public, for workspaces that build on this one: through them any
    package here could use what the visibility of its target denies it."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if re.search(r'"//:(?!__|docs/)', line.split("#")[0]):
                problems.append(f"{path}:{number}: an alias of the top; name the target itself")


def main():
    problems = []
    for path in tracked("*/BUILD.bazel"):
        if not path.startswith("examples/external/"):
            check_build_file(path, problems)
    files = tracked("*.h", "*.cc")
    for path in files:
        check_file(path, problems)
    for path, _ in LONG_FILES.items():
        if path not in files:
            problems.append(f"{path}: listed as long but is not there")
    for problem in problems:
        print(problem)
    print(f"tidy: {len(files)} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
