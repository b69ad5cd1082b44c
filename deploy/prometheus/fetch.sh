#!/usr/bin/env bash
# Puts prometheus and promtool into bin/tools/prometheus for the tests, unless the machine has them.
# It unpacks Debian's package without installing it, so that no service starts and no root is
# needed. If that is not possible the tests are skipped; with CI=true this script fails.
set -euo pipefail
cd "$(dirname "$0")/../.."
into=$PWD/bin/tools/prometheus

has() { "$1" --version >/dev/null 2>&1; }
has prometheus && has promtool && exit 0
has "$into/prometheus" && has "$into/promtool" && exit 0

give_up() {
  echo "Prometheus is not available: $1" >&2
  echo "Install prometheus and promtool (https://prometheus.io/download) on the PATH to run the tests that need them." >&2
  [ "${CI:-}" = true ] && exit 1
  exit 0
}

command -v apt-get >/dev/null && command -v dpkg >/dev/null || give_up "this machine has no apt."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
download() { (cd "$work" && apt-get download -q prometheus >&2); }
if ! download; then
  # The list of packages may be missing or old; only root can fetch it.
  apt-get update -q >&2 || sudo -n apt-get update -q >&2 || true
  download || give_up "its Debian package cannot be downloaded."
fi
dpkg -x "$work"/prometheus_*.deb "$work/unpacked" || give_up "its package cannot be unpacked."
mkdir -p "$into"
mv "$work/unpacked/usr/bin/prometheus" "$work/unpacked/usr/bin/promtool" "$into/"
has "$into/prometheus" && has "$into/promtool" || give_up "what was unpacked does not run here."
