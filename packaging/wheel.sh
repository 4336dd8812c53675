#!/usr/bin/env bash
# Makes rerankd-VERSION-py3-none-manylinux_2_34_ARCH.whl: Python package, librerank.so, program and built-in model, with the shared
# libraries they need under names of their own (auditwheel), so that they do not meet others of the process.
# Usage: packaging/wheel.sh BUILD OUT [SYSROOT]      in the environment of requirements/packages.txt
# SYSROOT: of a build for arm64, where its libraries are (packaging/arm64.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(realpath "$1") out=$2 architecture=x86_64 strip=strip platform=manylinux_2_34_x86_64 libraries=()
if [[ -n ${3:-} ]]; then
  root=$(realpath "$3") architecture=aarch64 strip=aarch64-linux-gnu-strip platform=auto  # auditwheel knows the names of its own machine alone
  libraries=(--ldpaths "$root/usr/lib/aarch64-linux-gnu:$root/lib/aarch64-linux-gnu")
  export _PYTHON_HOST_PLATFORM=linux-aarch64  # what setuptools tags the wheel with
fi
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/build"
for file in rerankd librerank.so; do $strip -o "$scratch/build/$file" "$(realpath "$build/$file")"; done
cp -r python "$scratch/"
mkdir "$scratch/models" && cp -r models/rerankd-mini-en "$scratch/models/"
RERANKD_BUILD="$scratch/build" python -m build --wheel --no-isolation --outdir "$scratch/raw" "$scratch/python" >"$scratch/log" 2>&1 ||
  { cat "$scratch/log" >&2; exit 1; }
mkdir -p "$out"
auditwheel repair --plat "$platform" --only-plat "${libraries[@]}" --wheel-dir "$out" "$scratch"/raw/*.whl >"$scratch/log" 2>&1 ||
  { cat "$scratch/log" >&2; exit 1; }
ls -l "$out"/rerankd-*"-manylinux_2_34_$architecture.whl"
