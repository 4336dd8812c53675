"""The Python package, in process and against a server: the same scores, and those that were recorded.

Run by ctest; by hand: RERANKD=build/release/rerankd RERANKD_LIBRARY=build/release/librerank.so RERANKD_SOURCE_DIR=.
python3 tests/python/python_test.py
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(os.environ["RERANKD_SOURCE_DIR"]).resolve()
sys.path.insert(0, str(SOURCE / "python"))
from rerankd import CrossEncoder, RerankError  # noqa: E402

MODEL = SOURCE / "tests/data/models/xlm-roberta-a"


class PythonTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.golden = [json.loads(line) for line in (MODEL / "golden.jsonl").read_text().splitlines()]
        cls.pairs = [(g["query"], g["document"]) for g in cls.golden]
        cls.process = subprocess.Popen([os.environ["RERANKD"], "serve", "--port", "0", "--model", str(MODEL), "--precision", "fp32",
                                        "--api-key", "key-of-the-test"], stderr=subprocess.PIPE, text=True)
        cls.url = next(found.group(1) for line in cls.process.stderr if (found := re.search(r"listening on (http://\S+)", line)))
        cls.server = CrossEncoder(url=cls.url, api_key="key-of-the-test")
        cls.library = CrossEncoder(MODEL, precision="fp32", threads=1)

    @classmethod
    def tearDownClass(cls):
        cls.library.close()
        cls.process.terminate()
        cls.process.wait()
        cls.process.stderr.close()

    def test_pairs_have_the_recorded_logits_both_ways(self):
        for model in (self.server, self.library):
            for logit, g in zip(model.predict(self.pairs, raw_scores=True), self.golden):
                self.assertAlmostEqual(logit, g["logit"], delta=1e-4)

    def test_ranks_as_cross_encoder_does(self):
        documents = ["rain falls", "cats and dogs", "", "rain falls"]
        ranked = self.library.rank("what is rain?", documents, top_k=3, return_documents=True)
        self.assertEqual(len(ranked), 3)
        self.assertEqual([r["text"] for r in ranked], [documents[r["corpus_id"]] for r in ranked])
        scores = list(self.library.predict([("what is rain?", d) for d in documents]))
        self.assertEqual([r["score"] for r in ranked], sorted((r["score"] for r in ranked), reverse=True))
        self.assertAlmostEqual(ranked[0]["score"], max(scores), places=6)
        self.assertAlmostEqual(self.library.predict(("what is rain?", "rain falls")), scores[0], places=6)
        for ours, theirs in zip(ranked, self.server.rank("what is rain?", documents, top_k=3)):
            self.assertEqual(ours["corpus_id"], theirs["corpus_id"])
            self.assertAlmostEqual(ours["score"], theirs["score"], places=5)
        self.assertEqual(self.server.rank("q", []), [])

    def test_says_what_is_wrong(self):
        with self.assertRaisesRegex(RerankError, "no/such"):
            CrossEncoder("/no/such/folder")
        with self.assertRaisesRegex(RerankError, "colour: no such setting"):
            CrossEncoder(MODEL, colour="red")
        with self.assertRaises(RerankError) as refused:
            CrossEncoder(url=self.url, api_key="wrong").rank("q", ["d"])
        self.assertEqual(refused.exception.code, 401)
        with self.assertRaisesRegex(RerankError, "127.0.0.1:9"):
            CrossEncoder(url="http://127.0.0.1:9").rank("q", ["d"])
        with self.assertRaises(TypeError):
            CrossEncoder("model", url=self.url)
        with self.assertRaises(ValueError):
            self.library.predict([("one", "two", "three")])

    def test_odd_texts_are_scored(self):
        scores = self.library.predict([("", ""), ("a\0b", "\ud800 lone"), ("🙂", "汉字" * 5000)])
        self.assertEqual(len(scores), 3)
        for score in scores:
            self.assertTrue(0 <= score <= 1)


if __name__ == "__main__":
    unittest.main()
