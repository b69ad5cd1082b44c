#!/bin/sh
# Runs after an installation or upgrade, from dpkg ("configure") and from rpm (1 or 2). No service
# is started: kizod needs its settings first. None is restarted: kizod migrate comes before that.
set -e
systemd-sysusers kizo.conf
systemd-tmpfiles --create kizo.conf
for name in kizod.toml api.env auth.env worker.env janitor.env; do
  [ ! -e "/etc/kizo/$name" ] || chown -h kizo:kizo "/etc/kizo/$name"
done
[ ! -d /run/systemd/system ] || systemctl daemon-reload
