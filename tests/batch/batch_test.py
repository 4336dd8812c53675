#!/usr/bin/env python3
"""rerankd.arrow, .duckdb, .ray, .spark and `python -m rerankd score`: the scores of one process, bit for bit, and every row once when a
worker dies half way. `make batch-test` runs it in .venv-batch (Ray, Spark with Java 17; 1.5 GB); about three minutes.

Environment: RERANKD (the program), RERANKD_LIBRARY (librerank.so); default: of build/release.
"""
import glob
import os
import pathlib
import random
import signal
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("RERANKD_LIBRARY", str(ROOT / "build/release/librerank.so"))
PROGRAM = os.environ.get("RERANKD", str(ROOT / "build/release/rerankd"))
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests")]
os.environ["PYTHONPATH"] = str(ROOT / "python")

import duckdb
import numpy
import pyarrow
import pyarrow.parquet

import rerankd.duckdb
from rerankd.arrow import Scorer

WORDS = "panda bamboo river mountain Paris France capital engine battery winter garden doctor history music physics".split()


def pairs(count, seed=1):
    """A table of `count` pairs: queries that come again, documents of 3 to 120 words."""
    chosen = random.Random(seed)
    queries = [" ".join(chosen.choices(WORDS, k=5)) + "?" for _ in range(max(1, count // 20))]
    return pyarrow.table({"id": list(range(count)), "q": [chosen.choice(queries) for _ in range(count)],
                          "d": [" ".join(chosen.choices(WORDS, k=chosen.randrange(3, 120))) for _ in range(count)]})


def expected(table):
    return dict(zip(table["id"].to_pylist(), Scorer(threads=2).score(table["q"], table["d"]).to_pylist()))


def scored(folder):
    """id -> score of all files; a row that is there twice is an error."""
    table = pyarrow.concat_tables(pyarrow.parquet.read_table(path, columns=["id", "score"]) for path in glob.glob(f"{folder}/**/*.parquet", recursive=True))
    found = dict(zip(table["id"].to_pylist(), table["score"].to_pylist()))
    assert len(found) == table.num_rows, f"{table.num_rows - len(found)} rows twice"
    return found


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"rerankd-batch-{os.getpid()}-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def write(self, count, files=2, group=100):
        table = pairs(count)
        (self.folder / "pairs").mkdir()
        for number in range(files):
            part = table.slice(number * count // files, (number + 1) * count // files - number * count // files)
            pyarrow.parquet.write_table(part, self.folder / f"pairs/{number}.parquet", row_group_size=group)
        return table


class ArrowTest(Folder):
    def test_every_form_of_strings_gives_the_same_scores(self):
        table = pairs(200)
        scorer = Scorer(threads=2)
        plain = scorer.score(table["q"].to_pylist(), table["d"].to_pylist())
        chunked = pyarrow.chunked_array([table["d"].combine_chunks().slice(0, 7), table["d"].combine_chunks().slice(7)])
        for queries, documents in ((table["q"].dictionary_encode(), table["d"].cast(pyarrow.large_string())), (table["q"], chunked),
                                   (table["q"].combine_chunks().dictionary_encode(), table["d"])):
            self.assertEqual(plain, scorer.score(queries, documents))
        alone = [scorer.score([q], [d])[0] for q, d in zip(table["q"].to_pylist()[:20], table["d"].to_pylist())]
        self.assertEqual(plain[:20].to_pylist(), [score.as_py() for score in alone])

    def test_what_is_no_pair_is_named(self):
        scorer = Scorer()
        for queries, documents, message in ((["a", None], ["b", "c"], "queries: row 1 is null"), (["a"], [5], "documents are int64"),
                                            (["a", "b"], ["c"], "2 queries and 1 documents")):
            with self.assertRaisesRegex(ValueError, message):
                scorer.score(pyarrow.array(queries), pyarrow.array(documents))
        self.assertEqual(0, len(scorer.score([], [])))

    def test_duckdb(self):
        made = pairs(300)
        connection = duckdb.connect()
        connection.register("pairs", made)
        rerankd.duckdb.register(connection, threads=2)
        found = dict(connection.execute("SELECT id, rerank_score(q, d) FROM pairs").fetchall())
        self.assertEqual(expected(made), found)


class ParquetTest(Folder):
    def command(self, *words):
        return [sys.executable, "-m", "rerankd", "score", "--input", f"{self.folder}/pairs/*.parquet", "--output", f"{self.folder}/scores",
                "--query", "q", "--document", "d", *words]

    def test_shards_and_a_kill_and_a_second_run(self):
        table = self.write(4000)
        worker = subprocess.Popen(self.command("--shard", "1/2", "--set", "threads=1"), stderr=subprocess.DEVNULL)
        while len(glob.glob(f"{self.folder}/scores/*.parquet")) < 3:
            self.assertIsNone(worker.poll())
            time.sleep(0.01)
        worker.kill()
        worker.wait()
        before = len(glob.glob(f"{self.folder}/scores/*.parquet"))
        self.assertLess(before, 20)
        for shard in ("1/2", "2/2"):
            subprocess.run(self.command("--shard", shard, "--set", "threads=1"), check=True, stderr=subprocess.DEVNULL)
        self.assertEqual(expected(table), scored(self.folder / "scores"))

    def test_wrong_files_are_named(self):
        self.write(200)
        for words, message in ((("--query", "question"), "no column 'question'; there are 'id', 'q', 'd'"), (("--document", "id"), "documents are int64"),
                               (("--score", "d"), "there is a column 'd' already"), (("--shard", "3/2"), "expected K/N")):
            done = subprocess.run(self.command(*words), capture_output=True, text=True)
            self.assertEqual(1, done.returncode)
            self.assertIn(message, done.stderr)
        subprocess.run(self.command(), check=True, stderr=subprocess.DEVNULL)
        done = subprocess.run(self.command("--raw-scores"), capture_output=True, text=True)
        self.assertIn("is of other settings", done.stderr)

    def test_servers_of_which_one_goes(self):
        table = self.write(600, group=50)
        ports, servers = [], []
        for _ in range(2):
            server = subprocess.Popen([PROGRAM, "serve", "--port", "0", "--threads", "1"], stderr=subprocess.PIPE, text=True)
            self.addCleanup(server.stderr.close)
            self.addCleanup(server.wait)
            self.addCleanup(server.kill)
            for line in server.stderr:
                if "http://127.0.0.1:" in line:
                    ports.append(line.split("http://127.0.0.1:")[1].split()[0].strip('"/.,'))
                    break
            servers.append(server)
        urls = ",".join(f"http://127.0.0.1:{port}" for port in ports)
        worker = subprocess.Popen(self.command("--url", urls), stderr=subprocess.DEVNULL)
        while not glob.glob(f"{self.folder}/scores/*.parquet"):
            self.assertIsNone(worker.poll())
            time.sleep(0.01)
        servers[0].kill()
        self.assertEqual(0, worker.wait(120))
        found, right = scored(self.folder / "scores"), expected(table)
        self.assertEqual(right.keys(), found.keys())
        # JSON has the logits as decimal numbers of fp32.
        numpy.testing.assert_allclose([found[i] for i in right], list(right.values()), rtol=1e-6)


class RayTest(Folder):
    def test_two_workers_one_killed(self):
        import ray
        import rerankd.ray

        table = self.write(4000, files=8)
        os.environ["RAY_DATA_DISABLE_PROGRESS_BARS"] = "1"
        ray.init(num_cpus=3, log_to_driver=False, include_dashboard=False, logging_level="error")
        self.addCleanup(ray.shutdown)
        ray.data.DataContext.get_current().enable_progress_bars = False

        def kill_one():
            end = time.monotonic() + 60
            while time.monotonic() < end:
                found = subprocess.run(["pgrep", "-f", "ray::.*_MapWorker|ray::MapWorker"], capture_output=True, text=True).stdout.split()
                if len(found) >= 1 and glob.glob(f"{self.folder}/out/*"):
                    os.kill(int(found[0]), signal.SIGKILL)
                    self.killed = int(found[0])
                    return
                time.sleep(0.05)

        import threading
        self.killed = None
        killer = threading.Thread(target=kill_one)
        killer.start()
        dataset = ray.data.read_parquet(f"{self.folder}/pairs", override_num_blocks=16)
        rerankd.ray.score(dataset, "q", "d", cpus_per_worker=1, workers=(1, 2), batch_size=250).write_parquet(f"{self.folder}/out")
        killer.join()
        self.assertIsNotNone(self.killed, "no worker was killed: the test has shown nothing")
        self.assertEqual(expected(table), scored(self.folder / "out"))


class SparkTest(Folder):
    def test_two_executors_one_killed(self):
        import threading

        from pyspark.sql import SparkSession
        import rerankd.spark

        table = self.write(4000, files=8)
        os.environ["PYSPARK_PYTHON"] = sys.executable
        session = (SparkSession.builder.master("local-cluster[2,1,1024]").config("spark.ui.enabled", "false").config("spark.log.level", "OFF")
                   .config("spark.sql.session.timeZone", "UTC").getOrCreate())
        self.addCleanup(session.stop)

        def kill_one():
            end = time.monotonic() + 90
            while time.monotonic() < end:
                found = subprocess.run(["pgrep", "-f", "CoarseGrainedExecutorBackend"], capture_output=True, text=True).stdout.split()
                if found and glob.glob(f"{self.folder}/out/_temporary/**/*.parquet", recursive=True):
                    os.kill(int(found[0]), signal.SIGKILL)
                    self.killed = int(found[0])
                    return
                time.sleep(0.05)

        self.killed = None
        killer = threading.Thread(target=kill_one)
        killer.start()
        frame = session.read.parquet(f"{self.folder}/pairs").repartition(16)
        rerankd.spark.score(frame, "q", "d").write.parquet(f"{self.folder}/out")
        killer.join()
        self.assertIsNotNone(self.killed, "no executor was killed: the test has shown nothing")
        self.assertTrue((self.folder / "out/_SUCCESS").exists())
        right = expected(table)
        self.assertEqual(right, scored(self.folder / "out"))
        rerankd.spark.register(session)
        session.read.parquet(f"{self.folder}/pairs").createOrReplaceTempView("pairs")
        some = session.sql("SELECT id, rerank_score(q, d) AS score FROM pairs WHERE id < 40").collect()
        self.assertEqual({row.id: right[row.id] for row in some}, {row.id: row.score for row in some})


if __name__ == "__main__":
    unittest.main(verbosity=2)
