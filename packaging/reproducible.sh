#!/usr/bin/env bash
# Makes all packages twice, from two clones of this checkout's commit in folders of different names, and compares them byte for byte.
# Usage: packaging/reproducible.sh      some minutes with a warm compiler cache
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for name in one "another folder"; do
  git clone -q . "$scratch/$name"
  for kept in .deps .venv-packages; do
    [[ ! -e $kept ]] || ln -s "$PWD/$kept" "$scratch/$name/$kept"
  done
  (cd "$scratch/$name" && packaging/make.sh) >"$scratch/log" 2>&1 || { tail -50 "$scratch/log" >&2; exit 1; }
done
diff "$scratch"/*/build/packages/SHA256SUMS || { echo "the two builds differ" >&2; exit 1; }
cat "$scratch/one/build/packages/SHA256SUMS"
echo "two builds, equal bytes"
