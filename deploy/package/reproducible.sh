#!/usr/bin/env bash
# Builds the release of the last commit twice, from two clones in different directories, and fails
# if any archive or package differs. PLATFORM=linux/amd64 builds for that platform alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
goreleaser=$PWD/bin/tools/goreleaser-v2.15.1
commit=$(git rev-parse HEAD)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() {
  git clone -q --no-local --no-checkout . "$1"
  git -C "$1" checkout -q --detach "$commit"
  config=$1/.goreleaser.yaml
  if [ -n "${PLATFORM:-}" ]; then
    sed -e "s/goos: \[.*\]/goos: [${PLATFORM%/*}]/; s/goarch: \[.*\]/goarch: [${PLATFORM#*/}]/" "$config" >"$1.yaml"
    config=$1.yaml
  fi
  (cd "$1" && "$goreleaser" release --snapshot --clean --skip=publish,sign -f "$config") >"$1.log" 2>&1 || {
    tail -20 "$1.log" >&2
    exit 1
  }
}

build "$work/first"
umask 077 # the second build has other modes, times, and a longer path
build "$work/the second one"
diff "$work/first/dist/checksums.txt" "$work/the second one/dist/checksums.txt"
echo "reproducible: $(wc -l <"$work/first/dist/checksums.txt") files are the same in both builds"
