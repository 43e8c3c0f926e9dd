#!/bin/bash
# Installs the Debian packages that are missing: the build's always, and those of the
# groups named as arguments (test, bench). Quiet and quick when nothing is missing.
set -euo pipefail

build=(bazel-bootstrap bazel-rules-java bazel-rules-proto bazel-skylib bazel-platforms
  g++ git libabsl-dev libprotobuf-dev protobuf-compiler libuv1-dev libnghttp2-dev
  libssl-dev libcrypt-dev libisal-dev libboost-dev libcli11-dev nlohmann-json3-dev libfmt-dev libyaml-cpp-dev zlib1g-dev
  librapidcheck-dev libgtest-dev libgmock-dev libbenchmark-dev libraft-dev libtcmalloc-minimal4)
run=(etcd-client curl python3)
test=(clang-format-14 shellcheck binutils chromium openssl)
full=(clang-14 clang-tidy-14 libclang-rt-14-dev llvm-14
  jupyter-nbconvert python3-ipykernel python3-matplotlib)

wanted=("${build[@]}")
with_etcd=""
with_promtool=""
for group in "$@"; do
  case "$group" in
    run) wanted+=("${run[@]}") ;;
    test) wanted+=("${run[@]}" "${test[@]}"); with_etcd=yes ;;
    full) wanted+=("${run[@]}" "${test[@]}" "${full[@]}"); with_etcd=yes; with_promtool=yes ;;
    *) echo "install_packages: unknown group '$group'" >&2; exit 2 ;;
  esac
done

as_root=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Runs a command as root, its output in the log; shows the end of it on failure.
run_as_root() {
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
      echo "install_packages: this needs root, and there is no sudo: $*" >&2
      exit 1
    }
    as_root=(sudo)
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "$@" >>"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    echo "install_packages: failed: $*" >&2
    exit 1
  }
}

missing=()
for package in "${wanted[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${#missing[@]} Debian packages: ${missing[*]}"
  run_as_root apt-get update -q
  run_as_root apt-get install -q -y --no-install-recommends "${missing[@]}"
fi

# Real etcd for the comparison, and promtool, are only unpacked: their packages would start
# services.
unpack() {
  local tool
  tool=$(dirname "$0")/$1
  python3 "$tool" >/dev/null 2>&1 || {
    run_as_root apt-get update -q
    python3 "$tool" >/dev/null
  }
}
[ -z "$with_etcd" ] || unpack etcd.py
[ -z "$with_promtool" ] || unpack promtool.py
