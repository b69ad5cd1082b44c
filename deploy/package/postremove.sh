#!/bin/sh
# Runs after a removal (dpkg: "remove" and "purge", rpm: 0). Only a purge by dpkg deletes secrets
# and settings. Nothing deletes the database, or the user kizo.
set -e
case "$1" in
  remove | purge | 0)
    rm -f /etc/systemd/system/multi-user.target.wants/kizod.service /etc/systemd/system/multi-user.target.wants/kizod@*.service
    [ ! -d /run/systemd/system ] || systemctl daemon-reload
    ;;
esac
if [ "$1" = purge ]; then
  rm -f /etc/kizo/secrets.json /etc/kizo/*.env
  [ ! -d /etc/kizo ] || rmdir --ignore-fail-on-non-empty /etc/kizo
fi
