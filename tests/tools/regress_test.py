#!/usr/bin/env python3
"""What tools/regress says of counts; the counting itself needs valgrind and minutes. RERANKD_SOURCE_DIR names the checkout."""
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import sys
import tempfile
import unittest

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

    def test_the_history_can_be_read(self):
        for line in (SOURCE / "bench/history.jsonl").read_text().splitlines():
            self.assertEqual(len(json.loads(line)["commit"]), 40)
            self.assertGreater(min(json.loads(line)["instructions"].values()), 0)


if __name__ == "__main__":
    unittest.main()
