#!/usr/bin/env python3
"""Every C++ and CUDA source is as clang-format 14 and .clang-format write it; `make format` writes it so."""
import os
import shutil
import subprocess
import sys

import sources

SKIPPED = 77
FOLDERS = ["include", "src", "bench", "tests", "tools", "examples"]


def clang_format():
    """The program, of version 14: others write some lines otherwise."""
    for name in [os.environ.get("CLANG_FORMAT"), "clang-format-14", "clang-format"]:
        if name and shutil.which(name):
            version = subprocess.run([name, "--version"], capture_output=True, text=True, check=True).stdout
            if " version 14." in version:
                return name
    return None


def main():
    program = clang_format()
    if program is None:
        print("skipped: no clang-format of version 14 (tools/setup.sh installs it; or set CLANG_FORMAT)")
        return SKIPPED
    files = [str(path) for path in sources.cpp_files(*FOLDERS)]
    assert len(files) > 400, files
    mode = ["-i"] if "--write" in sys.argv else ["--dry-run", "--Werror", "--ferror-limit=1"]
    failed = []
    for begin in range(0, len(files), 50):
        part = files[begin : begin + 50]
        if subprocess.run([program, *mode, *part], cwd=sources.ROOT, capture_output=True).returncode != 0:
            failed += [f for f in part if subprocess.run([program, *mode, f], cwd=sources.ROOT, capture_output=True).returncode != 0]
    for path in failed:
        print(f"{path}: not as clang-format 14 writes it; `make format` does")
    print(f"{len(files)} files, {len(failed)} off the format")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
