#!/bin/sh
# Runs before a removal (dpkg: "remove", rpm: 0), and before an upgrade, which stops nothing.
set -e
case "$1" in
  remove | 0)
    [ ! -d /run/systemd/system ] || systemctl stop kizod.service 'kizod@*.service'
    ;;
esac
