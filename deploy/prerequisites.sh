#!/usr/bin/env bash
# Installs PostgreSQL's programs and, if available, redis-server, unless the machine has them. If it
# may not install packages, it prints the command that does.
set -euo pipefail

has_postgres() {
  command -v initdb >/dev/null && command -v postgres >/dev/null && return 0
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ||
    compgen -G '/usr/pgsql-*/bin/initdb' >/dev/null ||
    compgen -G '/opt/homebrew/opt/postgresql*/bin/initdb' >/dev/null ||
    compgen -G '/usr/local/opt/postgresql*/bin/initdb' >/dev/null
}

has_redis() { command -v redis-server >/dev/null; }

missing=()
has_postgres || missing+=(postgres)
has_redis || missing+=(redis)
[ ${#missing[@]} -eq 0 ] && exit 0

packages=()
if command -v apt-get >/dev/null; then
  manager=apt
  for m in "${missing[@]}"; do [ "$m" = postgres ] && packages+=(postgresql) || packages+=(redis-server); done
  install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "${packages[@]}")
elif command -v dnf >/dev/null; then
  manager=dnf
  for m in "${missing[@]}"; do [ "$m" = postgres ] && packages+=(postgresql-server) || packages+=(redis); done
  install=(dnf install -y "${packages[@]}")
elif command -v brew >/dev/null; then
  manager=brew
  for m in "${missing[@]}"; do [ "$m" = postgres ] && packages+=(postgresql@17) || packages+=(redis); done
  install=(brew install "${packages[@]}")
else
  manager=none
fi

# give_up prints what is missing. It fails only without PostgreSQL: Kizo works without Redis.
give_up() {
  echo "Missing on this machine: ${missing[*]}. $1" >&2
  if has_postgres; then
    echo "Continuing without Redis: queues are kept in memory." >&2
    exit 0
  fi
  exit 1
}

[ "$manager" = none ] && give_up "Install PostgreSQL 14 or newer (server programs) and Redis by hand, then try again."

as_root=()
if [ "$manager" != brew ] && [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    give_up "Run this, then try again:  sudo ${install[*]}"
  fi
fi

echo "Installing: ${packages[*]}" >&2
[ "$manager" = apt ] && { "${as_root[@]}" apt-get update -q >&2 || true; }
"${as_root[@]}" "${install[@]}" >&2 || give_up "The installation failed; see above."
has_postgres || give_up "The installation brought no initdb."
