"""Graphs and programs in place of weights, and what `convert` writes.

Run by ctest; by hand: RERANKD=build/release/rerankd RERANKD_SOURCE_DIR=. python3 tests/cli/files_test.py
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest
import urllib.error

from program import CPU_FP32, MODELS, ONNX_FP32, PROGRAM, SOURCE, Server, run


class GraphTest(unittest.TestCase):
    """A folder with nothing but config.json, tokenizer.json and an exported graph."""

    def setUp(self):
        listed = run("inspect", MODELS / "bert-a", "--onnx-file", SOURCE / "tests/data/graphs/bert-a-torchscript.onnx").stdout
        if re.search(r"onnx .*(built without|is not there)", listed):
            self.skipTest(listed)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.place = pathlib.Path(self.folder.name)
        (self.place / "onnx").mkdir()
        for name in ("config.json", "tokenizer.json"):
            (self.place / name).write_bytes((MODELS / "bert-a" / name).read_bytes())
        graph = (SOURCE / "tests/data/graphs/bert-a-torchscript.onnx").read_bytes()
        (self.place / "onnx/model.onnx").write_bytes(graph)

    def test_it_serves_as_it_is(self):
        golden = [json.loads(line) for line in (MODELS / "bert-a/golden.jsonl").read_text().splitlines()]
        shown = run("inspect", self.place).stdout
        self.assertRegex(shown, r"cpu +does not run: .*model.safetensors")
        self.assertRegex(shown, r"onnx +runs: fp32, .*onnx/model.onnx \(opset 14")
        with Server("--model", self.place) as server:
            for g in golden:
                answer = server.post("/rerank", {"query": g["query"], "texts": [g["document"]], "raw_scores": True})
                self.assertAlmostEqual(answer[0]["score"], g["logit"], delta=ONNX_FP32)
            answer = server.post("/v1/rerank", {"query": golden[0]["query"], "documents": [g["document"] for g in golden]})
            self.assertEqual(len(answer["results"]), len(golden))
            self.assertIn('engine="onnx"', server.get("/metrics"))

    def test_an_architecture_that_only_the_graph_knows(self):
        config = json.loads((self.place / "config.json").read_text())
        config["architectures"], config["model_type"] = ["FunnelForSequenceClassification"], "funnel"
        (self.place / "config.json").write_text(json.dumps(config))
        g = json.loads((MODELS / "bert-a/golden.jsonl").read_text().splitlines()[0])
        line = json.dumps({"query": g["query"], "document": g["document"]})
        score = json.loads(run("score", "--model", self.place, text_in=line).stdout)
        self.assertAlmostEqual(score["logit"], g["logit"], delta=ONNX_FP32)
        self.assertIn("Funnel", run("score", "--model", self.place, "--engine", "cpu", text_in=line, check=False).stderr)

    def test_what_is_wrong_is_named(self):
        def error(*arguments):
            done = run("score", "--model", self.place, "--engine", "onnx", *arguments, text_in="", check=False)
            self.assertIn(done.returncode, (1, 2), done.stderr)
            return done.stderr

        library = self.place / "library.so"
        self.assertIn("no such file", error("--onnxruntime-library", library))
        library.write_text("a text")
        self.assertIn("library.so: cannot be loaded", error("--onnxruntime-library", library))
        self.assertIn("not ONNX Runtime", error("--onnxruntime-library", os.environ["RERANKD_OTHER_LIBRARY"]))
        self.assertIn("1.2.0 is too old", error("--onnxruntime-library", os.environ["RERANKD_OLD_ONNXRUNTIME"]))
        self.assertIn("it has cpu", error("--onnx-provider", "warp").replace("azure, ", ""))
        self.assertIn("--layers", error("--layers", 1))
        (self.place / "onnx/model.onnx").write_text("This is a text.")
        self.assertIn("onnx/model.onnx: not an ONNX model", error())


class TorchScriptTest(unittest.TestCase):
    """The program in a folder of its own, with a plugin beside it that needs no libtorch."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.place = pathlib.Path(self.folder.name)
        self.program = self.place / "rerankd"
        shutil.copy(PROGRAM, self.program)
        self.plugin = self.place / "librerankd_torchscript.so"
        self.model = self.place / "model"
        self.model.mkdir()
        for name in ("config.json", "tokenizer.json"):
            (self.model / name).write_bytes((MODELS / "bert-a" / name).read_bytes())
        (self.model / "model.pt").write_text("PK sum")

    def score(self, *documents, engine="torchscript"):
        lines = "".join(json.dumps({"query": "a", "document": d}) + "\n" for d in documents)
        return subprocess.run([self.program, "score", "--model", self.model, "--engine", engine], input=lines, capture_output=True,
                              text=True, timeout=120, check=False)

    def refusal(self):
        done = self.score("a")
        self.assertIn(done.returncode, (1, 2), done.stderr)
        return done.stderr

    def test_a_file_is_served_by_the_plugin_beside_the_program(self):
        shutil.copy(os.environ["RERANKD_FAKE_TORCHSCRIPT"], self.plugin)
        done = self.score("b")
        self.assertEqual(done.returncode, 0, done.stderr)
        ids = json.loads(run("tokenize", "--pair", "--model", self.model, text_in="a\tb\n").stdout)
        self.assertEqual(json.loads(done.stdout)["logit"], sum(ids))
        # A program, which runs only where it is asked for.
        refused = self.score("b", engine="auto")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("not torchscript: only where it is asked for, by --engine torchscript", refused.stderr)

    def test_plugins_that_are_none_and_those_of_other_builds(self):
        self.plugin.write_text("a text")
        self.assertRegex(self.refusal(), r"librerankd_torchscript.so: cannot be loaded: .*libtorch")
        shutil.copy(os.environ["RERANKD_OTHER_LIBRARY"], self.plugin)
        self.assertIn("is not rerankd's plugin", self.refusal())
        self.plugin.unlink()  # a library that is loaded must not be written over
        shutil.copy(os.environ["RERANKD_NEWER_TORCHSCRIPT"], self.plugin)
        self.assertIn("another version of rerankd", self.refusal())

    def test_files_that_are_none_and_those_that_libtorch_refuses(self):
        shutil.copy(os.environ["RERANKD_FAKE_TORCHSCRIPT"], self.plugin)
        (self.model / "model.pt").write_text("PK refuse")
        self.assertRegex(self.refusal(), r"model.pt: libtorch cannot serve it: .*pixel_values")
        (self.model / "model.pt").write_text("This is a text.")
        self.assertIn("model.pt: not a TorchScript file", self.refusal())

    def test_a_batch_that_fails_is_that_requests_error(self):
        shutil.copy(os.environ["RERANKD_FAKE_TORCHSCRIPT"], self.plugin)
        (self.model / "model.pt").write_text("PK fail")
        with Server("--model", str(self.model), "--engine", "torchscript", program=self.program) as server:
            def ask(document):
                return server.post("/v1/rerank", {"query": "a", "documents": [document]})["results"][0]["relevance_score"]

            before = ask("b")
            with self.assertRaises(urllib.error.HTTPError) as failed:
                ask("into")  # token 297 of the recorded model
            with failed.exception as answer:
                self.assertGreaterEqual(answer.code, 500)
            self.assertEqual(ask("b"), before)
            self.assertIn("ok", server.get("/health"))


class ConvertTest(unittest.TestCase):
    def test_a_model_becomes_a_folder_that_serves(self):
        golden = [json.loads(line) for line in (MODELS / "xlm-roberta-a/golden.jsonl").read_text().splitlines()]
        lines = "".join(json.dumps({"query": g["query"], "document": g["document"]}) + "\n" for g in golden)
        with tempfile.TemporaryDirectory() as folder:
            for to, precision in (("onnx", "fp32"), ("safetensors", "fp32")):
                out = pathlib.Path(folder) / to
                done = run("convert", MODELS / "xlm-roberta-a", out, "--to", to, "--precision", precision)
                if "not verified" in done.stdout:
                    continue
                self.assertRegex(done.stdout, r"largest \|logit - reference\| (0,|[\d.]+e-(0[5-9]|[1-9]\d))")
                scores = [json.loads(line) for line in run("score", "--model", out, "--precision", "fp32", text_in=lines).stdout.splitlines()]
                for score, g in zip(scores, golden):
                    self.assertAlmostEqual(score["logit"], g["logit"], delta=CPU_FP32)
            out = pathlib.Path(folder) / "int8"
            if "not verified" not in run("convert", MODELS / "bert-a", out, "--to", "onnx", "--precision", "int8").stdout:
                shown = run("inspect", out, "--precision", "int8").stdout
                self.assertRegex(shown, r"onnx +runs: int8, .*int8/model.onnx")
            self.assertIn("--to gguf", run("convert", MODELS / "bert-a", out, "--to", "gguf", check=False).stderr)


if __name__ == "__main__":
    unittest.main()
