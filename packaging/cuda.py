#!/usr/bin/env python3
"""Makes the packages of the cuda engine of a librerank_cuda.so: a wheel `rerankd-cuda` (`pip install rerankd[cuda]`), a .deb and an .rpm. They put
the library where the packages of rerankd look for it; NVIDIA's cuBLASLt comes from PyPI's nvidia-cublas, or from the CUDA toolkit.

Usage: packaging/cuda.py LIBRARY OUT      in the environment of requirements/packages.txt; LIBRARY: of a build where nvcc was found
"""
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import sbom
from tree import ROOT, check_versions, commit_time, run, set_times

PLATFORM = "manylinux_2_34_x86_64"
SUMMARY = "The cuda engine of rerankd: runs it on NVIDIA GPUs"


def copied(library, place, run_path):
    place.parent.mkdir(parents=True)
    shutil.copyfile(library, place)
    run("strip", place)
    run("patchelf", "--set-rpath", run_path, place)
    place.chmod(0o755)
    check_versions(place)
    return place


def cublas_major(library):
    found = re.search(r"libcublasLt\.so\.(\d+)", run("readelf", "-d", library))
    if not found:
        sys.exit(f"{library} is not linked to cuBLASLt")
    return int(found[1])


def make_wheel(library, out, scratch):
    tree, major = scratch / "wheel", cublas_major(library)
    # Where both rerankd/bin/rerankd and rerankd/lib/librerank.so look; from there cuBLASLt is in nvidia/cu13.
    copied(library, tree / "rerankd/lib/rerankd/librerank_cuda.so", f"$ORIGIN/../../../nvidia/cu{major}/lib:/usr/local/cuda/lib64")
    about = tree / f"rerankd_cuda-{sbom.VERSION}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: rerankd-cuda\nVersion: {sbom.VERSION}\nSummary: {SUMMARY}\nLicense: Apache-2.0\n"
                                    f"Requires-Dist: rerankd=={sbom.VERSION}\nRequires-Dist: nvidia-cublas>={major},<{major + 1}\n")
    (about / "WHEEL").write_text(f"Wheel-Version: 1.0\nGenerator: packaging/cuda.py\nRoot-Is-Purelib: false\nTag: py3-none-{PLATFORM}\n")
    shutil.copyfile(ROOT / "LICENSE", about / "LICENSE")
    set_times(tree, commit_time())
    os.environ["SOURCE_DATE_EPOCH"] = str(commit_time())
    run(sys.executable, "-m", "wheel", "pack", tree, "--dest-dir", out)


def make_system_packages(library, out, scratch):
    placed = copied(library, scratch / "system/librerank_cuda.so", "/usr/local/cuda/lib64:/usr/local/cuda/lib")
    set_times(placed.parent, commit_time())
    config = scratch / "nfpm.yaml"  # JSON is YAML
    config.write_text(json.dumps({
        "name": "rerankd-cuda", "arch": "amd64", "platform": "linux", "version": sbom.VERSION, "release": "1", "license": "Apache-2.0", "section": "net",
        "mtime": run("date", "-u", "-d", f"@{commit_time()}", "+%Y-%m-%dT%H:%M:%SZ").strip(),
        "maintainer": "The rerankd authors <rerankd@localhost>", "description": f"{SUMMARY}\nWants cuBLASLt of NVIDIA's CUDA toolkit {cublas_major(library)}.",
        "contents": [{"src": str(placed), "dst": "/usr/lib/rerankd/librerank_cuda.so", "file_info": {"mode": 0o755}},
                     {"src": str(ROOT / "LICENSE"), "dst": "/usr/share/doc/rerankd-cuda/LICENSE", "file_info": {"mode": 0o644}}],
        "overrides": {"deb": {"depends": [f"rerankd (= {sbom.VERSION}-1)"]}, "rpm": {"depends": [f"rerankd = {sbom.VERSION}-1"]}}}))
    for kind in ("deb", "rpm"):
        run("nfpm", "package", "--config", config, "--packager", kind, "--target", out)


def main():
    library, out = (pathlib.Path(word).resolve() for word in sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        make_wheel(library, out, pathlib.Path(scratch))
        make_system_packages(library, out, pathlib.Path(scratch))
    for path in sorted(out.glob("rerankd[-_]cuda*")):
        print(f"{path.name}  {path.stat().st_size / 1e6:.1f} MB  sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}")


if __name__ == "__main__":
    main()
