#!/bin/bash
# The page of a study and the page of one trial, opened in headless Chromium.
set -euo pipefail
sim="$1"
screenshot="$2"
folder="${TEST_UNDECLARED_OUTPUTS_DIR:-$(mktemp -d)}"

"$sim" study figure16 --trials 50 --html "$folder/figure16.html" >"$folder/figure16.txt"
"$sim" study election --replay 17 --html "$folder/trial.html" >"$folder/trial.txt"

status=0
python3 "$screenshot" --out "$folder" --need "within 10%" --need="--replay" --need "<svg" \
  "$folder/figure16.html" || status=$?
[ "$status" != 77 ] || exit 0 # no browser: said loudly
[ "$status" = 0 ]
python3 "$screenshot" --out "$folder" --need "member 2" --need "vote request" "$folder/trial.html"
