#!/bin/bash
# What quorate-sim promises on its command line: exit statuses, files, clear errors.
set -euo pipefail
sim="$1"
# shellcheck source=tests/sim/expect.sh
source tests/sim/expect.sh

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

# Shards share a range; together they have all of it.
expect 2 "is not I/N" "$sim" run --seeds 1..4 --shard 4/4
expect 2 "is not I/N" "$sim" run --seeds 1..4 --shard x
expect 2 "none of --seeds 1..2 is in --shard 2/3" "$sim" run --seeds 1..2 --shard 2/3
for shard in 0 1 2; do
  expect 0 '"violations": 0' "$sim" run --seeds 11..15 --shard "$shard/3" --profile quiet --json \
    --junit "$scratch/shard$shard.xml"
done
[ "$(cat "$scratch"/shard?.xml | grep -o 'seed [0-9]*' | sort -u | tr '\n' ' ')" = \
  "seed 11 seed 12 seed 13 seed 14 seed 15 " ] || fail "shards do not share the seeds"

# Explanations, schedules, and what is wrong with one.
expect 0 "wrote $scratch/run.html" "$sim" replay --seed 7 --profile quiet --format html \
  --out "$scratch/run.html"
grep -q "no rule is broken" "$scratch/run.html" || fail "no page"
expect 0 "leader of term" "$sim" replay --seed 7 --profile quiet --format text
expect 0 '"kind":"state"' "$sim" replay --seed 7 --profile quiet --format jsonl
expect 0 '(?<host>' "$sim" replay --seed 7 --profile quiet --format shiviz
expect 2 "there are: html" "$sim" replay --seed 7 --format pdf
expect 2 "cannot write $scratch/no/run.html" "$sim" replay --seed 7 --profile quiet --format html \
  --out "$scratch/no/run.html"
expect 0 "breaks no rule" "$sim" shrink --seed 7 --profile quiet
expect 2 "cannot read $scratch/none" "$sim" replay --schedule "$scratch/none"
printf 'quorate-sim schedule 1\nseed 7\nprofile quiet\nmembers 3\nduration_ns 1000000000\n%s' \
  $'clients 2\nrequests 1 1 2 3\n' >"$scratch/schedule"
expect 0 "# digest" "$sim" replay --schedule "$scratch/schedule" --no-trace
digest="$(sed -n 's/^# digest \([0-9a-f]*\) .*/\1/p' "$scratch/out")"
echo "digest $digest" >>"$scratch/schedule"
expect 0 "# digest $digest" "$sim" replay --schedule "$scratch/schedule" --no-trace
sed -i 's/^digest .*/digest 0000000000000001/' "$scratch/schedule"
expect 4 "DIFFERS: the schedule was saved with digest 0000000000000001" "$sim" replay \
  --schedule "$scratch/schedule" --no-trace
echo "surprise" >>"$scratch/schedule"
expect 2 "schedule:9:1: 'surprise' is no line of a schedule" "$sim" replay \
  --schedule "$scratch/schedule"
echo "quorate-sim schedule 7" >"$scratch/schedule"
expect 2 "schedule:1:22: the schedule has version 7" "$sim" replay --schedule "$scratch/schedule"

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
