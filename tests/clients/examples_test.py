#!/usr/bin/env python3
"""Runs the examples against the real program: both rankings are printed, the right note is first after reranking, and the answer
is taken from it, or written by a language model where one is named.
"""
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("RERANKD", str(SOURCE / "build/release/rerankd"))
sys.path.insert(0, str(SOURCE / "tests/support"))
from rerankd_server import Server  # noqa: E402

EXAMPLES = {"langchain_rag.py": ".venv-clients-cohere5", "llama_index_rag.py": ".venv-clients-cohere5", "haystack_rag.py": ".venv-clients"}
KEY = "key-of-the-examples"
FIRST = {"Why do my knees hurt?": ("saddle-height", "sit too low"),
         "Why does my chain jump when I pedal hard?": ("chain-wear", "A gauge that costs a few coins shows it"),
         "Can I charge the battery in the cold?": ("battery", "warm up for an hour")}


class LanguageModel(http.server.BaseHTTPRequestHandler):
    """An OpenAI-compatible endpoint that repeats the question and the length of its notes."""
    asked = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, self.headers["Authorization"], body))
        answer = json.dumps({"choices": [{"message": {"role": "assistant", "content": "written by a model"}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@unittest.skipUnless(all((SOURCE / name / "bin/python").exists() for name in EXAMPLES.values()), "make clients makes the environments")
class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server("--model", SOURCE / "models/rerankd-mini-en", environment={"RERANKD_API_KEY": KEY}))

    def run_example(self, name, *options, **environment):
        ran = subprocess.run([SOURCE / EXAMPLES[name] / "bin/python", SOURCE / "examples" / name, "--url", self.server.url, "--key", KEY,
                              *options], capture_output=True, text=True, timeout=120,
                             env={**os.environ, "HAYSTACK_TELEMETRY_ENABLED": "False", "PYTHONDONTWRITEBYTECODE": "1", **environment})
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return ran.stdout

    def check(self, name):
        blocks = self.run_example(name).strip().split("\n\n")
        self.assertEqual([block.split("\n")[0] for block in blocks], list(FIRST))
        moved = 0
        for block in blocks:
            question, head, *rows, answer = block.split("\n")
            first, part = FIRST[question]
            self.assertEqual(head.split(), ["BM25", "reranked"])
            before_score, before, after_score, after = rows[0].split()
            self.assertEqual(after, first, block)
            self.assertLess(0, float(after_score))
            self.assertLess(float(after_score), 1)
            self.assertTrue(answer.startswith("  answer: ") and part in answer, block)
            self.assertGreater(float(before_score), 0)
            moved += before != after
        self.assertGreater(moved, 0, "reranking has moved nothing to the front")

    def test_language_model(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), LanguageModel)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        question = "Why do my knees hurt?"
        out = self.run_example("haystack_rag.py", "--question", question, OPENAI_API_KEY="secret", OPENAI_MODEL="m",
                               OPENAI_BASE_URL=f"http://127.0.0.1:{server.server_port}/v1")
        self.assertIn("answer: written by a model", out)
        (path, authorization, body), = LanguageModel.asked
        self.assertEqual((path, authorization, body["model"]), ("/v1/chat/completions", "Bearer secret", "m"))
        self.assertIn("sit too low", body["messages"][0]["content"])
        self.assertEqual(body["messages"][-1], {"role": "user", "content": question})


for example in EXAMPLES:
    setattr(Examples, f"test_{example.removesuffix('.py')}", lambda self, name=example: self.check(name))

if __name__ == "__main__":
    unittest.main()
