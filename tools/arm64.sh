#!/usr/bin/env bash
# Builds rerankd for arm64 on a Debian machine of another kind, and runs the tests of its engines under QEMU: the
# kernels' NEON code is then run, though no time means anything. Installs a cross compiler and QEMU; the libraries'
# arm64 packages are only unpacked, into the build folder.
# Usage: tools/arm64.sh [build folder]
#        tools/arm64.sh --root-only      only what a build needs, in build/arm64/root
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/arm64} root_only=false
if [[ $build == --root-only ]]; then build=build/arm64 root_only=true; fi

as_root=()
((EUID == 0)) || as_root=(sudo)
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
  g++-aarch64-linux-gnu qemu-user mmdebstrap

if [[ ! -e $build/root/usr/include/hwy ]]; then
  libraries=$(grep -E '^(lib.*-dev|rapidjson-dev|prometheus-cpp-dev|zlib1g-dev)$' tools/packages.txt | paste -sd,)
  mkdir -p "$build"
  mmdebstrap --variant=extract --architectures=arm64 --include="$libraries" bookworm "$build/root"
fi
if $root_only; then exit 0; fi

cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/arm64.cmake" \
  -DRERANKD_SYSROOT="$(realpath "$build/root")" -DRERANKD_WERROR=ON
cmake --build "$build" --target engine_test conformance_test
ctest --test-dir "$build" --output-on-failure -R '^(engine|conformance)_test$'
cmake --build "$build" --target rerankd
qemu-aarch64 -L "$build/root" "$build/rerankd" score --model models/rerankd-mini-en <<< "{\"query\": \"what is the capital of Peru\", \"document\": \"Lima is the capital of Peru.\"}"
