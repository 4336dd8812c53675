#!/bin/sh
# Of .deb and .rpm. A service that ran goes on with the new version; a new one waits to be enabled.
set -e
ldconfig
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl try-restart rerankd.service
fi
