#!/usr/bin/env bash
# Installs the programs that read Kizo's exports (hledger, ledger, beancount, ofxdump), unless the
# machine has them, and runs the tests with them. A test without its program then fails, and
# balances are compared at ten points in time instead of two.
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A package=([hledger]=hledger [ledger]=ledger [bean-check]=beancount [ofxdump]=ofx)
missing=()
for program in "${!package[@]}"; do
  command -v "$program" >/dev/null || missing+=("${package[$program]}")
done
if [ ${#missing[@]} -gt 0 ]; then
  install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "${missing[@]}")
  [ "$(id -u)" -eq 0 ] || install=(sudo -n "${install[@]}")
  command -v apt-get >/dev/null && "${install[@]}" >&2 || {
    echo "Missing on this machine: ${missing[*]}. Install them, then try again." >&2
    exit 1
  }
fi
KIZO_TEST_BOOKS=1 "${GO:-go}" test -count=1 -timeout 20m -run 'Book' ./internal/books ./cmd/kizo
