#!/usr/bin/env bash
# Fails if this code can reach a known vulnerability. It runs govulncheck with the Go vulnerability
# database, or with the database in $GOVULNDB (file:///path). If the tool or the database is not
# available, it says so and succeeds.
set -euo pipefail
cd "$(dirname "$0")/.."

version=v1.9.0
tool=bin/tools/govulncheck-$version

skip() {
  echo "vulnerabilities: SKIPPED: $1" >&2
  exit 0
}

if [ ! -x "$tool" ]; then
  mkdir -p bin/tools
  GOBIN=$PWD/bin/tools go install "golang.org/x/vuln/cmd/govulncheck@$version" || skip "govulncheck cannot be installed"
  mv bin/tools/govulncheck "$tool"
fi
# The version names the age of the database, if the database answers.
database=(); [ -z "${GOVULNDB:-}" ] || database=(-db "$GOVULNDB")
about=$("$tool" "${database[@]}" -version 2>/dev/null || true)
grep -q '^DB updated: *[0-9]' <<<"$about" ||
  skip "the vulnerability database (${GOVULNDB:-https://vuln.go.dev}) is out of reach"
"$tool" "${database[@]}" ./... || {
  echo "vulnerabilities: govulncheck failed; see above" >&2
  exit 1
}
