"""The program as a user meets it: the README's commands, scores of recorded models, errors and exit codes, SIGTERM.

Run by ctest; by hand: RERANKD=build/release/rerankd RERANKD_SOURCE_DIR=. python3 tests/cli/cli_test.py
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from program import CPU_FP32, MODELS, PROGRAM, SOURCE, Server, run


class ScoreTest(unittest.TestCase):
    def test_scores_equal_recorded_logits(self):
        for folder in sorted(MODELS.iterdir()):
            golden = [json.loads(line) for line in (folder / "golden.jsonl").read_text().splitlines()]
            lines = "".join(json.dumps({"query": g["query"], "document": g["document"]}) + "\n" for g in golden)
            scores = [json.loads(line) for line in run("score", "--model", folder, "--precision", "fp32", text_in=lines).stdout.splitlines()]
            self.assertEqual(len(scores), len(golden))
            for score, g in zip(scores, golden):
                self.assertAlmostEqual(score["logit"], g["logit"], delta=CPU_FP32, msg=folder.name)
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
                self.assertAlmostEqual(answer[0]["score"], g["logit"], delta=CPU_FP32)
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
