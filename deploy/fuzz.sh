#!/usr/bin/env bash
# Runs each fuzz test for a time, such as 20s or 5m. The first one that fails ends the run, and its
# input is then in testdata/fuzz of its package.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-20s}
grep -rHo '^func Fuzz[A-Za-z0-9]*(f \*testing.F)' --include='*_test.go' . | while IFS=: read -r file function; do
  name=${function#func }
  name=${name%%(*}
  echo "fuzz: $(dirname "$file") $name"
  go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$(dirname "$file")" </dev/null
done
