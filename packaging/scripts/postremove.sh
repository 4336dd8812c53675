#!/bin/sh
# Of .deb and .rpm: `apt purge` also takes the cache of models and the settings.
set -e
ldconfig
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
fi
if [ "$1" = purge ]; then
  rm -rf /var/cache/rerankd /var/cache/private/rerankd /etc/rerankd
fi
