#!/usr/bin/env python3
"""What tools/regress says of counts; the counting itself needs valgrind and minutes. RERANKD_SOURCE_DIR names the checkout."""
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

SOURCE = pathlib.Path(os.environ["RERANKD_SOURCE_DIR"])
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("regress", str(SOURCE / "tools/regress"))
regress = importlib.util.module_from_spec(importlib.util.spec_from_loader("regress", loader))
loader.exec_module(regress)


class CompareTest(unittest.TestCase):
    def test_what_moved_is_named(self):
        base = {"same": 1000, "noise": 1000, "more": 1000, "less": 1000, "gone": 5}
        rows, worse = regress.compare(base, {"same": 1000, "noise": 1009, "more": 1011, "less": 900, "new": 7}, 1.0)
        self.assertEqual(worse, ["more"])
        said = {row.split()[0]: row for row in rows}
        self.assertTrue(said["more"].endswith("+1.10 %  MORE"))
        self.assertTrue(said["less"].endswith("-10.00 %  less"))
        self.assertTrue(said["noise"].endswith("+0.90 %"))
        self.assertTrue(said["new"].endswith("new"))
        self.assertTrue(said["gone"].endswith("gone"))

    def test_the_latest_line_of_a_commit_counts(self):
        with tempfile.TemporaryDirectory() as folder:
            history = pathlib.Path(folder) / "history.jsonl"
            self.assertIsNone(regress.remembered("a", history))
            lines = [("a", 1), ("b", 2), ("a", 3)]
            history.write_text("".join(json.dumps({"commit": c, "instructions": {"x": n}}) + "\n" for c, n in lines))
            self.assertEqual(regress.remembered("a", history), {"x": 3})
            self.assertIsNone(regress.remembered("c", history))

    def test_the_base_is_counted_once_and_a_path_that_costs_more_ends_with_1(self):
        """main() over a repository of its own, in which the programs counted are files of numbers."""
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)

            def git(*arguments):
                subprocess.run(["git", "-C", root, "-c", "user.name=t", "-c", "user.email=t@t", *arguments], check=True, capture_output=True)

            git("init", "-q", "-b", "main")
            for counts in ({"plan": 1000, "cache": 500}, {"plan": 1100, "cache": 500}):
                (root / "CMakeLists.txt").write_text(json.dumps(counts))
                git("add", "CMakeLists.txt")
                git("commit", "-q", "-m", "x")
            measured = []

            def measure(program):
                measured.append(program)
                return json.loads(program.read_text())

            with mock.patch.multiple(regress, ROOT=root, HISTORY=root / "none", measure=measure, build=lambda source, _: source / "CMakeLists.txt"), \
                    mock.patch("shutil.which", return_value="valgrind"), mock.patch("sys.argv", ["regress"]), \
                    contextlib.redirect_stdout(io.StringIO()) as said:
                for wanted in (2, 1):  # here and the base; here
                    measured.clear()
                    with self.assertRaisesRegex(SystemExit, "more instructions by 1.0 % or more: plan$"):
                        regress.main()
                    self.assertEqual(len(measured), wanted)
                with mock.patch("sys.argv", ["regress", "--base", "HEAD"]):
                    regress.main()
            self.assertRegex(said.getvalue(), r"plan +1,000 +1,100 +\+10.00 %  MORE")

    def test_the_history_can_be_read(self):
        for line in (SOURCE / "bench/history.jsonl").read_text().splitlines():
            self.assertEqual(len(json.loads(line)["commit"]), 40)
            self.assertGreater(min(json.loads(line)["instructions"].values()), 0)


if __name__ == "__main__":
    unittest.main()
