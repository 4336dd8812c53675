#!/usr/bin/env bash
# Installs the Debian packages of tools/packages.txt that are missing, and ONNX Runtime. Does nothing, and needs no network, when
# all are there.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t wanted < <(grep -v '^#' tools/packages.txt)
missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
onnxruntime() {
  tools/onnxruntime.sh || echo "setup: without ONNX Runtime: rerankd is built without --engine onnx (tools/onnxruntime.sh tries again)" >&2
}
if ((${#missing[@]} == 0)); then
  echo "setup: all ${#wanted[@]} packages are there"
  onnxruntime
  exit 0
fi

echo "setup: installing ${#missing[@]} of ${#wanted[@]} packages: ${missing[*]}"
as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || { echo "setup: not root and no sudo: install them yourself, then try again" >&2; exit 1; }
  as_root=(sudo)
fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
onnxruntime
