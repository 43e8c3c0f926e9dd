#!/bin/bash
# What quorate-sim promises on its command line: exit statuses, files, clear errors.
set -euo pipefail
sim="$1"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# expect STATUS TEXT COMMAND...: the exit status, and a text in what it prints.
expect() {
  local status="$1" text="$2" got=0
  shift 2
  "$@" >"$scratch/out" 2>&1 || got=$?
  [ "$got" = "$status" ] || fail "$* ended with $got, not $status: $(tail -5 "$scratch/out")"
  grep -q -e "$text" "$scratch/out" || fail "$* does not say '$text': $(tail -5 "$scratch/out")"
}

expect 2 "subcommand" "$sim"
expect 2 "nonsense" "$sim" run --nonsense
expect 2 "neither N nor A..B" "$sim" run --seeds 5..x
expect 2 "neither N nor A..B" "$sim" run --seeds 9..3
expect 2 "unknown profile 'calm'; there are: default" "$sim" run --profile calm --seeds 1
expect 2 "seed" "$sim" replay
expect 2 "cannot write $scratch/no/junit.xml" "$sim" run --seeds 1..1000000 \
  --junit "$scratch/no/junit.xml"
expect 0 "leader-kill" "$sim" profiles

# A campaign, its files, and a bound that ends one.
expect 0 '"violations": 0' "$sim" run --seeds 1..3 --jobs 2 --profile quiet --json \
  --junit "$scratch/junit.xml"
[ "$(grep -c '<testcase ' "$scratch/junit.xml")" = 3 ] || fail "not a case a seed"
expect 0 "S5 determinism  *2" "$sim" run --seeds 4..5 --profile quiet --verify-determinism
expect 3 "0 with violations" "$sim" run --seeds 1..1000000 --profile quiet --max-seconds 1

# A replay prints the trace that its digest is of, the same every time.
expect 0 "# digest" "$sim" replay --seed 7 --profile quiet
cp "$scratch/out" "$scratch/first"
expect 0 "# digest" "$sim" replay --seed 7 --profile quiet
cmp "$scratch/out" "$scratch/first" || fail "two replays differ"
lines="$(grep -c -v -e '^#' -e '^seed' "$scratch/out")"
[ "$lines" -gt 1000 ] || fail "no trace"
grep -q "^# digest [0-9a-f]* over $lines events" "$scratch/out" || fail "not the trace of the digest"
digest="$(sed -n 's/^# digest \([0-9a-f]*\) .*/\1/p' "$scratch/out")"
expect 0 "^7 $digest " "$sim" digest --seeds 6..8 --profile quiet

# Every state within small bounds; bounds that end a walk; wrong usage.
expect 0 "^exhaustive: no state within the bounds breaks a rule" "$sim" explore --members 3 \
  --terms 1 --entries 0
grep -q "^distinct .* without symmetry" "$scratch/out" || fail "no counts"
expect 0 '"exhaustive": true' "$sim" explore --terms 1 --entries 0 --instant-disk --json
expect 0 "explore --members 2 --terms 2 --entries 0 --crashes 0 --timeouts 2 --pre-vote" "$sim" \
  explore --members 2 --terms 2 --entries 0 --pre-vote --timeouts 2
expect 3 "NOT exhaustive" "$sim" explore --max-states 5000
expect 3 "NOT exhaustive" "$sim" explore --terms 9 --entries 9 --max-seconds 1
expect 3 "NOT exhaustive" "$sim" explore --terms 9 --entries 9 --max-memory-mb 64
expect 2 "members must be between 1 and 5" "$sim" explore --members 9
expect 2 "need --timeouts" "$sim" explore --pre-vote
expect 2 "needs --instant-disk" "$sim" explore --duplicates any
expect 2 "neither a number nor 'any'" "$sim" explore --duplicates some
echo "passed"
