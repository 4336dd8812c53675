#!/usr/bin/env bash
# Usage: packages_test.sh BUILD
set -euo pipefail
cd "$(dirname "$0")/../.."
for tool in patchelf umoci bwrap dpkg-query; do
  command -v $tool >/dev/null || { echo "$tool is not there: make setup installs it"; exit 77; }
done
bwrap --ro-bind / / --unshare-user true 2>/dev/null || { echo "this machine lets no process have a user namespace"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
packaging/tree.py "$1" "$scratch/tree"
packaging/image.sh "$scratch/tree" "$scratch/rerankd.oci.tar"
packaging/test.py "$scratch" tree image
python3 - "$scratch/tree/share/doc/rerankd/sbom.spdx.json" <<'PY'
import json, sys
packages = json.load(open(sys.argv[1]))["packages"]
names = {package["name"] for package in packages}
assert "rerankd" in names and "libgrpc29" in names and len(names) == len(packages), sorted(names)
PY
