"""What the cases of real clients share. A case is a function that gets a base URL and a key, makes one real call with
TEXTS and QUERY, asserts the fields that a user of the client reads, and returns [(index of the text, score)] as the client gave
them. `main` runs the cases of a file and prints a line of JSON for each; real_clients.py starts it in the right environment.
"""
import contextlib
import importlib.metadata
import io
import json
import os
import re
import sys
import traceback

QUERY = "what do pandas eat?"
TEXTS = ["Paris is the capital of France.", "The giant panda eats bamboo.", "Rain falls from clouds.",
         "Pandas is a Python library.", "Bamboo is a grass, and pandas live on it."]
TOP_N = 3
MODEL = "rerankd-mini-en"
CASES = []


def client(name, package, base, reads, **more):
    """A case. base: what the user types after http://HOST:PORT. more: key=False, the client can't send an API key; raw=True, it
    reads logits; fails=(a part of the error, what to do instead), it is known not to work; stand_in, of which store.
    """
    def add(function):
        CASES.append({"name": name, "package": package, "base": base, "reads": reads, "key": True, "raw": False, "fails": None, "stand_in": None,
                      **more, "run": function})
        return function
    return add


def place(text):
    return TEXTS.index(text)


def attempt(case, url, key, expected):
    """None, or why it failed."""
    kind = "logits" if case["raw"] else "scores"
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            answer = case["run"](url + case["base"], key)
        assert [i for i, _ in answer] == expected["order"][:TOP_N], f"order {answer}, expected {expected['order'][:TOP_N]}"
        for index, score in answer:
            assert abs(score - expected[kind][index]) < 1e-4, f"score of {index}: {score}, expected {expected[kind][index]}"
    except Exception as error:  # of any package: it is the result
        if os.environ.get("REAL_CLIENTS_TRACE"):
            traceback.print_exc()
        cause = f" ({error.__cause__!r})" if error.__cause__ else ""
        return re.sub(r"\s+", " ", f"{type(error).__name__}: {error}{cause}")[:300]
    return None


def main():
    """argv: JSON with open and closed (URLs), key, expected {order, scores, logits}, only (a part of a name)."""
    run = json.loads(sys.argv[1])
    for case in CASES:
        if run["only"] not in case["name"]:
            continue
        row = {name: case[name] for name in ("name", "package", "base", "reads", "key", "fails", "stand_in")}
        row["version"] = importlib.metadata.version(case["package"])
        row["open"] = attempt(case, run["open"], "any-key", run["expected"])
        row["closed"] = attempt(case, run["closed"], run["key"], run["expected"])
        row["wrong_key"] = attempt(case, run["closed"], "wrong-key", run["expected"])
        print(json.dumps(row), flush=True)
