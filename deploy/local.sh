#!/usr/bin/env bash
# Runs the services of compose.yaml as processes of this machine, with Debian's packages, where
# there is no Docker: the same commands, secrets and settings, on ports of loopback. Grafana is not
# in Debian, and Prometheus runs if it is installed.
#
#   local.sh start DIR     make DIR, and start everything that does not run
#   local.sh status DIR    say what runs
#   local.sh stop DIR      end everything gracefully
#   local.sh remove DIR    stop everything and delete DIR
#
# kizod is bin/kizod (make build), or $KIZOD. Root runs everything as $KIZO_LOCAL_USER (postgres);
# any other user, as that user. $KIZO_LOCAL_PORT (16500) is the first of the 30 ports that it uses;
# $KIZO_HOST (localhost) is the name in the certificate.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
# shellcheck source=deploy/processes.sh
. ./processes.sh
bin=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -1 || true)
all=(postgres redis bank api auth worker janitor nginx prometheus)
prometheus=$(command -v prometheus || true)

fail() {
  echo "local.sh: $*" >&2
  exit 1
}

port() {
  case $1 in
    nginx) echo "$first_port" ;;
    api) echo $((first_port + 1)) ;; auth) echo $((first_port + 2)) ;; bank) echo $((first_port + 3)) ;;
    redis) echo $((first_port + 4)) ;; postgres) echo $((first_port + 5)) ;; prometheus) echo $((first_port + 6)) ;;
    ops-api) echo $((first_port + 11)) ;; ops-auth) echo $((first_port + 12)) ;;
    ops-worker) echo $((first_port + 13)) ;; ops-janitor) echo $((first_port + 14)) ;;
    worker | janitor) echo 0 ;;
  esac
}

needs() {
  local program
  for program in redis-server nginx openssl setpriv; do
    command -v "$program" >/dev/null || fail "$program is not installed; as root: apt-get install postgresql redis-server nginx openssl"
  done
  [ -x "$bin/postgres" ] || fail "PostgreSQL is not installed; as root: apt-get install postgresql"
  kizod=$(realpath "${KIZOD:-$here/../bin/kizod}")
  [ -x "$kizod" ] || fail "there is no $kizod: run make build, or name one with \$KIZOD"
}

# here_for replaces the addresses and paths of the containers with those of this machine.
here_for() {
  sed -e "s|/tmp/|@TMP@|g; s|@postgres:5432|@127.0.0.1:$(port postgres)|; s|@redis:6379|@127.0.0.1:$(port redis)|" \
    -e "s|http://bank:7422|http://127.0.0.1:$(port bank)|; s|0\.0\.0\.0:7422|127.0.0.1:$(port bank)|" \
    -e "s|http://127\.0\.0\.1:7422|http://127.0.0.1:$(port bank)|; s|http://api:7420|http://127.0.0.1:$(port api)|" \
    -e "s|server api:7420|server 127.0.0.1:$(port api)|; s|server auth:7420|server 127.0.0.1:$(port auth)|" \
    -e "s|listen 8443|listen 127.0.0.1:$(port nginx)|; s|trusted_proxies = \"10.77.0.10\"|trusted_proxies = \"127.0.0.1\"|" \
    -e "s|/run/secrets/|$dir/secrets/|g; s|/var/lib/kizo/|$dir/data/|g; s|dir /data|dir $dir/data|" \
    -e "s|\"api:7421\", \"auth:7421\", \"worker:7421\", \"janitor:7421\"|\"127.0.0.1:$(port ops-api)\", \"127.0.0.1:$(port ops-auth)\", \"127.0.0.1:$(port ops-worker)\", \"127.0.0.1:$(port ops-janitor)\"|; s|@TMP@|$dir/tmp/|g"
}

# command_of SERVICE prints the words of its command in compose.yaml, one per line.
command_of() {
  sed -n "/^  $1:\$/,/^\$/s/^    command: \[\(.*\)\]\$/\1/p" compose.yaml | head -1 | sed 's/, /\n/g' | sed 's/^"\(.*\)"$/\1/' | here_for
}

configure() {
  umask 077
  mkdir -p "$dir"/{data,log,run,tmp,bin}
  chmod 711 "$dir"
  cp "$kizod" "$dir/bin/kizod"
  KIZOD=$dir/bin/kizod KIZO_SECRETS=$dir/secrets compose/setup.sh >/dev/null 2>"$dir/log/setup.log" || fail "$(cat "$dir/log/setup.log")"
  local file text
  for file in "$dir"/secrets/*; do
    text=$(here_for <"$file")
    printf '%s\n' "$text" >"$file"
  done
  # A file with one password has no end of line: it is used as it is.
  for file in "$dir"/secrets/*-password; do printf %s "$(cat "$file")" >"$file"; done
  here_for <compose/prometheus.yml >"$dir/prometheus.yml"
  cp prometheus/rules.yml prometheus/alerts.yml "$dir/"
  chmod 755 "$dir/bin" "$dir/bin/kizod"
  printf '%s\n' "$first_port" >"$dir/first-port"
  [ "$(id -u)" != 0 ] || chown -R "$user:" "$dir"
  as_user "$bin/initdb" --pgdata "$dir/data/postgres" --username postgres \
    --pwfile "$dir/secrets/postgres-password" --auth-host=scram-sha-256 --auth-local=scram-sha-256 \
    --encoding=UTF8 --locale=C >"$dir/log/initdb.log" 2>&1 || fail "initdb failed; see $dir/log"
}

# begin NAME [ARGUMENT…] starts a service with its command in compose.yaml.
begin() {
  local name=$1 words
  shift
  ! pid_of "$name" >/dev/null || return 0
  mapfile -t words < <(command_of "$name")
  case $name in
    postgres) spawn "$name" "$bin/postgres" -D "$dir/data/postgres" "${words[@]:1}" -c listen_addresses=127.0.0.1 -c "port=$(port postgres)" -c unix_socket_directories= ;;
    redis) spawn "$name" "${words[@]}" --bind 127.0.0.1 --port "$(port redis)" ;;
    nginx) spawn "$name" nginx -e stderr -c "$dir/secrets/nginx.conf" -g "daemon off;" ;;
    prometheus) spawn "$name" "$prometheus" --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/data/prometheus" --web.listen-address="127.0.0.1:$(port prometheus)" ;;
    bank) spawn "$name" "$dir/bin/kizod" "${words[@]}" ;;
    *) spawn "$name" "$dir/bin/kizod" "${words[@]}" --listen "127.0.0.1:$(port "$name")" --ops-listen "127.0.0.1:$(port "ops-$name")" ;;
  esac
}

connects() { (exec 3<>"/dev/tcp/127.0.0.1/$(port "$1")") 2>/dev/null; }

start() {
  needs
  [ -e "$dir/first-port" ] || configure
  begin postgres
  wait_for "PostgreSQL does not answer" "$bin/pg_isready" -q -h 127.0.0.1 -p "$(port postgres)" -U postgres
  if [ ! -e "$dir/data/database-made" ]; then
    PGHOST=127.0.0.1 PGPORT=$(port postgres) PGPASSWORD=$(cat "$dir/secrets/postgres-password") KIZO_SECRETS=$dir/secrets PATH=$bin:$PATH \
      bash compose/roles.sh >"$dir/log/roles.log" 2>&1 || fail "the roles could not be made; see $dir/log"
    touch "$dir/data/database-made"
  fi
  local words role
  mapfile -t words < <(command_of migrate)
  as_user "$dir/bin/kizod" "${words[@]}" >"$dir/log/migrate.log" 2>&1 || fail "kizod migrate failed: $(cat "$dir/log/migrate.log")"
  begin redis
  wait_for "Redis does not answer" connects redis
  begin bank
  wait_for "the bank does not answer" "$dir/bin/kizod" health "http://127.0.0.1:$(port bank)/healthz"
  for role in api auth worker janitor; do begin "$role"; done
  for role in api auth worker janitor; do
    wait_for "the role $role is not ready" "$dir/bin/kizod" health --ops-listen "127.0.0.1:$(port "ops-$role")"
  done
  begin nginx
  wait_for "nginx does not answer" connects nginx
  [ -z "$prometheus" ] || begin prometheus
  status
}

status() {
  status_of "${all[@]}"
  echo "API: https://${KIZO_HOST:-localhost}:$(port nginx), certificate $dir/secrets/tls-cert.pem; passwords in $dir/secrets"
}

stop() {
  local i
  for ((i = ${#all[@]} - 1; i > 0; i--)); do end "${all[i]}"; done
  end postgres INT # a fast shutdown
}

[ $# -eq 2 ] || set -- help
case $1 in
  start | status | stop | remove) ;;
  *)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$here/local.sh"
    exit 2
    ;;
esac
dir=$(realpath -m "$2")
user=${KIZO_LOCAL_USER:-postgres}
first_port=$(cat "$dir/first-port" 2>/dev/null || echo "${KIZO_LOCAL_PORT:-16500}")
[ "$1" = start ] || [ -e "$dir/first-port" ] || fail "$dir has no services"
case $1 in
  start) start ;;
  status) status ;;
  stop) stop ;;
  remove) stop && rm -rf "$dir" ;;
esac
