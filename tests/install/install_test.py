"""What `make install` puts into a prefix works by itself: the program with its model, the library by pkg-config and by CMake, manual
pages and completions; with the checkout out of sight where this user may mount.

RERANKD_SOURCE_DIR, RERANKD_BUILD: the checkout and a build folder that has rerankd and librerank.so.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["RERANKD_SOURCE_DIR"]).resolve()
BUILD = pathlib.Path(os.environ.get("RERANKD_BUILD", SOURCE / "build/release")).resolve()
QUESTION = ["rank", "--query", "what do pandas eat?", "--top-n", "1"]
TEXTS = "Paris is in France.\nPandas eat bamboo.\n"


def run(*command, **more):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, **more)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def may_mount():
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0 if shutil.which("unshare") else False


class InstallTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix=f"install-test-{os.getpid()}-", dir="/var/tmp")
        cls.prefix = pathlib.Path(cls.folder.name) / "prefix"
        run("cmake", "--install", BUILD, "--prefix", cls.prefix, "--strip")
        cls.environment = {**os.environ, "PKG_CONFIG_PATH": str(cls.prefix / "lib/pkgconfig"), "LD_LIBRARY_PATH": str(cls.prefix / "lib")}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_the_program_answers(self):
        self.assertIn("Pandas eat bamboo.", run(self.prefix / "bin/rerankd", *QUESTION, input=TEXTS))

    @unittest.skipUnless(may_mount(), "needs to mount")
    def test_the_program_answers_without_the_checkout(self):
        hide = f"unset TSAN_OPTIONS; mount -t tmpfs none {SOURCE} && exec \"$@\""  # which names a file of the checkout
        out = run("unshare", "--mount", "sh", "-c", hide, "sh", self.prefix / "bin/rerankd", *QUESTION, input=TEXTS, cwd="/")
        self.assertIn("Pandas eat bamboo.", out)

    def test_below_destdir(self):
        root = pathlib.Path(self.folder.name) / "root"
        run("make", "install", f"DESTDIR={root}", "PREFIX=/usr", cwd=SOURCE) if BUILD == SOURCE / "build/release" else self.skipTest("build")
        self.assertTrue((root / "usr/bin/rerankd").exists())
        self.assertTrue((root / "usr/share/man/man1/rerankd-serve.1").exists())

    def test_examples_build_with_pkg_config(self):
        flags = run("pkg-config", "--cflags", "--libs", "rerank", env=self.environment).split()
        out = pathlib.Path(self.folder.name) / "embed"
        run(*os.environ.get("CC", "cc").split(), SOURCE / "examples/embed/embed.c", "-Wall", "-Werror", *flags, "-o", out)
        first = run(out, env=self.environment).splitlines()[0]
        self.assertTrue(first.endswith("Pandas eat bamboo."), first)

    def test_examples_build_with_cmake(self):
        build = pathlib.Path(self.folder.name) / "cmake"
        run("cmake", "-S", SOURCE / "examples/embed", "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror")
        run("cmake", "--build", build)
        lines = run(build / "embed_cc", env=self.environment).splitlines()
        self.assertTrue(lines[0].endswith("Pandas eat bamboo."), lines)
        self.assertEqual(len(lines), 5)
        self.assertGreater(float(lines[2]), max(map(float, lines[3:])), "Paris")
        self.assertEqual(run(build / "embed_c", env=self.environment).splitlines(), lines[:2])

    def test_pages_are_there(self):
        for path in ("man/man1/rerankd.1", "man/man1/rerankd-rank.1", "bash-completion/completions/rerankd", "zsh/site-functions/_rerankd",
                     "fish/vendor_completions.d/rerankd.fish", "rerankd/rerankd.toml", "rerankd/systemd/rerankd.service"):
            self.assertGreater((self.prefix / "share" / path).stat().st_size, 100, path)
        page = (self.prefix / "share/man/man1/rerankd.1").read_text()
        self.assertIn(";", page)
        self.assertIn("\\-\\-log\\-level", page)


if __name__ == "__main__":
    if not (BUILD / "librerank.so").exists():
        print("skipped: librerank.so is not built")
        sys.exit(77)
    unittest.main()
