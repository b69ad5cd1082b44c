#!/usr/bin/env bash
# Makes the secrets of compose.yaml, once: passwords, the settings of kizod with them, its keys, and
# a certificate for KIZO_HOST (localhost) that you replace. Run it as root, since each file belongs
# to the user of its container. KIZOD is the command that runs kizod: by default, in the image.
set -euo pipefail
cd "$(dirname "$0")"
host=${KIZO_HOST:-localhost}
secrets=${KIZO_SECRETS:-$PWD/secrets}
[ ! -e "$secrets" ] || {
  echo "$secrets exists: nothing was changed" >&2
  exit 1
}
umask 077
mkdir -p "$secrets"
password() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
owner=$(password) app=$(password) redis=$(password) bank=$(password)
printf %s "$(password)" >"$secrets/postgres-password"
printf %s "$(password)" >"$secrets/grafana-password"
printf %s "$owner" >"$secrets/owner-password"
printf %s "$app" >"$secrets/app-password"
callbacks=$(password)
cat >"$secrets/kizod.toml" <<TOML
database_url = "postgres://kizo_app:$app@postgres:5432/kizo"
redis_url = "redis://:$redis@redis:6379/0"
bank_url = "http://bank:7422"
bank_token = "$bank"
bank_callback_secret = "$callbacks"
secrets_file = "/run/secrets/secrets.json"
listen = "0.0.0.0:7420"
ops_listen = "0.0.0.0:7421"
trusted_proxies = "10.77.0.10"
log_format = "json"
TOML
cat >"$secrets/migrate.toml" <<TOML
migrate_url = "postgres://kizo_owner:$owner@postgres:5432/kizo"
TOML
cat >"$secrets/bank.toml" <<TOML
bank_listen = "0.0.0.0:7422"
bank_token = "$bank"
bank_callback_secret = "$callbacks"
log_format = "json"
TOML
printf 'requirepass %s\nsave ""\ndir /data\nmaxmemory-policy noeviction\n' "$redis" >"$secrets/redis.conf"

# nginx as in deploy/nginx, but without root: in /tmp and on a port above 1023.
{
  printf 'worker_processes auto;\npid /tmp/nginx.pid;\nevents { worker_connections 4096; }\nhttp {\naccess_log off;\n'
  for kind in client_body proxy fastcgi uwsgi scgi; do printf '%s_temp_path /tmp/%s;\n' "$kind" "$kind"; done
  sed -e '/kizod_auth {/,/}/s/127.0.0.1:7420/auth:7420/' -e 's/127.0.0.1:7420/api:7420/' -e 's/listen 443 ssl/listen 8443 ssl/' \
    -e "s/wallet\.example;/$host;/" -e 's|/etc/nginx/wallet.example.pem|/run/secrets/tls-cert.pem|' \
    -e 's|/etc/nginx/wallet.example.key|/run/secrets/tls-key.pem|' ../nginx/kizo.conf
  printf '}\n'
} >"$secrets/nginx.conf"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj "/CN=$host" -addext "subjectAltName=DNS:$host" \
  -keyout "$secrets/tls-key.pem" -out "$secrets/tls-cert.pem" 2>/dev/null

${KIZOD:-docker run --rm --user 0:0 -v "$secrets:$secrets" "kizo:${KIZO_VERSION:-dev}"} secrets init --secrets-file "$secrets/secrets.json" >/dev/null
if [ "$(id -u)" = 0 ]; then
  chown 65532:65532 "$secrets"/{kizod,migrate,bank}.toml "$secrets/secrets.json"
  chown 999:999 "$secrets"/{postgres,owner,app}-password "$secrets/redis.conf"
  chown 101:101 "$secrets"/{nginx.conf,tls-cert.pem,tls-key.pem}
  chown 472:472 "$secrets/grafana-password"
else
  echo "not root: give the files in $secrets to the users of their containers (see setup.sh)" >&2
fi
echo "wrote $secrets; keep a backup of secrets.json, separate from that of the database"
