#!/usr/bin/env bash
# Runs PostgreSQL and Redis so that each survives the loss of a host: three hosts, played by the
# processes of one machine on loopback, with Debian's packages.
#
#   host 1..3    etcd N       agrees on who is the primary
#                patroni N    runs a PostgreSQL: the primary, its synchronous standby, or another
#                             standby
#                redis N      the primary, or a replica
#                sentinel N   agrees on which is the primary
#
#   cluster.sh install            install the packages, with their services off
#   cluster.sh start DIR [NAME…]  start everything, or the processes named, such as patroni2
#   cluster.sh stop DIR [NAME…]   end them gracefully
#   cluster.sh kill DIR NAME      end one at once, as the loss of its host does; postgres2 is the
#                                 PostgreSQL of patroni2 alone
#   cluster.sh status DIR         say what runs, and who is the primary
#   cluster.sh remove DIR         stop everything and delete DIR
#
# The first start makes DIR, with data, passwords, and the settings for kizod: kizod.toml and
# migrate.toml. Root runs everything as $KIZO_HA_USER (postgres); any other user, as that user.
# $KIZO_HA_PORT (16400) is the first of the 60 ports that it uses. KIZO_HA_SYNCHRONOUS=off makes a
# cluster that loses payments in a failover, to show that a drill notices.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
# shellcheck source=deploy/processes.sh
. ../processes.sh
bin=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -1 || true)
hosts=(1 2 3)
all=(etcd1 etcd2 etcd3 redis1 redis2 redis3 sentinel1 sentinel2 sentinel3 patroni1 patroni2 patroni3)

fail() {
  echo "cluster.sh: $*" >&2
  exit 1
}

install() {
  local policy=/usr/sbin/policy-rc.d made=
  # Without it, Debian starts what it installs.
  [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=yes; }
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql redis-server etcd-server patroni || made="${made}failed"
  [ -z "${made%failed}" ] || rm -f "$policy"
  [ "${made%failed}" = "$made" ] || fail "the packages could not be installed"
}

needs() {
  local program
  for program in etcd patroni redis-server setpriv; do
    command -v "$program" >/dev/null || fail "$program is not installed; as root: deploy/ha/cluster.sh install"
  done
  [ -x "$bin/postgres" ] || fail "PostgreSQL is not installed; as root: deploy/ha/cluster.sh install"
}

password() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# Ports, by kind and host.
port() {
  local base
  case $1 in
    etcd) base=0 ;; peer) base=10 ;; postgres) base=20 ;; rest) base=30 ;; redis) base=40 ;; sentinel) base=50 ;;
  esac
  echo $((first_port + base + $2))
}

# list KIND FORMAT [SEPARATOR] prints FORMAT for each host, with its number and its port.
list() {
  local text='' n
  for n in "${hosts[@]}"; do
    # shellcheck disable=SC2059
    text+=${text:+${3:-,}}$(printf "$2" "$n" "$(port "$1" "$n")")
  done
  printf %s "$text"
}

configure() {
  umask 077
  mkdir -p "$dir"/{data,log,run,secrets,conf}
  chmod 711 "$dir"
  local p n synchronous=true
  [ "${KIZO_HA_SYNCHRONOUS:-on}" = on ] || synchronous=false
  for p in superuser replication owner app redis sentinel bank callback; do password >"$dir/secrets/$p-password"; done
  secret() { cat "$dir/secrets/$1-password"; }
  for n in "${hosts[@]}"; do
    sed -e "s|@N@|$n|g; s|@DIR@|$dir|g; s|@BIN@|$bin|g; s|@SYNCHRONOUS@|$synchronous|g" \
      -e "s|@ETCD@|$(list etcd '127.0.0.1:%.0s%d')|; s|@REST@|127.0.0.1:$(port rest "$n")|; s|@POSTGRES@|127.0.0.1:$(port postgres "$n")|" \
      -e "s|@SUPERUSER@|$(secret superuser)|; s|@REPLICATION@|$(secret replication)|" patroni.yml >"$dir/conf/patroni$n.yml"
    cat >"$dir/conf/redis$n.conf" <<CONF
bind 127.0.0.1
port $(port redis "$n")
dir $dir/data/redis$n
requirepass $(secret redis)
masterauth $(secret redis)
save ""
maxmemory-policy noeviction
CONF
    [ "$n" = 1 ] || echo "replicaof 127.0.0.1 $(port redis 1)" >>"$dir/conf/redis$n.conf"
    cat >"$dir/conf/sentinel$n.conf" <<CONF
bind 127.0.0.1
port $(port sentinel "$n")
dir $dir/data/sentinel$n
requirepass $(secret sentinel)
sentinel monitor kizo 127.0.0.1 $(port redis 1) 2
sentinel auth-pass kizo $(secret redis)
sentinel sentinel-pass $(secret sentinel)
sentinel down-after-milliseconds kizo 2000
sentinel failover-timeout kizo 10000
sentinel parallel-syncs kizo 2
CONF
    mkdir -p "$dir/data"/{etcd,redis,sentinel}"$n"
  done
  cat >"$dir/kizod.toml" <<TOML
database_url = "postgres://kizo_app:$(secret app)@$(list postgres '127.0.0.1:%.0s%d')/kizo?target_session_attrs=read-write"
redis_url = "redis+sentinel://:$(secret redis)@$(list sentinel '127.0.0.1:%.0s%d')/kizo/0?sentinel_password=$(secret sentinel)"
bank_url = "http://127.0.0.1:7422"
bank_token = "$(secret bank)"
bank_callback_secret = "$(secret callback)"
secrets_file = "$dir/secrets.json"
TOML
  cat >"$dir/migrate.toml" <<TOML
migrate_url = "postgres://kizo_owner:$(secret owner)@$(list postgres '127.0.0.1:%.0s%d')/kizo?target_session_attrs=read-write"
TOML
  cat >"$dir/bank.toml" <<TOML
bank_token = "$(secret bank)"
bank_callback_secret = "$(secret callback)"
TOML
  printf '%s\n' "$first_port" >"$dir/first-port"
  [ "$(id -u)" != 0 ] || chown -R "$user:" "$dir"
}

begin() {
  local name=$1 n=${1: -1}
  ! pid_of "$name" >/dev/null || return 0
  case $name in
    etcd?)
      spawn "$name" etcd --name "$name" --data-dir "$dir/data/$name" \
        --listen-client-urls "http://127.0.0.1:$(port etcd "$n")" \
        --advertise-client-urls "http://127.0.0.1:$(port etcd "$n")" \
        --listen-peer-urls "http://127.0.0.1:$(port peer "$n")" \
        --initial-advertise-peer-urls "http://127.0.0.1:$(port peer "$n")" \
        --initial-cluster "$(list peer 'etcd%d=http://127.0.0.1:%d')" --initial-cluster-token kizo \
        --heartbeat-interval 200 --election-timeout 2000 --auto-compaction-retention 1
      ;;
    patroni?) spawn "$name" patroni "$dir/conf/$name.yml" ;;
    redis?) spawn "$name" redis-server "$dir/conf/$name.conf" ;;
    sentinel?) spawn "$name" redis-server "$dir/conf/$name.conf" --sentinel ;;
    *) fail "there is no $name" ;;
  esac
}

# postmaster prints the pid of the PostgreSQL of a host, if it runs.
postmaster() {
  local pid
  { read -r pid <"$dir/data/postgres$1/postmaster.pid"; } 2>/dev/null || return 1
  [ "$(readlink "/proc/$pid/cwd")" = "$dir/data/postgres$1" ] && [ "$(state "$pid")" != Z ] && echo "$pid"
}

# kill_postgres ends a PostgreSQL and all its processes at once. The postmaster is stopped first,
# so that it starts no further ones.
kill_postgres() {
  local pid children
  pid=$(postmaster "$1") || return 0
  kill -STOP "$pid"
  mapfile -t children < <(ps -o pid= --ppid "$pid" | tr -d ' ')
  kill -9 "$pid" "${children[@]}" 2>/dev/null || true
  while [ "$(state "$pid")" ] && [ "$(state "$pid")" != Z ]; do sleep 0.01; done
}

kill_now() {
  local pid
  case $1 in
    postgres?) kill_postgres "${1: -1}" ;;
    *)
      pid=$(pid_of "$1") || fail "$1 does not run"
      kill -9 "$pid"
      [ "${1%?}" != patroni ] || kill_postgres "${1: -1}"
      ;;
  esac
}

# answers PORT PATH: whether Patroni answers 200.
answers() {
  local status
  { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
  printf 'HEAD %s HTTP/1.0\r\n\r\n' "$2" >&3
  read -r status <&3 || status=
  exec 3>&-
  [[ $status == *" 200 "* ]]
}

# who PATH prints the host whose Patroni answers 200, such as /primary or /sync.
who() {
  local n
  for n in "${hosts[@]}"; do
    if answers "$(port rest "$n")" "$1"; then echo "$n" && return; fi
  done
  return 1
}

# replicates: there is a primary, and a standby that can replace it.
replicates() {
  local standby=/sync
  [ ! -e "$dir/conf/asynchronous" ] || standby=/replica
  who /primary && who "$standby"
}

make_database() {
  local n
  n=$(who /primary)
  PGHOST=127.0.0.1 PGPORT=$(port postgres "$n") PGPASSWORD=$(cat "$dir/secrets/superuser-password") \
    KIZO_SECRETS=$dir/secrets PATH=$bin:$PATH bash "$here/../compose/roles.sh" >/dev/null
  touch "$dir/secrets/database-made"
}

start() {
  needs
  local name first=
  if [ ! -e "$dir/first-port" ]; then
    first=yes
    configure
    [ "${KIZO_HA_SYNCHRONOUS:-on}" = on ] || touch "$dir/conf/asynchronous"
  fi
  for name in "${@:-${all[@]}}"; do begin "$name"; done
  [ $# -eq 0 ] || return 0
  wait_for "PostgreSQL has no primary with a standby" replicates
  [ -e "$dir/secrets/database-made" ] || make_database
  [ -z "$first" ] || echo "made $dir, with kizod.toml and migrate.toml"
  status
}

status() {
  status_of "${all[@]}"
  echo "primary: postgres$(who /primary || echo ?); synchronous standby: postgres$(who /sync || echo ?)"
}

stop() {
  local i names=("$@")
  [ $# -gt 0 ] || for ((i = ${#all[@]} - 1; i >= 0; i--)); do names+=("${all[i]}"); done
  # Together, since an orderly stop of a primary waits for standbys.
  for name in "${names[@]}"; do [[ $name != patroni? ]] || end "$name" & done
  wait
  for name in "${names[@]}"; do end "$name"; done
  for name in "${names[@]}"; do [[ $name != patroni? ]] || kill_postgres "${name: -1}"; done # whose Patroni was killed
}

command=${1:-}
case $command in
  install) install && exit ;;
  start | stop | kill | status | remove) [ $# -ge 2 ] || fail "$command needs a directory" ;;
  *)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$here/cluster.sh"
    exit 2
    ;;
esac
dir=$(realpath -m "$2")
user=${KIZO_HA_USER:-postgres}
first_port=$(cat "$dir/first-port" 2>/dev/null || echo "${KIZO_HA_PORT:-16400}")
shift 2
[ "$command" = start ] || [ -e "$dir/first-port" ] || fail "$dir has no cluster"
case $command in
  start) start "$@" ;;
  stop) stop "$@" ;;
  kill) [ $# -eq 1 ] || fail "kill needs one name" && kill_now "$1" ;;
  status) status ;;
  remove) stop && rm -rf "$dir" ;;
esac
