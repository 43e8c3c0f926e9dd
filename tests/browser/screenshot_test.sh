#!/bin/bash
# The judge of pages is judged: a good page passes, others do not.
set -euo pipefail
screenshot="$1"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

page() {
  echo "<!doctype html><html><head><meta charset=\"utf-8\"></head><body>$2</body></html>" \
    >"$scratch/$1.html"
}
# judge STATUS NAME [OPTION...]
judge() {
  local expected="$1" got=0
  python3 "$screenshot" --out "$scratch" "${@:3}" "$scratch/$2.html" || got=$?
  [ "$got" != 77 ] || exit 0 # no browser: said loudly
  [ "$got" = "$expected" ] || {
    echo "FAILED: $2 ended with $got, not $expected" >&2
    exit 1
  }
}

words="<h1>Several words</h1><p>in enough ink to be seen by anybody who looks.</p>"
page good "$words<p id=\"p\"></p><script>p.textContent = 'by' + ' script'</script>"
page broken "$words<script>nothing()</script>"
page chatty "$words<script>console.log('here')</script>"
page reaching "$words<img src=\"missing.png\">"
page blank ""
judge 0 good --need "by script"
judge 1 good --need "absent"
judge 1 broken
judge 1 chatty
judge 1 reaching
judge 1 blank
