#!/usr/bin/env python3
"""Real etcd binaries, to compare with: Debian's, and a newer release as a Go module.

As a command it unpacks Debian's (what tools/install_packages.sh does for the tests) and
prints the path. Nothing is installed: Debian's package would start a service.
"""
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import debian as packages  # noqa: E402

MODULE_SOURCE = os.path.join(ROOT, "tests/clients/etcd")
MODULE = os.path.join(packages.CACHE, "etcd/module/etcd")


class EtcdError(Exception):
    """Something a user can act on; the message says what."""


def version(binary):
    """'3.4.23' of a binary."""
    out = subprocess.run([binary, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, check=False).stdout
    match = re.search(r"etcd Version: (\S+)", out)
    if not match:
        raise EtcdError(f"{binary} does not say which etcd it is: {out.strip()[:200]}")
    return match[1]


def debian():
    """Path of Debian's etcd, unpacked into the cache."""
    try:
        return packages.unpacked("etcd-server", "etcd", "etcd")
    except packages.DebianError as e:
        raise EtcdError(str(e)) from e


def module():
    """Path of the etcd that tests/clients/etcd/go.mod names, built if it is not yet."""
    go = shutil.which("go")
    if not go:
        raise EtcdError("etcd as a Go module needs Go, which is not on this machine")
    os.makedirs(os.path.dirname(MODULE), exist_ok=True)
    done = subprocess.run([go, "build", "-mod=readonly", "-o", MODULE, "."], cwd=MODULE_SOURCE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise EtcdError("cannot build tests/clients/etcd:\n" + done.stdout)
    return MODULE


def main():
    try:
        print(debian())
    except (EtcdError, OSError, subprocess.CalledProcessError) as e:
        print(f"etcd: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
