#!/bin/bash
# Each kind of impurity must be named.
set -u
out=$(tests/purity/purity.py "$@") && { echo "an impure archive was accepted"; exit 1; }
for symbol in steady_clock::now random_device getenv pthread_mutex_lock; do
  grep -q "$symbol" <<<"$out" || { echo "$symbol was not refused:"; echo "$out"; exit 1; }
done
