#!/usr/bin/env bash
# Runs the tests of one package many times on a busy machine, and prints which tests failed. A test
# that fails here depends on time or scheduling.
#
#   deploy/stress.sh ./server/hashworker [runs]     BUSY= busy loops (4), RACE=0 without -race
set -euo pipefail
cd "$(dirname "$0")/.."
package=${1:?which package, such as ./server/hashworker}
runs=${2:-20}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

race=(-race)
if [ "${RACE:-1}" = 0 ]; then race=(); fi
go test -c "${race[@]}" -o "$work/tests" "$package"
if [ ! -e "$work/tests" ]; then
	echo "$package has no tests"
	exit 0
fi

# Each busy loop has a session of its own, as another user's processes would, and ends by itself
# when this script has ended.
for ((i = 0; i < ${BUSY:-4}; i++)); do
	setsid bash -c 'while kill -0 "$1" 2>/dev/null; do for ((n = 0; n < 100000; n++)); do :; done; done' busy $$ </dev/null &>/dev/null &
	disown
done

failed=0
for ((run = 1; run <= runs; run++)); do
	if (cd "$package" && nice -n 19 "$work/tests" -test.timeout 30m) >"$work/run" 2>&1; then
		continue
	fi
	failed=$((failed + 1))
	echo "=== run $run of $runs failed"
	grep -E '^\s*--- FAIL: |^panic: |DATA RACE' "$work/run" | tee -a "$work/failures" || true
	tail -n 60 "$work/run"
done

echo
if [ -s "$work/failures" ]; then
	grep -oE 'FAIL: \S+|panic: .*|DATA RACE' "$work/failures" | sort | uniq -c | sort -rn
fi
echo "$package: $failed of $runs runs failed"
[ "$failed" = 0 ]
