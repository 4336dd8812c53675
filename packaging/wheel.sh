#!/usr/bin/env bash
# Makes rerankd-VERSION-py3-none-manylinux_2_34_x86_64.whl: Python package, librerank.so, program and built-in model, with the shared
# libraries they need under names of their own (auditwheel), so that they do not meet others of the process.
# Usage: packaging/wheel.sh BUILD OUT      in the environment of requirements/packages.txt
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(realpath "$1") out=$2
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/build"
for file in rerankd librerank.so; do strip -o "$scratch/build/$file" "$(realpath "$build/$file")"; done
cp -r python "$scratch/"
mkdir "$scratch/models" && cp -r models/rerankd-mini-en "$scratch/models/"
RERANKD_BUILD="$scratch/build" python -m build --wheel --no-isolation --outdir "$scratch/raw" "$scratch/python" >"$scratch/log" 2>&1 ||
  { cat "$scratch/log" >&2; exit 1; }
mkdir -p "$out"
auditwheel repair --plat manylinux_2_34_x86_64 --only-plat --wheel-dir "$out" "$scratch"/raw/*.whl >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; exit 1; }
ls -l "$out"/*.whl
