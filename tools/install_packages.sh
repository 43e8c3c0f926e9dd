#!/bin/bash
# Installs the Debian packages that are missing: the build's always, and those of the
# groups named as arguments (test, bench). Quiet and quick when nothing is missing.
set -euo pipefail

build=(bazel-bootstrap bazel-rules-java bazel-rules-proto bazel-skylib bazel-platforms
  g++ git libabsl-dev libprotobuf-dev protobuf-compiler libuv1-dev libnghttp2-dev
  libssl-dev libcrypt-dev libisal-dev libboost-dev libcli11-dev nlohmann-json3-dev libfmt-dev
  librapidcheck-dev libgtest-dev libgmock-dev libbenchmark-dev libraft-dev)
run=(etcd-client curl python3)
test=(clang-format-14 shellcheck binutils)
full=(clang-14 clang-tidy-14 libclang-rt-14-dev llvm-14)

wanted=("${build[@]}")
for group in "$@"; do
  case "$group" in
    run) wanted+=("${run[@]}") ;;
    test) wanted+=("${run[@]}" "${test[@]}") ;;
    full) wanted+=("${run[@]}" "${test[@]}" "${full[@]}") ;;
    *) echo "install_packages: unknown group '$group'" >&2; exit 2 ;;
  esac
done

missing=()
for package in "${wanted[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || {
    echo "install_packages: these packages are missing and there is no sudo: ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi
echo "installing ${#missing[@]} Debian packages: ${missing[*]}"
log=$(mktemp)
if ! { "${as_root[@]}" apt-get update -q &&
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "install_packages: apt-get failed; its whole output is in $log" >&2
  exit 1
fi
rm -f "$log"
