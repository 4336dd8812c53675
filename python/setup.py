"""Takes librerank.so and the built-in model along where they have been built, so that the wheel works by itself."""
import os
import pathlib
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

TOP = pathlib.Path(__file__).resolve().parent.parent
LIBRARY = pathlib.Path(os.environ.get("RERANKD_LIBRARY", TOP / "build/release/librerank.so"))
MODEL = TOP / "models/rerankd-mini-en"


class Build(build_py):
    def run(self):
        super().run()
        package = pathlib.Path(self.build_lib) / "rerankd"
        if LIBRARY.exists():
            shutil.copyfile(LIBRARY, package / "librerank.so")
            shutil.copytree(MODEL, package / "models" / MODEL.name, dirs_exist_ok=True)


class Platform(Distribution):
    def has_ext_modules(self):
        return LIBRARY.exists()  # then the wheel belongs to this platform


setup(cmdclass={"build_py": Build}, distclass=Platform)
