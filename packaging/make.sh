#!/usr/bin/env bash
# Makes all packages of this checkout in build/packages: tree, .whl, .deb, .rpm, OCI image. `make packages` calls it.
set -euo pipefail
cd "$(dirname "$0")/.."
test -x .venv-packages/bin/pip || python3 -m venv .venv-packages
.venv-packages/bin/pip install -q -r requirements/packages.txt
export PATH=$PWD/.venv-packages/bin:$PATH
cmake --preset package >/dev/null
cmake --build --preset package
out=build/packages
mkdir -p $out
rm -f $out/*.whl $out/*.deb $out/*.rpm $out/*.oci.tar
packaging/tree.py build/package $out/tree
packaging/wheel.sh build/package $out
packaging/system_packages.py $out/tree $out
packaging/image.sh $out/tree $out/rerankd.oci.tar
# The cuda engine, where nvcc is: packages of its own, for it is large and of use to few.
cmake --preset package -B build/package-cuda -DRERANKD_CUDA=ON >/dev/null
if cmake --build build/package-cuda --target help | grep -q '^rerank_cuda:'; then
  cmake --build build/package-cuda --target rerank_cuda
  packaging/cuda.py build/package-cuda/librerank_cuda.so $out
fi
(cd $out && sha256sum ./*.whl ./*.deb ./*.rpm ./*.oci.tar | tee SHA256SUMS)
