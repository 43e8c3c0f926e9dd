#!/usr/bin/env python3
"""Prometheus' promtool, which judges metrics and alert rules.

As a command it unpacks Debian's (what tools/install_packages.sh does for the full run) and prints
the path.
"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import debian  # noqa: E402


def find():
    """Its path, or None where it is not."""
    cached = os.path.join(debian.CACHE, "prometheus/debian/usr/bin/promtool")
    return shutil.which("promtool") or (cached if os.path.exists(cached) else None)


def main():
    try:
        print(find() or debian.unpacked("prometheus", "prometheus", "promtool"))
    except (debian.DebianError, OSError, subprocess.CalledProcessError) as e:
        print(f"promtool: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
