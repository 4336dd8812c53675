#!/usr/bin/env bash
# Makes the wheel for arm64 on a machine of another kind, into build/packages; packaging/test.py tries it under QEMU.
# Usage: packaging/arm64.sh      some minutes with a warm compiler cache, half an hour without
set -euo pipefail
cd "$(dirname "$0")/.."
root=build/arm64/root build=build/package-arm64
tools/arm64.sh --root-only
test -x .venv-packages/bin/pip || python3 -m venv .venv-packages
.venv-packages/bin/pip install -q -r requirements/packages.txt
export PATH=$PWD/.venv-packages/bin:$PATH
cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/arm64.cmake" -DRERANKD_SYSROOT="$(realpath $root)" \
  -DRERANKD_TESTS=OFF -DRERANKD_RELOCATABLE=ON -DRERANKD_CUDA=OFF >/dev/null
cmake --build $build --target rerankd rerank_c
rm -f build/packages/*aarch64.whl
packaging/wheel.sh $build build/packages $root
