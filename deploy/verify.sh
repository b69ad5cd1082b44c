#!/usr/bin/env bash
# Fails if generated code differs from its source, if code is not formatted, if go.mod is not tidy,
# if code does not compile for another system, or if an error code is missing in the contract or in
# the table of statuses.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "verify: $1" >&2
  exit 1
}

# Formatting. Generated files are formatted by their generators.
unformatted=$(git ls-files '*.go' | grep -v '\.gen\.go$' | xargs gofmt -l)
[ -z "$unformatted" ] || fail "not gofmt'ed (run gofmt -w): $unformatted"

go mod tidy -diff || fail "go.mod or go.sum are not tidy (run go mod tidy)"

# Code with the build tag of test builds, and code for other systems, must compile too.
go vet -tags failpoints ./...
GOOS=windows go vet ./cmd/kizo
GOOS=darwin go vet ./cmd/kizo ./cmd/kizod

# Generate the code again in a copy of the tree, and compare.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do
  [ -f "$f" ] && printf '%s\0' "$f"
done | tar --null -T - -cf - | tar -xf - -C "$copy"
(cd "$copy" && go generate ./...)
while IFS= read -r f; do
  cmp -s "$f" "$copy/$f" || fail "$f differs from its source (run make generate)"
done < <(git ls-files '*.gen.go')

# Every error code is in the contract and in the table of statuses.
codes=$(go test -count=1 -v -run '^(TestCodesAreTheSameEverywhere|TestTablesFollowTheContract)$' ./server/api) ||
  fail "error codes: $codes"
[ "$(grep -c '^--- PASS' <<<"$codes")" -eq 2 ] || fail "the tests of the error codes were not run"
echo "verify: all in order"
