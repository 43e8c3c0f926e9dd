#!/bin/bash
# For tests of quorate-sim's command line, which source it: a scratch directory, fail, expect.
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# expect STATUS TEXT COMMAND...: the exit status, and a basic regular expression in what it prints.
expect() {
  local status="$1" text="$2" got=0
  shift 2
  "$@" >"$scratch/out" 2>&1 || got=$?
  [ "$got" = "$status" ] || fail "$* ended with $got, not $status: $(tail -5 "$scratch/out")"
  grep -q -e "$text" "$scratch/out" || fail "$* does not say '$text': $(tail -5 "$scratch/out")"
}
