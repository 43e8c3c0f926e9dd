#!/usr/bin/env python3
"""Writes compile_commands.json at the workspace root from Bazel's own actions.

Usage: tools/compile_commands.py [BAZEL_OPTION ...]
"""
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Options that g++ takes and clang's tools do not.
GCC_ONLY = {"-fno-canonical-system-headers", "-Wno-tsan"}


def main():
    query = 'mnemonic("CppCompile", deps(//...))'
    out = subprocess.run(
        ["bazel", "aquery", "--config=opt", "--output=jsonproto", *sys.argv[1:], query],
        cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    execution_root = subprocess.run(
        ["bazel", "info", "execution_root"], cwd=ROOT, check=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()
    commands = {}
    for action in json.loads(out).get("actions", []):
        arguments = [a for a in action["arguments"] if a not in GCC_ONLY]
        source = arguments[arguments.index("-c") + 1]
        if source.startswith("external/"):
            continue
        commands[source] = {
            "directory": execution_root,
            "file": source if source.startswith("bazel-out") else os.path.join(ROOT, source),
            "arguments": arguments,
        }
    path = os.path.join(ROOT, "compile_commands.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump([commands[s] for s in sorted(commands)], f, indent=1)
    print(f"{path}: {len(commands)} files")


if __name__ == "__main__":
    main()
