#!/usr/bin/env python3
"""How far each precision of rerankd's engines moves scores and rankings away from fp32, on a judged collection.

Usage: fidelity.py --program build/release/rerankd --collection FOLDER [--model FOLDER] [--queries 120] [--depth 30]
                   [--precisions bf16,int8,int8:avx512vnni,cuda/fp8] [--max-length 256] [--exact-model FOLDER]

A precision is [ENGINE/]P[:KERNEL], of the cpu engine where none is named; fp32 is always the cpu engine's,
of --exact-model where that is given: what a converted model is held against.
The collection is in BEIR's form: corpus.jsonl, queries.jsonl, qrels.tsv. Each query's `depth` best documents by BM25 are scored.
Printed per precision: largest and mean |logit - fp32|, the spread of fp32's logits to hold them against, Kendall's tau per query,
how often the first document is the same, how many of the first ten are, and NDCG@10 with its difference from fp32's.
Standard library only.
"""
import argparse
import json
import pathlib
import statistics
import subprocess

from collection import Bm25, ndcg, read_collection


def score(arguments, model, precision, pairs):
    engine, _, precision = precision.rpartition("/")
    precision, _, kernel = precision.partition(":")
    command = [arguments.program, "score", "--max-length", str(arguments.max_length), "--engine", engine or "cpu",
               "--precision", precision]
    command += ["--kernel", kernel] if kernel else []
    command += ["--model", model] if model else []
    lines = "".join(json.dumps({"query": q, "document": d}) + "\n" for q, d in pairs)
    done = subprocess.run(command, input=lines, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return [json.loads(line)["logit"] for line in done.stdout.splitlines()]


def kendall(a, b):
    concordant = discordant = 0
    for i in range(len(a)):
        for j in range(i):
            product = (a[i] - a[j]) * (b[i] - b[j])
            concordant += product > 0
            discordant += product < 0
    return (concordant - discordant) / max(1, concordant + discordant)


def compare(name, lists, qrels, expected, found):
    taus, first, ten, scores, base = [], [], [], [], []
    position = 0
    for query, documents in lists:
        end = position + len(documents)
        a, b = expected[position:end], found[position:end]
        position = end
        ranked = [[d for _, d in sorted(zip(values, documents), key=lambda p: -p[0])] for values in (a, b)]
        taus.append(kendall(a, b))
        first.append(ranked[0][0] == ranked[1][0])
        ten.append(len(set(ranked[0][:10]) & set(ranked[1][:10])) / min(10, len(documents)))
        base.append(ndcg(ranked[0], qrels[query]))
        scores.append(ndcg(ranked[1], qrels[query]))
    apart = [abs(x - y) for x, y in zip(expected, found)]
    print(f"{name:20} max {max(apart):.4f} mean {statistics.mean(apart):.4f} (fp32 spread {statistics.pstdev(expected):.2f})   "
          f"tau {statistics.mean(taus):.4f}   top-1 {100 * statistics.mean(first):.1f} %   top-10 {100 * statistics.mean(ten):.1f} %   "
          f"NDCG@10 {100 * statistics.mean(scores):.2f} ({100 * (statistics.mean(scores) - statistics.mean(base)):+.2f})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--collection", required=True)
    parser.add_argument("--model")
    parser.add_argument("--exact-model")
    parser.add_argument("--queries", type=int, default=120)
    parser.add_argument("--depth", type=int, default=30)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--precisions", default="bf16,int8,int8:avx512vnni,int8:avx2")
    arguments = parser.parse_args()
    corpus, queries, qrels = read_collection(arguments.collection)
    index = Bm25(corpus)
    judged = [q for q in queries if q in qrels][:arguments.queries]
    lists = [(q, found) for q in judged if len(found := index.top(queries[q], arguments.depth)) > 1]
    pairs = [(queries[q], corpus[d]) for q, documents in lists for d in documents]
    print(f"{pathlib.Path(arguments.collection).name}: {len(lists)} queries, {len(pairs)} pairs")
    expected = score(arguments, arguments.exact_model or arguments.model, "fp32", pairs)
    for precision in arguments.precisions.split(","):
        compare(precision, lists, qrels, expected, score(arguments, arguments.model, precision, pairs))


if __name__ == "__main__":
    main()
