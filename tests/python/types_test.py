#!/usr/bin/env python3
"""The package's type hints: the package itself, and a user's code that is right or wrong, under a type checker (basedpyright, a build of
pyright that PyPI has with all that it needs).

By hand: .venv-clients/bin/python tests/python/types_test.py. It is skipped (exit status 77) without basedpyright (make clients).
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
CHECKER = SOURCE / ".venv-clients/bin/basedpyright"
if not CHECKER.exists():
    print("skipped: needs basedpyright (make clients)")
    sys.exit(77)

RIGHT = """
from rerankd import CrossEncoder

model = CrossEncoder("http://127.0.0.1:8080", max_length=256)
scores = model.predict([("what is a panda?", "a bear"), ("what is a panda?", "a library")], show_progress_bar=False)
ranked = model.rank("what is a panda?", ["a bear", "a library"], top_k=1, return_documents=True)
first: float = float(ranked[0]["score"])
print(len(scores), first)
"""
WRONG = """
from rerankd import CrossEncoder

model = CrossEncoder("http://127.0.0.1:8080")
model.predict([("what is a panda?", "a bear")], batchsize=8)
model.rank("what is a panda?", ["a bear"], topk=1)
"""


def errors(project, *files):
    """Of the files, or of the whole project, as "line: rule"."""
    done = subprocess.run([CHECKER, "-p", project, "--outputjson", *map(str, files)], capture_output=True, text=True, timeout=250)
    found = json.loads(done.stdout)["generalDiagnostics"]
    return [f"{pathlib.Path(each['file']).name}:{each['range']['start']['line'] + 1}: {each['message']}" for each in found if each["severity"] == "error"]


class TypesTest(unittest.TestCase):
    def test_the_package_has_no_errors(self):
        self.assertEqual(errors(SOURCE / "python"), [])

    def test_a_users_code(self):
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder)
            (place / "pyproject.toml").write_text('[tool.basedpyright]\ntypeCheckingMode = "standard"\n'
                                                  f'extraPaths = ["{SOURCE / "python"}"]\nreportMissingImports = false\n')
            for name, text in (("right.py", RIGHT), ("wrong.py", WRONG)):
                (place / name).write_text(text)
            found = errors(place)
            self.assertEqual([line for line in found if line.startswith("right")], [])
            self.assertEqual([line.split(":")[1] for line in found if line.startswith("wrong")], ["5", "6"])


if __name__ == "__main__":
    unittest.main()
