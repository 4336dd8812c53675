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
(cd $out && sha256sum ./*.whl ./*.deb ./*.rpm ./*.oci.tar | tee SHA256SUMS)
