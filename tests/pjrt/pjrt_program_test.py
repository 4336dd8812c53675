#!/usr/bin/env python3
"""The program with the fake plugin: convert, inspect, score and serve; and a server whose other engine goes on.

RERANKD, RERANKD_SOURCE_DIR and RERANKD_FAKE_PJRT name the program, the checkout and the folder of the plugins.
"""
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.request

SOURCE = pathlib.Path(os.environ["RERANKD_SOURCE_DIR"])
PROGRAM = os.environ["RERANKD"]
PLUGINS = pathlib.Path(os.environ["RERANKD_FAKE_PJRT"])
MODEL = SOURCE / "tests/data/models/bert-a"
sys.path.insert(0, str(SOURCE / "tests/support"))
from rerankd_server import Server, free_port, get, wait_for  # noqa: E402

PJRT = ["--engine", "pjrt", "--pjrt-plugin", str(PLUGINS / "libfake_pjrt_good.so"), "--pjrt-shapes", "1x64,8x16"]


def run(*arguments, check=True, text_in="", **environment):
    done = subprocess.run([PROGRAM, *map(str, arguments)], input=text_in, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "RERANKD_LOG_LEVEL": "warning", **environment})
    if check and done.returncode != 0:
        raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stderr}")
    return done


class ConvertTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.out = pathlib.Path(self.folder.name) / "out"

    def refusal(self, *arguments):
        done = run("convert", MODEL, self.out, *arguments, check=False)
        self.assertNotEqual(0, done.returncode, arguments)
        return done.stderr

    def test_text_and_weights_belong_together(self):
        run("convert", MODEL, self.out, "--to", "stablehlo", "--pjrt-shapes", "2x16,1x64", "--precision", "bf16")
        with open(self.out / "weights.safetensors", "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
            at, size = file.tell(), os.fstat(file.fileno()).st_size
        types = {"f32": "F32", "bf16": "BF16"}
        for shape in ("2x16", "1x64"):
            text = (self.out / f"model-{shape}.mlir").read_text()
            arguments = re.findall(r"^ {6}%(\w+): tensor<([0-9x]+)x(\w+)>", text, re.M)
            self.assertEqual([a[0] for a in arguments[:3]], ["ids", "lengths", "segments"])
            self.assertEqual([(name, [int(d) for d in dims.split("x")], types[element]) for name, dims, element in arguments[3:]],
                             [(name, entry["shape"], entry["dtype"]) for name, entry in header.items()])
        begin = 0  # one after another, to the end of the file
        for entry in header.values():
            self.assertEqual(begin, entry["data_offsets"][0])
            begin = entry["data_offsets"][1]
        self.assertEqual(size, at + begin)

    def test_programs_that_were_compiled_ahead_are_loaded(self):
        done = run("convert", MODEL, self.out, "--to", "pjrt", "--precision", "fp32", *PJRT[2:])
        self.assertIn("for Fake Device", done.stdout)
        report = json.loads((self.out / "report.json").read_text())
        self.assertEqual([(p["rows"], p["length"]) for p in report["programs"]], [(1, 64), (8, 16)])
        done = run("score", "--model", MODEL, *PJRT, "--precision", "fp32", "--pjrt-cache", self.out, "--max-length", "64", RERANKD_LOG_LEVEL="info",
                   text_in='{"query": "a", "document": "b"}\n')
        self.assertEqual(2, done.stderr.count("from --pjrt-cache"), done.stderr)
        self.assertIn("2 of them in --pjrt-cache", run("inspect", MODEL, *PJRT, "--precision", "fp32", "--pjrt-cache", self.out).stdout)

    def test_what_cannot_be_written_is_said(self):
        self.assertIn("a StableHLO program can be fp32 or bf16", self.refusal("--to", "stablehlo", "--precision", "int8"))
        self.assertIn("can be fp32 or bf16", self.refusal("--to", "pjrt", "--precision", "int8", *PJRT[2:]))
        self.assertIn("8x128", self.refusal("--to", "stablehlo", "--pjrt-shapes", "8"))
        self.assertIn("--pjrt-plugin names none", self.refusal("--to", "pjrt"))
        self.assertIn("must be onnx, safetensors, stablehlo or pjrt", self.refusal("--to", "tflite"))
        self.assertIn("lacks the function TopologyDescription_Create", self.refusal("--to", "pjrt", "--pjrt-topology", "v5e:1x1", *PJRT[2:]))
        self.assertIn("Ran out of memory", self.refusal("--to", "pjrt", *PJRT[2:], "--pjrt-options", "full_rows=8"))


class ServeTest(unittest.TestCase):
    BODY = {"query": "a b", "documents": ["one", "two three four", "five six"], "raw_scores": True}

    def test_requests_are_answered_by_the_devices_of_a_plugin(self):
        with Server("--model", MODEL, *PJRT, "--pjrt-options", "devices=2", "--devices", "0,1", "--max-length", "64") as server:
            self.assertIn("pjrt", get(server.url + "/info"))
            results = server.post("/v1/rerank", self.BODY)["results"]
            self.assertEqual(sorted(r["index"] for r in results), [0, 1, 2])

    def test_a_plugin_that_is_none_ends_its_own_server(self):
        done = run("serve", "--model", MODEL, "--port", "0", "--engine", "pjrt", "--pjrt-plugin", PLUGINS / "libfake_pjrt_major.so", check=False)
        self.assertNotEqual(0, done.returncode)
        self.assertIn("has version 1.81 of PJRT's interface", done.stderr)

    def test_a_server_of_another_engine_goes_on(self):
        key, port = "k" * 16, free_port()
        admin = f"http://127.0.0.1:{port}/admin/models"

        def ask(body=None):
            request = urllib.request.Request(admin, body and json.dumps(body).encode(), {"Authorization": "Bearer " + key, "Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read().decode()

        with Server("--model", f"first={MODEL}", "--engine", "cpu", "--admin-key", key, "--read-only-metrics-address", f"127.0.0.1:{port}") as server:
            ask({"action": "load", "name": "second", "model": str(MODEL), "engine": "pjrt", "pjrt-plugin": str(PLUGINS / "libfake_pjrt_old.so")})
            wait_for(lambda: "0.60" in ask(), 60, "the refusal is not in the list")
            self.assertEqual(3, len(server.post("/v1/rerank", self.BODY)["results"]))

    def test_an_unknown_flag_of_xla_is_spoken_of_at_start(self):
        done = run("score", "--model", MODEL, *PJRT, "--max-length", "64", text_in='{"query": "a", "document": "b"}\n',
                   XLA_FLAGS="--xla_no_such_flag")
        self.assertIn("--xla_no_such_flag", done.stderr)
        self.assertIn("ends the process", done.stderr)


class PluginForCpusTest(unittest.TestCase):
    """XLA itself, where tools/pjrt.sh has fetched it. RERANKD_PJRT_REQUESTS: how many requests; 100000 by hand."""
    PLUGIN = SOURCE / ".deps/pjrt/newest.so"
    REQUESTS = int(os.environ.get("RERANKD_PJRT_REQUESTS", "400"))
    CLIENTS, BODIES = 4, 97

    def setUp(self):
        if not self.PLUGIN.exists():
            self.skipTest(f"{self.PLUGIN} is not there: tools/pjrt.sh fetches it")

    @classmethod
    def body(cls, number):
        pick = random.Random(number)
        words = ["panda", "bear", "bamboo", "Paris", "rain", "snow", "winter", "river", "capital", "grass"]
        text = lambda most: " ".join(pick.choice(words) for _ in range(pick.randint(1, most)))  # noqa: E731
        return json.dumps({"query": text(6), "documents": [text(50) for _ in range(pick.randint(1, 12))], "raw_scores": True})

    @staticmethod
    def connection(server):
        return contextlib.closing(http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=120))

    @staticmethod
    def ask(connection, body):
        connection.request("POST", "/v1/rerank", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return {result["index"]: result["relevance_score"] for result in json.loads(text)["results"]}

    def test_every_score_of_many_requests_is_that_of_the_cpu_engine(self):
        bodies = [self.body(number) for number in range(self.BODIES)]
        common = ["--model", MODEL, "--precision", "fp32", "--max-length", "64", "--cache-bytes", "0"]
        with Server(*common, "--engine", "cpu") as server:
            with self.connection(server) as connection:
                expected = [self.ask(connection, body) for body in bodies]
        wrong, done = [], []

        def client(number):
            pick = random.Random(number)
            with self.connection(server) as connection:
                for _ in range(self.REQUESTS // self.CLIENTS):
                    which = pick.randrange(self.BODIES)
                    found = self.ask(connection, bodies[which])
                    if found.keys() != expected[which].keys() or any(abs(found[i] - expected[which][i]) > 1e-4 for i in found):
                        wrong.append((which, found, expected[which]))
                    done.append(which)

        with Server(*common, "--engine", "pjrt", "--pjrt-plugin", self.PLUGIN, "--pjrt-shapes", "1x64,8x64,16x32") as server:
            threads = [threading.Thread(target=client, args=(number,)) for number in range(self.CLIENTS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual([], wrong[:3])
        self.assertEqual(self.REQUESTS // self.CLIENTS * self.CLIENTS, len(done))


if __name__ == "__main__":
    unittest.main()
