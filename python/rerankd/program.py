"""The command `rerankd` of an installed wheel: the program that came with it."""
import os
import pathlib
import sys

PROGRAM = pathlib.Path(__file__).resolve().parent / "bin/rerankd"


def main():
    if not PROGRAM.exists():
        sys.exit("rerankd: this installation is the Python client alone; a wheel of the program is made by `make packages`")
    os.execv(PROGRAM, ["rerankd", *sys.argv[1:]])
