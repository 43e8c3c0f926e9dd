#!/bin/bash
# What `quorate-sim study` promises on its command line: files, clear errors before any
# trial runs, rows that depend on the seeds alone, trials that can be had again.
set -euo pipefail
sim="$1"
# shellcheck source=tests/sim/expect.sh
source tests/sim/expect.sh

# Refused before any trial runs: none of these could end within the test otherwise.
many=(--trials 90000000)
expect 2 "subcommand" "$sim" study
expect 2 "the election quorum {1, 2, 3} and the commit quorum {4, 5} share nobody" \
  "$sim" study election --quorum flexible:3,2 "${many[@]}"
expect 2 "--members '99': must be within" "$sim" study election --members 99 "${many[@]}"
expect 2 "the range is upside down" "$sim" study election --timeout 300-150 "${many[@]}"
expect 2 "unknown delay model 'gamma:1ms'" "$sim" study election --latency gamma:1ms "${many[@]}"
expect 2 "cannot write $scratch/no/a.csv" "$sim" study election --csv "$scratch/no/a.csv" "${many[@]}"
expect 2 "cannot write $scratch/no/election-1.svg" "$sim" study election --svg "$scratch/no" \
  "${many[@]}"
expect 2 "--shard '5/4'" "$sim" study election --shard 5/4 "${many[@]}"
expect 2 "use --shard I/N" "$sim" study election --members 3..9 "${many[@]}"
expect 2 "unknown; there are: control, quorum-loss" "$sim" study partition --scenario storm
expect 2 "cannot read $scratch/none" "$sim" study partition --links "$scratch/none"
printf 'scenario a\nmembers 3\nsnip 1-2\n' >"$scratch/bad"
expect 2 "line 3 of the links: 'snip'" "$sim" study partition --links "$scratch/bad"
expect 2 "--case 'none': unknown; there are: direct-3-to-5" "$sim" study membership --case none
expect 2 "--fail '2': not a share" "$sim" study quorum --fail 2
expect 2 "these options make 2 cases" "$sim" study election --timeout 150-155,150-200 --replay 1

# Files; rows do not depend on the number of processes, and shards make up the whole.
lists=(study election --members "3,5" --timeout "150-155,150-200" --trials 40 --seed 7)
expect 0 "Slowest trials" "$sim" "${lists[@]}" --jobs 1 --csv "$scratch/one.csv" \
  --json "$scratch/one.json" --html "$scratch/one.html" --svg "$scratch"
expect 0 "Slowest trials" "$sim" "${lists[@]}" --jobs 3 --csv "$scratch/three.csv"
cmp "$scratch/one.csv" "$scratch/three.csv" || fail "rows depend on the number of processes"
[ "$(wc -l <"$scratch/one.csv")" = 161 ] || fail "not a line a trial"
for shard in 1 2 3; do
  expect 0 "Slowest trials" "$sim" "${lists[@]}" --shard "$shard/3" --csv "$scratch/shard$shard.csv"
done
cmp <(tail -q -n +2 "$scratch"/shard?.csv | sort) <(tail -n +2 "$scratch/one.csv" | sort) ||
  fail "the shards are not the whole"
python3 - "$scratch" <<'PYTHON' || fail "files are not what they should be"
import json, sys, xml.etree.ElementTree as tree
summary = json.load(open(sys.argv[1] + "/one.json"))
assert len(summary["cases"]) == 4, summary
assert summary["cases"][0]["p50"]["low"] <= summary["cases"][0]["p50"]["value"]
assert "--replay" in summary["cases"][0]["slowest"]["replay"]
tree.parse(sys.argv[1] + "/election-1.svg")
page = open(sys.argv[1] + "/one.html").read()
assert "http" not in page.replace("http://www.w3.org/2000/svg", ""), "the page reaches out"
PYTHON

# The command that is named for an outlier shows that very trial.
slowest="$(grep -m1 -o '^[0-9.]* ms: quorate-sim .*' "$scratch/out")"
read -r -a words <<<"${slowest#*: quorate-sim }"
expect 0 "the leader, member 1, fails" "$sim" "${words[@]}" --html "$scratch/trial.html"
shown="$(sed -n 's/^# downtime \([0-9]*\).*/\1/p' "$scratch/out")"
named="${slowest%%[. ]*}"
[ "$shown" = "$named" ] || [ "$((shown + 1))" = "$named" ] || fail "$slowest, but shows $shown ms"
grep -q "<svg" "$scratch/trial.html" || fail "no picture"

# One's own links.
printf 'scenario mine\nmembers 3\nleader 2\ncut 1>2\nat 1s heal\n' >"$scratch/links"
expect 0 "mine" "$sim" study partition --links "$scratch/links" --length 2s --trials 2
expect 0 "cut 1>2" "$sim" study partition --links "$scratch/links" --rules both --length 2s \
  --replay 3 --window 900..1100
expect 0 "two leaders in a term" "$sim" study membership --case direct-3-to-5 --trials 20 --check
echo "all as promised"
