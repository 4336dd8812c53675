"""A large reranker's logits as labels for training a small one: pairs of a run file -> parquet (query, document, logit).

    python distillation_scores.py --collection DIR --run run.trec --output labels.parquet [--model DIR | --url URL] [--depth 50]

DIR is in BEIR's form; the files are read as rerankd.arrow reads any table: millions of pairs want `python -m rerankd score`.
"""
import argparse
import collections
import json
import pathlib

import pyarrow
import pyarrow.parquet

from rerankd.arrow import Scorer

parser = argparse.ArgumentParser(description=__doc__)
for name in ("collection", "run", "output"):
    parser.add_argument(f"--{name}", required=True, type=pathlib.Path)
parser.add_argument("--model")
parser.add_argument("--url")
parser.add_argument("--depth", type=int, default=50)
given = parser.parse_args()

read = lambda path: {row["_id"]: f"{row.get('title', '')} {row['text']}".strip() for row in map(json.loads, path.open())}
corpus, queries = read(given.collection / "corpus.jsonl"), read(given.collection / "queries.jsonl")
taken, rows = collections.Counter(), []
for line in given.run.read_text().splitlines():
    query, _, document, *_ = line.split()
    if query in queries and document in corpus and taken[query] < given.depth:
        taken[query] += 1
        rows.append((queries[query], corpus[document]))
texts, documents = (pyarrow.array(side, pyarrow.large_string()) for side in zip(*rows))
logits = Scorer(given.model, url=given.url, raw_scores=True).score(texts, documents)
pyarrow.parquet.write_table(pyarrow.table({"query": texts, "document": documents, "logit": logits}), given.output)
print(f"{len(rows)} pairs of {len(taken)} queries labelled")
