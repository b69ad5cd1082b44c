#!/usr/bin/env bash
# Checks the pages of kizod in a real Chromium, with axe-core, and makes a first payment on /docs.
# It installs Chromium and npm with apt unless they are there, starts a kizod dev with its own ports
# and data, and ends it. With a directory as argument, it writes pictures of the pages there.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
command -v npm >/dev/null || missing+=(npm)
if [ ${#missing[@]} -gt 0 ]; then
  install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "${missing[@]}")
  [ "$(id -u)" -eq 0 ] || install=(sudo -n "${install[@]}")
  command -v apt-get >/dev/null && "${install[@]}" >&2 || {
    echo "Missing on this machine: ${missing[*]}. Install them, then try again." >&2
    exit 1
  }
fi
CHROMIUM=$(command -v chromium || command -v google-chrome)
export CHROMIUM

pictures=
[ -z "${1:-}" ] || pictures=$(realpath "$1")
home=$(mktemp -d "${TMPDIR:-/tmp}/kizo-web.XXXXXX")
chmod 711 "$home" # PostgreSQL may run as another user, which needs to enter the directory
daemon=
finish() {
  if [ -n "$daemon" ]; then
    kill -TERM "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
  fi
  rm -rf "$home"
}
trap finish EXIT

mkdir "$home/check"
cp deploy/web/* "$home/check"
npm ci --silent --no-fund --no-audit --prefix "$home/check"
bin/kizod dev --data "$home/data" --listen 127.0.0.1:0 --ops-listen 127.0.0.1:0 --ready-file "$home/ready" >"$home/kizod.log" 2>&1 &
daemon=$!
tries=0
until [ -s "$home/ready" ]; do # kizod writes this file when it is ready
  kill -0 "$daemon" 2>/dev/null && [ $tries -lt 1200 ] || { tail -n 15 "$home/kizod.log" >&2; exit 1; }
  tries=$((tries + 1))
  sleep 0.1
done
node "$home/check/check.mjs" "$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' "$home/ready")" "$pictures"
