"""`rerankd eval` over every judged collection of a data folder, as one table: BM25's order, the model's, the difference.

    tools/eval/collections.py --data FOLDER [--program build/release/rerankd] [--queries 50] [--rest-of-options-of-eval ...]

A collection is a folder with corpus.jsonl, queries.jsonl and qrels (gzip too), or one of such folders' parents. Rows say whether the
built-in model's training saw the collection (tools/builtin/data.py); for other models leave that column out in your mind.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "builtin"))
import data  # noqa: E402

SEEN = {"train": "yes (other questions)", "validate": "no, but steps were chosen on it", "judge": "no"}


def collections(root):
    for folder in sorted(p.parent for pattern in ("corpus.jsonl", "corpus.jsonl.gz") for p in root.rglob(pattern)):
        if (folder / "qrels").is_dir() or (folder / "qrels.tsv").exists():
            yield folder


def split_of(folder):
    for split in ("test", "dev"):
        if (folder / "qrels" / f"{split}.tsv").exists():
            return ["--split", split]
    return []


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get("RERANKD_DATA"), help="default: RERANKD_DATA")
    parser.add_argument("--program", default="build/release/rerankd")
    parser.add_argument("--queries", default="50", help="judged queries of each, a sample that stays the same; 0: all")
    parser.add_argument("--measure", default="ndcg@10")
    args, others = parser.parse_known_args()
    print(f"| {args.measure} | documents | queries | seen in training | BM25 | model | difference (95 %) |\n|---|---|---|---|---|---|---|")
    for folder in collections(args.data):
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            command = [args.program, "eval", "--collection", str(folder), "--queries", args.queries, "--scores", "none",
                       "--json", file.name, *split_of(folder), *others]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"| {folder.name} | | | | | | {done.stderr.strip().splitlines()[-1]} |", flush=True)
                continue
            found = json.load(open(file.name, encoding="utf-8"))
        seen = SEEN.get(data.ORIGINS.get(folder.name, ("",))[0], "not used")
        gap = found["against_baseline"][args.measure]
        print(f"| {folder.name} | {found['documents']} | {found['queries']} | {seen} | {found['baseline'][args.measure]:.3f} | "
              f"{found['metrics'][args.measure]:.3f} | {gap['difference']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f}) |", flush=True)


if __name__ == "__main__":
    main()
