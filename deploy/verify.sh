#!/usr/bin/env bash
# Fails when something that is derived has drifted from what it derives from.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "verify: $1" >&2
  exit 1
}

# Formatting; generated files format themselves.
unformatted=$(git ls-files '*.go' | grep -v '\.gen\.go$' | xargs gofmt -l)
[ -z "$unformatted" ] || fail "not gofmt'ed (run gofmt -w): $unformatted"

go mod tidy -diff || fail "go.mod or go.sum are not tidy (run go mod tidy)"

# What only test builds hold compiles as well.
go vet -tags failpoints ./...

# Generated code: made again in a copy of the tree, and compared.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do
  [ -f "$f" ] && printf '%s\0' "$f"
done | tar --null -T - -cf - | tar -xf - -C "$copy"
(cd "$copy" && go generate ./...)
while IFS= read -r f; do
  cmp -s "$f" "$copy/$f" || fail "$f is not what its source gives (run make generate)"
done < <(git ls-files '*.gen.go')

# Every error code stands in the contract and in the status table.
codes=$(go test -count=1 -v -run '^(TestCodesAreTheSameEverywhere|TestTablesFollowTheContract)$' ./server/api) ||
  fail "error codes: $codes"
[ "$(grep -c '^--- PASS' <<<"$codes")" -eq 2 ] || fail "the tests of the error codes were not run"
echo "verify: all in order"
