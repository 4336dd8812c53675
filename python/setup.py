"""Takes what has been built along, so that the wheel works by itself: librerank.so, the program, the built-in model.

RERANKD_BUILD: the build folder, build/release of this checkout when it is not set. Without one the package is a client of servers.
packaging/wheel.sh makes the wheel that is published.
"""
import os
import pathlib
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution
from wheel.bdist_wheel import bdist_wheel

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("RERANKD_BUILD", TOP / "build/release"))
LIBRARY = BUILD / "librerank.so"
MODEL = TOP / "models/rerankd-mini-en"


class Build(build_py):
    def run(self):
        super().run()
        package = pathlib.Path(self.build_lib) / "rerankd"
        if not LIBRARY.exists():
            return
        for source, place in ((LIBRARY, "lib/librerank.so"), (BUILD / "rerankd", "bin/rerankd")):
            (package / place).parent.mkdir(exist_ok=True)
            shutil.copy(source, package / place)
        shutil.copytree(MODEL, package / "share/rerankd/models" / MODEL.name, dirs_exist_ok=True)


class Platform(Distribution):
    def has_ext_modules(self):
        return LIBRARY.exists()  # then the wheel belongs to this platform


class Tag(bdist_wheel):
    def get_tag(self):
        _, _, platform = super().get_tag()
        return "py3", "none", platform  # the library is reached through ctypes: any Python 3 will do


setup(cmdclass={"build_py": Build, "bdist_wheel": Tag}, distclass=Platform)
