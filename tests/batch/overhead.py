#!/usr/bin/env python3
"""What Arrow, DuckDB, Ray, Spark and the command cost besides scoring: seconds for a million rows with a model of two tiny layers.

Usage: tests/batch/overhead.py [--rows 200000] [--only duckdb,ray]     in .venv-batch (`make batch-test` makes it), nothing else running
Each reads parquet, scores and writes parquet, once with all rows and once with a tenth: the difference is the cost of rows, the rest that of
starting. "arrow" is one process with two threads; the others have two workers of one thread, or two threads.
"""
import argparse
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("RERANKD_LIBRARY", str(ROOT / "build/release/librerank.so"))
os.environ["PYTHONPATH"] = str(ROOT / "python")
sys.path.insert(0, str(ROOT / "python"))
MODEL, GROUP = str(ROOT / "tests/data/models/bert-a"), 5000
WORDS = "panda bamboo river mountain paris france capital engine battery winter garden doctor".split()


def write_pairs(folder, rows):
    import pyarrow
    import pyarrow.parquet
    chosen = random.Random(1)
    queries = [" ".join(chosen.choices(WORDS, k=4)) for _ in range(rows // 20)]
    folder.mkdir()
    for number in range(4):
        part = [queries[row // 20] for row in range(number * rows // 4, (number + 1) * rows // 4)]
        table = pyarrow.table({"q": part, "d": [" ".join(chosen.choices(WORDS, k=8)) for _ in part]})
        pyarrow.parquet.write_table(table, folder / f"{number}.parquet", row_group_size=GROUP)


def with_arrow(pairs, out):
    import pyarrow.parquet
    from rerankd.arrow import Scorer
    scorer = Scorer(MODEL, threads=2)
    for path in sorted(pairs.glob("*.parquet")):
        table = pyarrow.parquet.read_table(path)
        pyarrow.parquet.write_table(table.append_column("score", scorer.score(table["q"], table["d"])), out / path.name)


def with_command(pairs, out):
    subprocess.run([sys.executable, "-m", "rerankd", "score", "--input", f"{pairs}/*.parquet", "--output", out / "scores", "--query", "q", "--document", "d",
                    "--model", MODEL, "--set", "threads=2"], check=True, stderr=subprocess.DEVNULL)


def with_duckdb(pairs, out):
    import duckdb
    import rerankd.duckdb
    connection = duckdb.connect()
    rerankd.duckdb.register(connection, model=MODEL, threads=2)
    connection.execute(f"COPY (SELECT q, d, rerank_score(q, d) AS score FROM '{pairs}/*.parquet') TO '{out}/scores.parquet'")


def with_ray(pairs, out):
    import ray
    import rerankd.ray
    ray.init(num_cpus=3, log_to_driver=False, include_dashboard=False, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False
    dataset = ray.data.read_parquet(str(pairs), override_num_blocks=16)
    rerankd.ray.score(dataset, "q", "d", model=MODEL, cpus_per_worker=1, workers=(2, 2), batch_size=GROUP).write_parquet(str(out))
    ray.shutdown()


def with_spark(pairs, out):
    from pyspark.sql import SparkSession
    import rerankd.spark
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.log.level", "OFF").getOrCreate()
    rerankd.spark.score(session.read.parquet(str(pairs)), "q", "d", model=MODEL).write.parquet(str(out / "scores"))
    session.stop()


KINDS = {"arrow": with_arrow, "command": with_command, "duckdb": with_duckdb, "ray": with_ray, "spark": with_spark}


def seconds_of(kind, pairs):
    """Of a process of its own, from its start to its end."""
    with tempfile.TemporaryDirectory(prefix="rerankd-overhead-") as out:
        begin = time.monotonic()
        done = subprocess.run([sys.executable, __file__, "--run", kind, str(pairs), out], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{kind}: {done.stderr[-3000:]}")
        return time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200000)
    parser.add_argument("--only", default=",".join(KINDS))
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        kind, pairs, out = arguments.run
        return KINDS[kind](pathlib.Path(pairs), pathlib.Path(out))
    few, many = arguments.rows // 10, arguments.rows
    print("| | start, s | a million rows, s | more than one process, s |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="rerankd-overhead-") as scratch:
        folders = {count: pathlib.Path(scratch) / str(count) for count in (few, many)}
        for count, folder in folders.items():
            write_pairs(folder, count)
        alone = None
        for kind in arguments.only.split(","):
            short, long = (seconds_of(kind, folders[count]) for count in (few, many))
            million = (long - short) / (many - few) * 1e6
            alone = million if alone is None else alone
            print(f"| {kind} | {max(0.0, short - million * few / 1e6):.1f} | {million:.1f} | {million - alone:.1f} |", flush=True)


if __name__ == "__main__":
    main()
