#!/usr/bin/env bash
# Builds kizod of an earlier commit, and upgrades from it to this tree under load.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'git worktree remove --force "$work/tree" 2>/dev/null; rm -rf "$work"' EXIT
git worktree add -q --detach "$work/tree" "${1:-HEAD~1}"
echo "upgrade from $(git -C "$work/tree" log -1 --format='%h %s')"
(cd "$work/tree" && go build -o "$work/kizod" ./cmd/kizod)
KIZO_UPGRADE_FROM=$work/kizod go test -count=1 -v -run '^TestRollingUpgrade$' ./cmd/kizod
