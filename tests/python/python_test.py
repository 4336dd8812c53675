"""The Python package, in process and against a server: the same scores, and those that were recorded.

Run by ctest; by hand: RERANKD=build/release/rerankd RERANKD_LIBRARY=build/release/librerank.so RERANKD_SOURCE_DIR=.
python3 tests/python/python_test.py
"""
import http.server
import importlib.util
import inspect
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import types
import unittest
import unittest.mock

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

    def test_a_model_beside_another_and_one_of_several(self):
        other = CrossEncoder(SOURCE / "tests/data/models/bert-a", precision="fp32", beside=self.library)
        pair = ("what is rain?", "rain falls")
        self.assertNotEqual(other.predict(pair), self.library.predict(pair))
        other.close()
        named = CrossEncoder(url=self.url + "/models/xlm-roberta-a-reranker", api_key="key-of-the-test")
        self.assertEqual(named.predict(pair), self.server.predict(pair))
        with self.assertRaises(TypeError):
            CrossEncoder(MODEL, beside=self.server)

    def test_says_what_is_wrong(self):
        with self.assertRaisesRegex(RerankError, "no/such"):
            CrossEncoder("/no/such/folder")
        with self.assertRaisesRegex(RerankError, "colour: no such setting"):
            CrossEncoder(MODEL, colour="red")
        for number in (-1, 100000):
            with self.assertRaisesRegex(RerankError, "threads .*want 0 to"):
                CrossEncoder(MODEL, threads=number)
        with self.assertRaises(RerankError) as refused:
            CrossEncoder(url=self.url, api_key="wrong").rank("q", ["d"])
        self.assertEqual(refused.exception.code, 401)
        with self.assertRaisesRegex(RerankError, "127.0.0.1:9"):
            CrossEncoder(url="http://127.0.0.1:9").rank("q", ["d"])
        with self.assertRaises(TypeError):
            CrossEncoder("model", url=self.url)
        with self.assertRaises(ValueError):
            self.library.predict([("one", "two", "three")])

    def test_signatures_are_those_of_sentence_transformers(self):
        """Of 5.1: names, order and defaults; ours may have more, by keyword only."""
        theirs = {
            "__init__": "model_name_or_path num_labels max_length activation_fn device cache_folder trust_remote_code revision "
                        "local_files_only token model_kwargs tokenizer_kwargs config_kwargs model_card_data backend",
            "predict": "sentences batch_size show_progress_bar activation_fn apply_softmax convert_to_numpy convert_to_tensor",
            "rank": "query documents top_k return_documents batch_size show_progress_bar activation_fn apply_softmax convert_to_numpy "
                    "convert_to_tensor"}
        for name, parameters in theirs.items():
            ours = [p for p in inspect.signature(getattr(CrossEncoder, name)).parameters.values() if p.name != "self"]
            self.assertEqual([p.name for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD], parameters.split(), name)
        with self.assertRaises(TypeError):
            self.library.rank("q", ["d"], topk=1)
        with self.assertRaises(TypeError):
            self.library.predict([("q", "d")], raw=True)
        for unheard in ({"num_labels": 3}, {"trust_remote_code": True}, {"model_kwargs": {"attn": 1}}, {"backend": "openvino"}):
            with self.assertRaises(ValueError):
                CrossEncoder(MODEL, **unheard)
        with CrossEncoder(MODEL, 1, 64, precision="fp32", device="cpu", threads=1) as limited:
            self.assertIsInstance(limited.predict(("q", "word " * 500)), float)

    def test_a_bar_where_tqdm_is_installed(self):
        bars = []

        class Bar:
            def __init__(self, total, **_):
                self.total, self.done = total, 0
                bars.append(self)

            def update(self, count):
                self.done += count

            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

        installed = {"tqdm": types.ModuleType("tqdm"), "tqdm.auto": types.SimpleNamespace(tqdm=Bar)}
        with unittest.mock.patch.dict(sys.modules, installed):
            self.library.predict([("q", "d")] * 3, show_progress_bar=True)
            self.library.predict([("q", "d")] * 3)
        self.assertEqual([(bar.total, bar.done) for bar in bars], [(3, 3)])

    def test_activations_are_applied_to_logits(self):
        class Identity:
            def __call__(self, logits):
                return logits

        class Doubled:
            def __call__(self, logits):
                return logits * 2

        pairs = self.pairs[:5]
        logits = self.library.predict(pairs, raw_scores=True, convert_to_numpy=False)
        self.assertEqual(logits, self.library.predict(pairs, activation_fn=Identity(), convert_to_numpy=False))
        if importlib.util.find_spec("numpy") or importlib.util.find_spec("torch"):
            for ours, logit in zip(self.library.predict(pairs, activation_fn=Doubled()), logits):
                self.assertAlmostEqual(ours, 2 * logit, places=4)
        ranked = self.library.rank("what is rain?", ["rain falls", "cats"], activation_fn=Identity())
        self.assertEqual(ranked, self.library.rank("what is rain?", ["rain falls", "cats"], raw_scores=True))

    def test_pairs_of_any_kind(self):
        queries, documents = zip(*self.pairs)
        wanted = list(self.library.predict(self.pairs))
        for model in (self.library, self.server):
            for given in (zip(queries, documents), (list(pair) for pair in self.pairs), list(self.pairs)):
                for score, other in zip(model.predict(given), wanted, strict=True):
                    self.assertAlmostEqual(score, other, places=4)
        self.assertAlmostEqual(self.library.predict(inputs=self.pairs[:1])[0], wanted[0], places=5)
        for bad, message in (([("q", None)], "pair 0: document is None"), ([("q", "d"), (1, "d")], "pair 1: query is int"),
                             ([("a", "b", "c")], "pair 0: expected"), (["ab"], "pair 0: expected")):
            with self.assertRaisesRegex(ValueError, message):
                self.library.predict(bad)

    def test_a_busy_server_is_asked_again(self):
        answers = [(503, b'{"error":"loading"}'), (429, b'{"error":"later"}'), (200, b'[{"index":0,"score":1.5}]')]

        class Busy(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                status, body = answers.pop(0)
                self.send_response(status)
                if status != 200:
                    self.send_header("Retry-After", "0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy) as busy:
            busy.daemon_threads = True
            threading.Thread(target=busy.serve_forever, daemon=True).start()
            with CrossEncoder(url=f"http://127.0.0.1:{busy.server_port}") as model:
                self.assertEqual(model.rank("q", ["d"], raw_scores=True), [{"corpus_id": 0, "score": 1.5}])
            busy.shutdown()
        self.assertEqual(answers, [])

    def test_ctrl_c_ends_the_wait(self):
        code = ("import os, signal, sys, threading, time; sys.path.insert(0, sys.argv[1]); from rerankd import CrossEncoder\n"
                "model = CrossEncoder(sys.argv[2], precision='fp32', threads=1); model._name\n"
                "model.backend._counted = lambda *call: time.sleep(30)\n"
                "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
                "try: model.predict(('a', 'b'))\n"
                "except KeyboardInterrupt: print('interrupted', flush=True); os._exit(0)\n")
        run = subprocess.run([sys.executable, "-c", code, str(SOURCE / "python"), str(MODEL)], stdout=subprocess.PIPE, timeout=25, text=True)
        self.assertEqual(run.stdout, "interrupted\n")

    def test_ctrl_c_gives_up_what_is_computed_and_the_model_goes_on(self):
        code = ("import os, signal, sys, threading; sys.path.insert(0, sys.argv[1]); from rerankd import CrossEncoder\n"
                "model = CrossEncoder(sys.argv[2], precision='fp32', threads=1, cache_bytes=0)\n"
                "threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
                "try:\n  while True: model.predict([('q', f'{i} ' * 400) for i in range(512)])\n"
                "except KeyboardInterrupt: print('interrupted')\n"
                "assert model.backend.calls == 0\n"
                "print(len(model.predict([('a', 'b')])))\nmodel.close()\n")
        run = subprocess.run([sys.executable, "-c", code, str(SOURCE / "python"), str(MODEL)], stdout=subprocess.PIPE, timeout=60, text=True)
        self.assertEqual((run.returncode, run.stdout), (0, "interrupted\n1\n"))

    def test_without_the_library_there_is_one_error(self):
        code = "import sys; sys.path.insert(0, sys.argv[1]); from rerankd import CrossEncoder; CrossEncoder('x')"
        environment = {**os.environ, "RERANKD_LIBRARY": "/no/librerank.so", "LD_LIBRARY_PATH": ""}
        run = subprocess.run([sys.executable, "-c", code, str(SOURCE / "python")], stderr=subprocess.PIPE, env=environment, text=True)
        if (SOURCE / "python/rerankd/librerank.so").exists():
            self.skipTest("a library lies in the package")
        self.assertEqual(run.stderr.count("Traceback"), 1, run.stderr)
        self.assertIn("librerank.so cannot be loaded", run.stderr)

    def test_odd_texts_are_scored(self):
        scores = self.library.predict([("", ""), ("a\0b", "\ud800 lone"), ("🙂", "汉字" * 5000)])
        self.assertEqual(len(scores), 3)
        for score in scores:
            self.assertTrue(0 <= score <= 1)


if __name__ == "__main__":
    unittest.main()
