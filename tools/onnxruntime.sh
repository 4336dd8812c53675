#!/usr/bin/env bash
# Puts ONNX Runtime into .deps/onnxruntime: lib/libonnxruntime.so from the PyPI wheel (no Python is needed to run it), include/
# from Debian 13's libonnxruntime-dev, for Debian 12 has neither. Nothing on the system changes. Does nothing, and needs no
# network, when it is there. Fails, saying why, when it cannot be had: rerankd then builds without the engine.
set -euo pipefail
cd "$(dirname "$0")/.."

wheel=${ONNXRUNTIME_WHEEL:-onnxruntime}  # onnxruntime-gpu: with the CUDA and TensorRT providers
version=$(sed -n "s/^$wheel==\([0-9.]*\).*/\1/p" "requirements/$wheel.txt")
target=.deps/onnxruntime
stamp="$wheel $version"
[[ -e $target/lib/libonnxruntime.so && -e $target/include && $(cat "$target/version" 2>/dev/null) == "$stamp" ]] && exit 0

echo "setup: fetching $stamp into $target"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m pip download -q --no-deps --only-binary :all: --require-hashes -d "$work" -r "requirements/$wheel.txt"
python3 - "$work" <<'PYTHON'
import glob, os, sys, zipfile
work = sys.argv[1]
os.makedirs(f"{work}/lib")
with zipfile.ZipFile(glob.glob(f"{work}/*.whl")[0]) as wheel:
    for name in wheel.namelist():
        base = os.path.basename(name)
        if name.startswith("onnxruntime/capi/lib") and ".so" in base:  # the library, and providers where it has some
            with open(f"{work}/lib/{base}", "wb") as out:
                out.write(wheel.read(name))
PYTHON
ln -sf "libonnxruntime.so.$version" "$work/lib/libonnxruntime.so"

# The headers, through a private apt configuration: the system's own Debian source with the suite's name changed.
mkdir -p "$work"/apt/{parts,lists/partial,archives/partial} "$work/debian"
sources=(/etc/apt/sources.list.d/debian.sources /etc/apt/sources.list)
python3 - "$work/apt/parts" "${sources[@]}" <<'PYTHON'
import os, re, sys
out, *files = sys.argv[1:]
for path in filter(os.path.exists, files):
    text = "\n".join(l for l in open(path).read().splitlines() if not l.lstrip().startswith("#"))
    for entry in re.split(r"\n\s*\n", text):  # deb822: paragraphs
        if re.search(r"^Types:.*\bdeb\b", entry, re.M) and not re.search(r"^(URIs|Suites):.*security", entry, re.M):
            open(f"{out}/trixie.sources", "w").write(re.sub(r"^Suites:.*$", "Suites: trixie", entry, flags=re.M) + "\n")
            sys.exit()
    for line in text.splitlines():  # one line: deb [options] URI suite component...
        found = re.match(r"deb\s+(\[.*?\]\s+)?(\S+)\s+\S+\s", line)
        if found and "security" not in line and "debian" in line:
            open(f"{out}/trixie.list", "w").write(f"deb {found[1] or ''}{found[2]} trixie main\n")
            sys.exit()
sys.exit("setup: no Debian source in /etc/apt: cannot tell where ONNX Runtime's headers are")
PYTHON
apt=(apt-get -q -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/apt/parts" -o "Dir::State::Lists=$work/apt/lists"
     -o "Dir::Cache::Archives=$work/apt/archives" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
"${apt[@]}" update >"$work/apt.log" 2>&1 || { cat "$work/apt.log" >&2; exit 1; }
(cd "$work/debian" && "${apt[@]}" download libonnxruntime-dev >>"$work/apt.log" 2>&1 && dpkg-deb -x libonnxruntime-dev_*.deb .) ||
  { cat "$work/apt.log" >&2; exit 1; }
headers=$(dirname "$(find "$work/debian" -name onnxruntime_cxx_api.h -print -quit)")

rm -rf "$target"
mkdir -p "$(dirname "$target")"
mkdir "$work/ready"
mv "$work/lib" "$work/ready/lib"
cp -rL "$headers" "$work/ready/include"
echo "$stamp" >"$work/ready/version"
cp -rP "$work/ready" "$target"
