"""Commands that measure: eval, lengths, calibrate and bench.

Run by ctest; by hand: RERANKD=build/release/rerankd RERANKD_SOURCE_DIR=. python3 tests/cli/measuring_test.py
"""
import json
import pathlib
import re
import shutil
import tempfile
import unittest

from program import MODELS, SOURCE, Server, run


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
            page = (place / "out.html").read_text()
            self.assertIn("<svg", page)
            self.assertRegex(page, r"<footer>\d{4}-\d\d-\d\d \d\d:\d\d UTC · rerankd \d.* · rerankd eval --collection ")
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

    def test_a_layerwise_model_is_held_against_its_own_depth(self):
        with tempfile.TemporaryDirectory() as folder:
            place, model = self.collection(folder), pathlib.Path(folder) / "model"
            shutil.copytree(SOURCE / "tests/data/decoders/minicpm-a", model)
            config = (model / "config.json").read_text()
            (model / "config.json").write_text(config.replace('"max_position_embeddings": 192', '"max_position_embeddings": 1024'))
            self.assertRegex(run("inspect", model).stdout, r"outputs +after layers 2 to 4: `layers` of a request chooses; --exit-keep N")
            run("eval", "--collection", place, "--model", model, "--candidates", "all", "--scores", "none", "--top-n", "1", "--json", place / "out.json",
                "--precision", "fp32", "--compare", "exit-keep=1", "--compare", "exit-keep=3")
            rows = json.loads((place / "out.json").read_text())["comparisons"]
            self.assertEqual(rows[1]["agreement"]["top1_overlap"], 1, "three of three go on")
            refused = run("eval", "--collection", place, "--scores", "none", "--compare", "exit-keep=2", check=False)
            self.assertIn("no outputs after earlier layers", refused.stderr)

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
            self.assertIn("users make who ask once a minute", page.read_text())
            run("bench", "--url", server.url, "--clients", "1", "--bearer", "secret-key-1", *self.LOAD, "--html", page)
            self.assertIn("--bearer ... ", page.read_text())
            self.assertNotIn("secret-key-1", page.read_text())

    def test_no_load_asks_what_an_earlier_one_has_asked(self):
        with Server() as server:
            run("bench", "--url", server.url, "--rate", "40,60", "--clients", "1,2", *self.LOAD)
            metrics = server.get("/metrics")
            self.assertRegex(metrics, r"(?m)^rerankd_cache_misses_total(\{.*\})? [1-9]")
            for cache in ("cache", "token_cache"):
                self.assertRegex(metrics, rf"(?m)^rerankd_{cache}_hits_total(\{{.*\}})? 0$")

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


if __name__ == "__main__":
    unittest.main()
