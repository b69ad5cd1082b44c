#!/usr/bin/env bash
# Shows Kizo's main job on a real `kizod dev` with its own ports and data: two users, a deposit, a
# transfer, their balances and the audit. Then it fills the server with a small town's payments; on
# a terminal it opens the town's dashboard until you quit, otherwise it prints that once. It stops
# every process that it started and removes every file that it wrote.
set -euo pipefail
cd "$(dirname "$0")/.."

home=$(mktemp -d "${TMPDIR:-/tmp}/kizo-demo.XXXXXX")
chmod 711 "$home" # PostgreSQL may run as another user, which needs to enter the directory
daemon=
traffic=
finish() {
  status=$?
  if [ -n "$traffic" ]; then
    kill -TERM "$traffic" 2>/dev/null || true
    wait "$traffic" 2>/dev/null || true
  fi
  if [ -n "$daemon" ]; then
    kill -TERM "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
  fi
  if [ $status -ne 0 ]; then
    echo "The demo failed. The end of kizod's log:" >&2
    tail -n 15 "$home/kizod.log" >&2 2>/dev/null || true
  fi
  rm -rf "$home"
  exit $status
}
trap finish EXIT

bin/kizod dev --data "$home/data" --listen 127.0.0.1:0 --ops-listen 127.0.0.1:0 \
  --ready-file "$home/ready" >"$home/kizod.log" 2>&1 &
daemon=$!
tries=0
until [ -s "$home/ready" ]; do # kizod writes this file when it is ready
  kill -0 "$daemon" 2>/dev/null || exit 1
  tries=$((tries + 1))
  [ $tries -lt 600 ] || { echo "kizod was not ready within a minute" >&2; exit 1; }
  sleep 0.1
done
KIZO_SERVER=$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' "$home/ready")
export KIZO_SERVER

# as USER ARGS… prints and runs kizo as one of two users, which have XDG directories of their own.
as() {
  local who=$1
  shift
  printf '\n\033[1m%s$\033[0m kizo' "$who" | { [ -t 1 ] && cat || sed $'s/\033\\[[0-9]*m//g'; }
  printf ' %q' "$@"
  echo
  XDG_CONFIG_HOME="$home/$who/config" XDG_STATE_HOME="$home/$who/state" bin/kizo "$@"
}

echo "kizod serves on $KIZO_SERVER, with its own PostgreSQL, queue and mock bank."
echo 'a long enough password' | as ada signup --email ada@example.com --handle ada --name 'Ada Lovelace' --password-stdin
echo 'another long password' | as bob signup --email bob@example.com --handle bob --name 'Bob Moore' --password-stdin
as ada deposit 100.00
as ada transfer @bob 12.50 -m lunch
as ada balance
as bob balance
as ada transfers list
echo
echo '$ kizod audit'
bin/kizod audit --data "$home/data"

# Operators see the queues, and the payment that needs review.
operator() { bin/kizod user grant mila operator --data "$home/data" >/dev/null; }

echo
echo 'Last: a small town, where @mila has a bakery, and her dashboard.'
if [ -t 0 ] && [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
  # The town goes on while the dashboard is open, for five minutes at most.
  printf '\n\033[1mmila$\033[0m kizo demo\n'
  XDG_CONFIG_HOME="$home/mila/config" XDG_STATE_HOME="$home/mila/state" bin/kizo demo --live 5m --json >"$home/town" 2>"$home/town.log" &
  traffic=$!
  tries=0
  until [ -s "$home/town" ]; do # kizo prints it when the town is ready
    kill -0 "$traffic" 2>/dev/null || { cat "$home/town.log" >&2; exit 1; }
    tries=$((tries + 1))
    [ $tries -lt 600 ] || { echo "the town was not ready within a minute" >&2; exit 1; }
    sleep 0.1
  done
  operator
  read -r -t 3 -n 1 -s -p "Press a key, or wait three seconds. ? shows the keys of the dashboard, q ends it." || true
  as mila dashboard --context demo
else
  as mila demo --dashboard=false
  operator
  as mila dashboard --context demo --once
fi
cat <<'END'

All of that was real: two accounts, a bank over HTTP, a double-entry ledger on PostgreSQL.
To use it yourself, run in one terminal:

  bin/kizod dev

and in another:

  bin/kizo signup --email ada@example.com --handle ada --name Ada
  bin/kizo deposit 100
  bin/kizo --help

or, to look around first in the town of this demo: bin/kizo demo
END
