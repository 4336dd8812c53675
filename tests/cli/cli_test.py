"""The program as a user meets it: the README's commands, scores of recorded models, errors and exit codes, SIGTERM.

Run by ctest; by hand: RERANKD=build/release/rerankd RERANKD_SOURCE_DIR=. python3 tests/cli/cli_test.py
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

PROGRAM = os.path.abspath(os.environ["RERANKD"])
SOURCE = pathlib.Path(os.environ["RERANKD_SOURCE_DIR"]).resolve()
MODELS = SOURCE / "tests/data/models"


def run(*arguments, text_in="", check=True, **environment):
    done = subprocess.run([PROGRAM, *map(str, arguments)], input=text_in, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "RERANKD_LOG_LEVEL": "warning", **environment})
    if check and done.returncode != 0:
        raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stderr}")
    return done


class Server:
    """rerankd serve on a free port, for the length of a with block."""

    def __init__(self, *arguments, program=PROGRAM):
        self.arguments, self.program = arguments, program

    def __enter__(self):
        self.process = subprocess.Popen([self.program, "serve", "--port", "0", *self.arguments], stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            found = re.search(r"listening on (http://\S+)", line)
            if found:
                self.url = found.group(1)
                self.rest = threading.Thread(target=self.process.stderr.read, daemon=True)
                self.rest.start()
                return self
        raise AssertionError("the server did not start")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.exit_code = self.process.wait(timeout=60)
        self.rest.join()
        self.process.stderr.close()

    def post(self, path, body, **headers):
        headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return answer.read().decode()


class ScoreTest(unittest.TestCase):
    def test_scores_equal_recorded_logits(self):
        for folder in sorted(MODELS.iterdir()):
            golden = [json.loads(line) for line in (folder / "golden.jsonl").read_text().splitlines()]
            lines = "".join(json.dumps({"query": g["query"], "document": g["document"]}) + "\n" for g in golden)
            scores = [json.loads(line) for line in run("score", "--model", folder, "--precision", "fp32", text_in=lines).stdout.splitlines()]
            self.assertEqual(len(scores), len(golden))
            for score, g in zip(scores, golden):
                self.assertAlmostEqual(score["logit"], g["logit"], delta=1e-4, msg=folder.name)
                self.assertEqual(score["tokens"], len(g["ids"]))

    def test_a_bad_line_is_named_and_what_came_before_is_answered(self):
        done = run("score", "--model", MODELS / "bert-a", text_in='{"query":"a","document":"b"}\nnonsense\n', check=False)
        self.assertEqual(done.returncode, 2)
        self.assertEqual(len(done.stdout.splitlines()), 1)
        self.assertIn("stdin:2", done.stderr)


class CommandTest(unittest.TestCase):
    def test_tokenize_joins_pairs(self):
        golden = json.loads((MODELS / "bert-a/golden.jsonl").read_text().splitlines()[3])
        ids = run("tokenize", "--pair", "--model", MODELS / "bert-a", text_in=f"{golden['query']}\t{golden['document']}\n").stdout
        self.assertEqual(json.loads(ids), golden["ids"])

    def test_rank_as_json_from_stdin(self):
        answer = json.loads(run("rank", "--query", "what do pandas eat?", "--format", "json", "--top-n", 1,
                                text_in="Paris is in France.\nPandas eat bamboo.\n").stdout)
        self.assertEqual(answer["results"][0]["index"], 1)
        self.assertEqual(len(answer["results"]), 1)

    def test_every_engine_says_once_why_it_is_not_picked(self):
        shown = run("inspect", MODELS / "bert-a").stdout
        said = re.findall(r"not [\w-]+: [^;\n]+", shown)
        self.assertEqual(len(said), len(set(said)), shown)
        logged = run("score", "--model", MODELS / "bert-a", RERANKD_LOG_LEVEL="debug").stderr
        picked = re.search(r"engine (\w+) picked; (.*)", logged)
        self.assertEqual({picked[1], *re.findall(r"(?:^|; )not (\w+): ", picked[2])}, {"cuda", "cpu", "onnx", "torchscript", "pjrt", "reference"})

    def test_check_says_of_each_part_whether_it_works(self):
        found = run("check", MODELS / "bert-a").stdout
        for part in ("ok     config", "ok     weights", "ok     tokenizer", "ok     engine cpu", "Nothing is wrong with it."):
            self.assertIn(part, found)
        with tempfile.TemporaryDirectory() as folder:
            broken = pathlib.Path(folder) / "model"
            shutil.copytree(MODELS / "bert-a", broken)
            shutil.copy(MODELS / "roberta-a" / "tokenizer.json", broken)
            (broken / "model.safetensors").write_bytes((MODELS / "bert-a" / "model.safetensors").read_bytes()[:-100])
            bad = run("check", broken, check=False)
            self.assertEqual(bad.returncode, 1)
            self.assertRegex(bad.stdout, "FAILS +weights .*truncated")
            golden = json.loads((MODELS / "bert-a" / "golden.jsonl").read_text().splitlines()[0])
            line = {key: golden[key] for key in ("query", "document", "logit")}
            scores = pathlib.Path(folder) / "scores.jsonl"
            scores.write_text(json.dumps(line) + "\n")
            self.assertRegex(run("check", MODELS / "bert-a", "--precision", "fp32", "--scores", scores).stdout, "ok +scores +1 pairs")
            scores.write_text(json.dumps(line | {"logit": line["logit"] + 1}) + "\n")
            self.assertEqual(run("check", MODELS / "bert-a", "--scores", scores, check=False).returncode, 1)

    def test_errors_and_exit_codes(self):
        self.assertEqual(run("nonsense", check=False).returncode, 2)
        self.assertEqual(run("serve", "--port", "99999999", check=False).returncode, 2)
        missing = run("inspect", "/nonexistent/model", check=False)
        self.assertEqual(missing.returncode, 1)
        self.assertIn("no such folder", missing.stderr)
        self.assertEqual(run("--help").returncode, 0)
        self.assertIn("rerankd", run("--version").stdout)

    def test_a_result_that_cannot_be_written_is_an_error(self):
        model = MODELS / "bert-a"
        for arguments in (["score", "--model", model], ["tokenize", "--model", model], ["rank", "--query", "q", "--model", model],
                          ["inspect", model], ["options"], ["routes"], ["--help"], ["--version"]):
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run([PROGRAM, *map(str, arguments)], input='["a", "b"]\n', stdout=full, stderr=subprocess.PIPE, text=True, check=False)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertIn("cannot write", done.stderr)

    def test_lines_are_read_alike_by_all_commands(self):
        model = MODELS / "bert-a"
        plain = b"rain falls\nthe cat\n"
        odd = b"\xef\xbb\xbfrain falls\r\n\n  \r\nthe cat\r\n"

        def scores(text):
            done = subprocess.run([PROGRAM, "rank", "--query", "rain", "--model", model, "--format", "json"], input=text, capture_output=True, check=True)
            return [(r["index"], r["logit"], r["document"]) for r in json.loads(done.stdout)["results"]]

        self.assertEqual(scores(plain), scores(odd))
        lines = '\ufeff{"query":"rain","document":"the cat"}\r\n["rain","the cat"]\n{"query":"rain","text":"the cat"}\n{"query":"rain","passage":"the cat"}\n'
        found = run("score", "--model", model, text_in=lines + '{"query":"rain","document":"the cat \\ud800"}\n').stdout.splitlines()
        self.assertEqual(len(found), 5)
        self.assertEqual(len(set(found[:4])), 1)

    def test_what_the_surroundings_say(self):
        link = {"RERANKD_PORT": "tcp://10.96.14.2:8080", "RERANKD_GRPC_PORT": "tcp://10.96.14.3:8081", "RERANKD_PORT_8080_TCP": "tcp://10.96.14.2:8080"}
        self.assertEqual(run("options", **link).returncode, 0)
        with tempfile.TemporaryDirectory() as home:
            done = run("serve", "--model", "/nonexistent/model", check=False, RERANKD_LOG_LEVEL="info", HOME=home, **link)
            self.assertIn("no such folder", done.stderr)
            self.assertIn("RERANKD_PORT is a service link", done.stderr)
            wrong = run("serve", check=False, RERANKD_PORT="abc")
            self.assertEqual(wrong.returncode, 2)
            self.assertIn("RERANKD_PORT", wrong.stderr)
            self.assertNotIn("variable", run("serve", "--port", "abc", check=False).stderr)
            # No shell has seen these.
            shutil.copytree(MODELS / "bert-a", f"{home}/m")
            self.assertIn("BertFor", run("inspect", HOME=home, RERANKD_MODEL="~/m").stdout)
            offline = {"HOME": home, "HF_HUB_OFFLINE": "1", "RERANKD_MODEL": "some/model"}
            for name, value, place in [("HF_HUB_CACHE", "~/hub", "hub"), ("HF_HOME", "~/x", "x/hub"), ("HUGGINGFACE_HUB_CACHE", "~/old", "old")]:
                self.assertIn(f"{home}/{place}", run("inspect", check=False, **offline, **{name: value}).stderr)
            self.assertIn("HF_TOKEN", run("inspect", check=False, **offline, HF_TOKEN="a b").stderr)
            self.assertNotIn("HF_TOKEN", run("inspect", check=False, **offline, HF_TOKEN=" hf_x\n").stderr)

    def test_flag_beats_environment_beats_file(self):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "rerankd.toml"
            config.write_text('model = "/from/file"\nport = 1\n')
            self.assertIn("/from/file", run("inspect", "--config", config, check=False).stderr)
            self.assertIn("/from/environment", run("inspect", "--config", config, check=False, RERANKD_MODEL="/from/environment").stderr)
            self.assertIn("/from/flag", run("inspect", "/from/flag", "--config", config, check=False, RERANKD_MODEL="/x").stderr)
            config.write_text("modle = 'x'\n")
            self.assertIn("modle", run("inspect", "--config", config, check=False).stderr)

    def test_a_setting_of_a_few_words_is_refused_with_the_words_there_are(self):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "rerankd.toml"
            for name, word, known in [("engine", "gpu", "cuda, cpu, onnx"), ("precision", "int3", "fp32, bf16"),
                                      ("truncation", "middle", "auto, head, tail"), ("chunk-score", "top0", "max, mean")]:
                config.write_text(f'{name} = "{word}"\n')
                variable = "RERANKD_" + name.upper().replace("-", "_")
                for done in (run("inspect", f"--{name}", word, check=False), run("inspect", "--config", config, check=False),
                             run("inspect", check=False, **{variable: word})):
                    self.assertEqual(done.returncode, 2)
                    for part in (name, word, known):
                        self.assertIn(part, done.stderr)
            self.assertIn("shed, wait", run("serve", "--queue-policy", "maybe", check=False).stderr)

    def test_routes_page_is_current(self):
        self.assertEqual((SOURCE / "docs/routes.md").read_text(), run("routes").stdout)

    def test_options_page_is_current(self):
        self.assertEqual((SOURCE / "docs/options.md").read_text(), run("options").stdout)

    def test_every_setting_that_is_described_is_visited(self):
        headers = "".join(path.read_text() for path in (SOURCE / "include/rerank/options").glob("*.h"))
        described = re.findall(r'static constexpr OptionInfo k\w+(?:\s*=\s*OptionInfo)?\{\s*"([^"]+)"', headers)
        listed = re.findall(r"^\| `--([a-z0-9-]+)", run("options").stdout, re.MULTILINE)
        self.assertEqual(sorted(described), sorted(listed))


class ServeTest(unittest.TestCase):
    def test_scores_over_http_equal_recorded_logits_and_sigterm_ends_cleanly(self):
        golden = [json.loads(line) for line in (MODELS / "xlm-roberta-a/golden.jsonl").read_text().splitlines()]
        with Server("--model", str(MODELS / "xlm-roberta-a"), "--precision", "fp32") as server:
            self.assertIn("ok", server.get("/health"))
            info = json.loads(server.get("/info"))
            self.assertIn("reranker", info["model_type"])
            self.assertIn("float32", json.dumps(info))
            for g in golden:
                answer = server.post("/rerank", {"query": g["query"], "texts": [g["document"]], "raw_scores": True})
                self.assertAlmostEqual(answer[0]["score"], g["logit"], delta=1e-4)
            answer = server.post("/v1/rerank", {"query": golden[0]["query"], "documents": [g["document"] for g in golden]})
            self.assertEqual(len(answer["results"]), len(golden))
            metrics = server.get("/metrics")
            for name in ("rerankd_info", "rerankd_batches_total", "rerankd_pair_tokens_bucket"):
                self.assertIn(name, metrics)
        self.assertEqual(server.exit_code, 0)


    def test_known_pairs_come_from_the_cache_unless_the_client_says_no_cache(self):
        def hits(server):
            return float(re.search(r"^rerankd_cache_hits_total\{.*\} (\S+)", server.get("/metrics"), re.M).group(1))

        body = {"query": "what do pandas eat?", "documents": ["Pandas eat bamboo.", "Paris is in France."]}
        with Server("--model", str(MODELS / "bert-a")) as server:
            first = server.post("/v1/rerank", body)
            self.assertEqual(hits(server), 0)
            fresh = server.post("/v1/rerank", body, **{"Cache-Control": "no-cache"})
            self.assertEqual(hits(server), 0)
            cached = server.post("/v1/rerank", body)
            self.assertEqual(hits(server), 2)
        self.assertEqual(first["results"], fresh["results"])
        self.assertEqual(first["results"], cached["results"])


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
                self.assertAlmostEqual(answer[0]["score"], g["logit"], delta=1e-4)
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
        self.assertAlmostEqual(score["logit"], g["logit"], delta=1e-4)
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
                    self.assertAlmostEqual(score["logit"], g["logit"], delta=1e-4)
            out = pathlib.Path(folder) / "int8"
            if "not verified" not in run("convert", MODELS / "bert-a", out, "--to", "onnx", "--precision", "int8").stdout:
                shown = run("inspect", out, "--precision", "int8").stdout
                self.assertRegex(shown, r"onnx +runs: int8, .*int8/model.onnx")
            self.assertIn("--to gguf", run("convert", MODELS / "bert-a", out, "--to", "gguf", check=False).stderr)


class EvalTest(unittest.TestCase):
    @staticmethod
    def collection(folder):
        """Three questions about three texts, as a folder in BEIR layout."""
        folder = pathlib.Path(folder)
        texts = ["Pandas eat bamboo.", "Paris is the capital of France.", "Rain falls in Berlin today."]
        questions = ["what do pandas eat", "capital of France", "does rain fall in Berlin"]
        (folder / "corpus.jsonl").write_text("".join(json.dumps({"_id": f"d{i}", "title": "", "text": t}) + "\n" for i, t in enumerate(texts)))
        (folder / "queries.jsonl").write_text("".join(json.dumps({"_id": f"q{i}", "text": t}) + "\n" for i, t in enumerate(questions)))
        (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\td{i}\t1\n" for i in range(3)))
        return folder

    def test_a_collection_is_measured_and_measuring_it_again_costs_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            place = self.collection(folder)
            arguments = ("eval", "--collection", place, "--candidates", "all", "--scores", place / "kept", "--json", place / "out.json")
            run(*arguments, "--html", place / "out.html", "--run-out", place / "run")
            figures = json.loads((place / "out.json").read_text())
            self.assertEqual(figures["metrics"]["ndcg@10"], 1)
            self.assertNotIn("baseline", figures)
            self.assertEqual(figures["cost"]["from_earlier_runs"], 0)
            self.assertIn("<svg", (place / "out.html").read_text())
            lines = [line.split() for line in (place / "run").read_text().splitlines()]
            self.assertEqual([line[2] for line in lines if line[3] == "1"], ["d0", "d1", "d2"])
            run(*arguments)
            again = json.loads((place / "out.json").read_text())
            self.assertEqual(again["cost"]["from_earlier_runs"], 9)
            self.assertEqual(again["metrics"], figures["metrics"])
            # Its own ranking as candidates: the baseline is then what the model said.
            done = run("eval", "--collection", place, "--candidates", place / "run", "--scores", "none", "--json", place / "out.json",
                       "--compare", "precision=fp32,kernel=portable", "--compare", "max-length=8")
            figures = json.loads((place / "out.json").read_text())
            self.assertEqual(figures["baseline"]["ndcg@10"], 1)
            self.assertEqual(figures["comparisons"][0]["agreement"]["top1_overlap"], 1)
            self.assertGreater(figures["comparisons"][1]["agreement"]["largest_logit_change"], 0)
            self.assertIn("gain over candidates", done.stdout)

    def test_what_is_wrong_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn("corpus.jsonl", run("eval", "--collection", folder, check=False).stderr)
            place = self.collection(folder)
            self.assertIn("modle", run("eval", "--collection", place, "--compare", "modle=x", check=False).stderr)
            self.assertIn("qrels/dev.tsv", run("eval", "--collection", place, "--split", "dev", check=False).stderr)


class LengthsTest(unittest.TestCase):
    def test_a_judged_collection_says_what_limits_cut_and_cost(self):
        with tempfile.TemporaryDirectory() as folder:
            place = EvalTest.collection(folder)
            done = run("lengths", "--texts", place, "--model", MODELS / "bert-a", "--limits", "10,16,64", "--json", place / "out.json",
                       "--html", place / "out.html", "--svg", place / "out.svg")
            figures = json.loads((place / "out.json").read_text())
            self.assertEqual([row["limit"] for row in figures["limits"]], [10, 16, 64])
            self.assertEqual(figures["limits"][0]["truncated_share"], 1)
            self.assertEqual(figures["limits"][2]["truncated_share"], 0)
            self.assertTrue(all("ndcg@10" in row and row["seconds_per_pair"] > 0 for row in figures["limits"]))
            self.assertRegex(done.stdout, r"recommended: nothing \(\d+ questions are too few to say; about \d+ would do\)")
            self.assertTrue((place / "out.svg").read_text().startswith("<svg"))

    def test_plain_texts_and_a_servers_metrics(self):
        with tempfile.TemporaryDirectory() as folder:
            texts = pathlib.Path(folder) / "texts.txt"
            texts.write_text("rain\n" * 3 + "rain falls in Berlin today " * 20 + "\n")
            self.assertIn("25.0 %", run("lengths", "--texts", texts, "--model", MODELS / "bert-a", "--limits", "64,512").stdout)
            with Server("--model", str(MODELS / "bert-a")) as server:
                server.post("/rerank", {"query": "rain", "texts": ["rain", "rain falls"]})
                metrics = server.get("/metrics")
            self.assertIn("recommended", run("lengths", "--metrics", "-", "--model", MODELS / "bert-a", text_in=metrics).stdout)
            self.assertEqual(run("lengths", "--model", MODELS / "bert-a", check=False).returncode, 2)


class CalibrateTest(unittest.TestCase):
    def test_exits_are_fitted_and_served(self):
        words = "rain falls in berlin today the cat sat on a mat and paris is sunny weather".split()
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder)
            (place / "pairs.jsonl").write_text("".join(
                json.dumps({"query": " ".join([words[q % 15], words[(q * 7 + 1) % 15], words[q // 15]]),
                            "document": " ".join(words[(q + d * (i + 1)) % 15] for i in range(4 + d % 5))}) + "\n"
                for q in range(60) for d in range(15)))
            arguments = ("--model", MODELS / "bert-b", "--precision", "fp32")
            table = run("calibrate", "--texts", place / "pairs.jsonl", "--out", place / "exits", *arguments).stdout
            self.assertIn("dropped", table)
            figures = json.loads((place / "exits/depth.json").read_text())
            self.assertEqual([row["layers"] for row in figures["depths"]], [1, 2, 3, 4])
            self.assertEqual(figures["depths"][3]["dropped_top1"], 1)
            self.assertGreater(figures["depths"][2]["exit_explained"], 0.5)
            self.assertTrue((place / "exits/depth.svg").read_text().startswith("<svg"))

            def logit(*more):
                return json.loads(run("score", *arguments, *more, text_in='{"query": "rain", "document": "the cat sat"}').stdout)["logit"]

            full = logit()
            self.assertEqual(logit("--layers", 4), full)
            self.assertNotEqual(logit("--layers", 3), full)
            self.assertNotEqual(logit("--layers", 3, "--exits", place / "exits"), logit("--layers", 3))
            self.assertEqual(logit("--exits", place / "exits"), full)
            targets = [target["agreement"] for target in json.loads((place / "exits/exits.json").read_text())["targets"]]
            self.assertIn(0.9, targets)
            question = {"query": "rain cat", "documents": [" ".join(words[i:i + 3]) for i in range(12)], "top_n": 2}
            with Server(*map(str, arguments)) as server:
                exact = {row["index"]: row["relevance_score"] for row in server.post("/v1/rerank", {**question, "top_n": 12})["results"]}
            with Server(*map(str, arguments), "--exits", str(place / "exits"), "--target-agreement", "0.9") as server:
                best = server.post("/v1/rerank", question)["results"]
                metrics = server.get("/metrics")
            self.assertEqual(len(best), 2)
            for row in best:
                self.assertEqual(row["relevance_score"], exact[row["index"]])
            layers = float(re.search(r"^rerankd_pair_layers_sum\{.*\} (\S+)$", metrics, re.M).group(1))
            self.assertTrue(12 <= layers <= 48, layers)
            refused = run("score", *arguments, "--target-agreement", "0.9", text_in="", check=False)
            self.assertIn("rerankd calibrate", refused.stderr)
            refused = run("score", "--model", MODELS / "bert-a", "--exits", place / "exits", text_in="", check=False)
            self.assertIn("fitted to other weights", refused.stderr)
            self.assertIn("this model has 4", run("score", *arguments, "--layers", 5, text_in="", check=False).stderr)


class BenchTest(unittest.TestCase):
    LOAD = ("--duration", "300ms", "--documents-per-request", "2", "--document-tokens", "16")

    def test_a_server_is_measured_and_reported(self):
        with Server() as server, tempfile.TemporaryDirectory() as folder:
            found, page = pathlib.Path(folder) / "f.json", pathlib.Path(folder) / "f.html"
            done = run("bench", "--url", server.url, "--rate", "50", "--clients", "2", *self.LOAD, "--json", found, "--html", page)
            self.assertIn("2 clients", done.stdout)
            closed, opened = json.loads(found.read_text())["runs"]
            self.assertEqual(closed["clients"], 2)
            self.assertEqual(opened["offered_requests_per_second"], 50)
            for load in (closed, opened):
                self.assertGreater(load["requests"]["answered"], 0)
                self.assertEqual(load["requests"]["answered"], load["requests"]["sent"])
                self.assertEqual(set(load["http_statuses"]), {"200"})
                self.assertGreaterEqual(load["latency_ms"]["p99"], load["latency_ms"]["p50"])
            self.assertIn("<svg", page.read_text())

    def test_a_server_with_another_model_is_found_out(self):
        other = SOURCE / "tests/data/models/bert-a"
        with Server("--model", other) as server:
            done = run("bench", "--url", server.url, *self.LOAD, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("the reference says", done.stderr)
            run("bench", "--url", server.url, *self.LOAD, "--no-check")

    def test_what_was_recorded_is_played_again(self):
        with Server() as server, tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder)
            (place / "requests.jsonl").write_text('{"query": "rain", "documents": ["the cat sat", "it rains"]}\n' * 3)
            (place / "arrivals.txt").write_text("".join(f"{5 + i / 10}\n" for i in range(4)))
            found, page = place / "f.json", place / "f.html"
            run("bench", "--url", server.url, "--requests", place / "requests.jsonl", "--arrivals", f"trace:{place}/arrivals.txt",
                "--json", found, "--html", page)
            measured = json.loads(found.read_text())["runs"][0]
            self.assertEqual(measured["requests"]["answered"], 4)
            self.assertLessEqual({"cache", "queue", "compute", "total"}, set(measured["stage_mean_ms"]))
            for picture in ("Mean time of each stage", "Length of documents"):
                self.assertIn(picture, page.read_text())
            refused = run("bench", "--url", server.url, "--requests", place / "arrivals.txt", check=False)
            self.assertIn("arrivals.txt:1", refused.stderr)

    def test_lengths_are_fitted_to_texts(self):
        with tempfile.TemporaryDirectory() as folder:
            texts = pathlib.Path(folder) / "texts.txt"
            texts.write_text("".join("rain " * (20 + i % 3) + "\n" for i in range(30)))
            done = run("bench", "--duration", "300ms", "--documents-per-request", "2", "--document-tokens", f"fit:{texts}", "--texts", texts)
            self.assertRegex(done.stdout, r"2 documents of lognormal:2\d,0.0\d tokens")

    def test_what_is_wrong_is_named(self):
        for wrong in (("--arrivals", "trace:/nowhere"), ("--requests", "/nowhere"), ("--document-tokens", "fit:/nowhere"), ("--duration", "x"), ("--document-tokens", "9-1"), ("--url", "ftp://x"), ("--rate", "0"), ("--clients", "0")):
            done = run("bench", *wrong, check=False)
            self.assertNotEqual(done.returncode, 0, wrong)
            self.assertIn(wrong[0], done.stderr)


class ReadmeTest(unittest.TestCase):
    """Runs the README's commands that need no network."""

    @classmethod
    def setUpClass(cls):
        text = (SOURCE / "README.md").read_text()
        cls.commands = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.S))

    def test_commands_on_texts(self):
        wanted = [c for c in self.commands.splitlines() if re.match(r"rerankd (rank|score|tokenize|inspect)", c)]
        self.assertGreaterEqual(len(wanted), 4)
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder)
            (place / "rerankd").symlink_to(PROGRAM)
            (place / "texts.txt").write_text("Pandas eat bamboo.\nParis is in France.\n")
            (place / "lines.txt").write_text("what do pandas eat?\n")
            (place / "pairs.jsonl").write_text('{"query": "what do pandas eat?", "document": "Pandas eat bamboo."}\n')
            for command in wanted:
                command = command.replace("/models/my-reranker", str(MODELS / "bert-a"))
                done = subprocess.run(command, shell=True, cwd=place, capture_output=True, text=True, timeout=120,
                                      env={**os.environ, "PATH": f"{place}:{os.environ['PATH']}"})
                self.assertEqual(done.returncode, 0, command + "\n" + done.stderr)

    def test_the_chinese_readme_has_the_same_commands(self):
        chinese = "\n".join(re.findall(r"```sh\n(.*?)```", (SOURCE / "README.zh-CN.md").read_text(), re.S)).splitlines()
        commands = {line.split("#")[0].strip() for line in self.commands.splitlines()}
        self.assertGreaterEqual(len(chinese), 5)
        self.assertEqual([line for line in chinese if line.split("#")[0].strip() not in commands], [])

    def test_curl_request(self):
        body = re.search(r"curl http://127.0.0.1:8080/v1/rerank .*? -d '(.*?)'", self.commands, re.S).group(1)
        with Server() as server:
            answer = server.post("/v1/rerank", json.loads(body))
        self.assertEqual(answer["results"][0]["index"], 0)
        self.assertEqual(answer["model"], "rerankd-mini-en")


if __name__ == "__main__":
    unittest.main()
