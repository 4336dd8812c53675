#!/bin/sh
# Of .deb ("remove", "upgrade", ...) and .rpm (how many versions stay): a service ends with its package, not with a version.
set -e
case "$1" in
  remove | 0)
    if [ -d /run/systemd/system ]; then
      systemctl disable --now rerankd.service rerankd.socket rerankd-metrics.socket
    fi
    ;;
esac
