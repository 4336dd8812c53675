"""Re-rank BM25's top 100 on the judge collections and publish every row.

Rows per collection: BM25 (the better of two settings over the whole collection), the bi-encoder
all-MiniLM-L6-v2, the cross-encoder, and the cross-encoder fused with BM25 (sum of both scores,
each standardised within the query). The candidates are the set's bm25_top100 file (k1 0.9, b 0.4)
or, where it has none, the better setting's own top 100. Differences to BM25 carry paired bootstrap
95 % intervals over queries; that of the mean resamples within each collection.
Scores are kept in the work folder, so a stopped evaluation continues.
"""
import functools
import hashlib
import json
import pathlib

import bm25
import data
import model as nets
import numpy
import pytrec_eval
import teacher
import torch
import validate
from tqdm import tqdm

ROWS = ("BM25", "bi-encoder", "cross-encoder", "cross-encoder + BM25")
MEASURES = {"ndcg_cut_10": "NDCG@10", "recip_rank": "MRR@10"}


def measure(qrels, run):
    """{measure: values in the order of qrels}; the reciprocal rank over the first ten alone."""
    first = {q: dict(sorted(docs.items(), key=lambda item: -item[1])[:10]) for q, docs in run.items()}
    found = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recip_rank"}).evaluate(first)
    return {name: numpy.array([found.get(q, {}).get(name, 0.0) for q in qrels]) for name in MEASURES}


def candidates(args, name, queries, index, setting):
    path = data.folder(args.data, name) / "bm25_top100.test.tsv.gz"
    found = {query: {} for query in queries}
    if path.exists():
        for line in data.lines(path):
            query, doc, _, score = line.rstrip("\n").split("\t")
            if query in found:
                found[query][doc] = float(score)
        return found
    index.weigh(*setting)
    return {query: dict(index.top(text, 100)) for query, text in queries.items()}


def standard(values):
    values = numpy.asarray(values, dtype=numpy.float64)
    return (values - values.mean()) / (values.std() + 1e-9)


def cross_scores(args, name, pairs, model, tokenizer):
    digest = hashlib.sha256((pathlib.Path(args.model) / "model.safetensors").read_bytes())
    digest.update(f"{args.cap} {args.truncation} {len(pairs)} {pairs[0]} {pairs[-1]}".encode())
    path = pathlib.Path(args.work) / "scores" / f"{name}-{digest.hexdigest()[:12]}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        bar = functools.partial(tqdm, desc=name, mininterval=10)
        scores = numpy.array(validate.program_scores(args, pairs)) if args.program else nets.score(model, tokenizer, pairs, args.cap, progress=bar)
        numpy.save(path, scores)
    return numpy.load(path)


def bi_scores(bi, name, corpus, queries, pairs):
    place = {doc: i for i, doc in enumerate(corpus)}
    vectors = bi.embed(list(corpus.values()), f"{name}-judge").astype(numpy.float32)
    asked = dict(zip(queries, bi.embed(list(queries.values()), f"{name}-judge-queries").astype(numpy.float32)))
    return [float(vectors[place[doc]] @ asked[query]) for query, doc in pairs]


def collection(args, name, bi, model, tokenizer):
    corpus, qrels = data.corpus(args.data, name), data.qrels(args.data, name)
    if args.queries:
        qrels = {q: qrels[q] for q in data.sample(sorted(qrels), args.queries, args.seed)}
    queries = {q: text for q, text in data.queries(args.data, name).items() if q in qrels}
    index = bm25.Index(corpus)
    full = {}
    for setting in bm25.SETTINGS:
        index.weigh(*setting)
        full[setting] = measure(qrels, {q: dict(index.top(text)) for q, text in queries.items()})
    better = max(full, key=lambda s: full[s]["ndcg_cut_10"].mean())
    lists = candidates(args, name, queries, index, better)
    pairs = [(query, doc) for query in lists for doc in lists[query]]
    texts = [(queries[query], corpus[doc]) for query, doc in pairs]
    near = bi_scores(bi, name, corpus, queries, pairs) if bi else numpy.zeros(len(pairs))
    cross = cross_scores(args, name, texts, model, tokenizer)
    runs = {row: {q: {} for q in lists} for row in ROWS[1:]}
    start = 0
    for query, docs in lists.items():
        part = slice(start, start + len(docs))
        fused = standard(cross[part]) + standard(list(docs.values()))
        for row, values in zip(ROWS[1:], (near[part], cross[part], fused)):
            runs[row][query] = {doc: float(value) for doc, value in zip(docs, values)}
        start += len(docs)
    return {"BM25": full[better], **{row: measure(qrels, run) for row, run in runs.items()}}, better


def interval(differences, rng, rounds=10000):
    """Mean over collections of the mean difference, with its 95 % bootstrap interval."""
    means = numpy.zeros(rounds)
    for values in differences:
        picks = rng.integers(0, len(values), (rounds, len(values)))
        means += values[picks].mean(1) / len(differences)
    low, high = numpy.percentile(means, (2.5, 97.5))
    return [float(numpy.mean([v.mean() for v in differences])), float(low), float(high)]


def main():
    parser = data.options(__doc__)
    parser.add_argument("--model", default="models/rerankd-mini-en")
    parser.add_argument("--sets", default="npl,cisi,scifact,ir-cranfield,ir-clapnq,covidqa")
    parser.add_argument("--cap", type=int, default=512, help="tokens per pair (the server takes 256 of this model, query-aware)")
    parser.add_argument("--queries", type=int, default=0, help="at most so many queries per set, seeded (0: all)")
    parser.add_argument("--no-bi-encoder", action="store_true", help="leave its row out (it shows 0)")
    parser.add_argument("--program", help="score with this rerankd program instead of PyTorch")
    parser.add_argument("--truncation", default="head", help="what is kept of longer pairs, as of `rerankd score`; others than head need --program")
    parser.add_argument("--json", help="write the figures here")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, tokenizer = nets.load(args.model)
    bi, rng = None if args.no_bi_encoder else teacher.Teacher(args.work, length=256), numpy.random.default_rng(args.seed)
    found, report = {}, {"model": args.model, "cap": args.cap, "rows": []}
    names = args.sets.split(",")
    for name in names:
        found[name], better = collection(args, name, bi, model, tokenizer)
        print(f"{name}: better BM25 k1={better[0]} b={better[1]}, {len(found[name]['BM25']['ndcg_cut_10'])} queries; NDCG@10 "
              + ", ".join(f"{row} {values['ndcg_cut_10'].mean():.3f}" for row, values in found[name].items()), flush=True)
    for measured, title in MEASURES.items():
        print(f"\n| {title} | queries | " + " | ".join(ROWS) + " | cross-encoder - BM25 | fused - BM25 |")
        print("|---|---|" + "---|" * (len(ROWS) + 2))
        for name in [*names, "mean"]:
            parts = names if name == "mean" else [name]
            means = {row: float(numpy.mean([found[p][row][measured].mean() for p in parts])) for row in ROWS}
            gaps = {row: interval([found[p][row][measured] - found[p]["BM25"][measured] for p in parts], rng) for row in ROWS[1:]}
            count = sum(len(found[p]["BM25"][measured]) for p in parts)
            shown = " | ".join("{:+.3f} ({:+.3f} to {:+.3f})".format(*gaps[row]) for row in ROWS[2:])
            print(f"| {name} | {count} | " + " | ".join(f"{means[row]:.3f}" for row in ROWS) + f" | {shown} |")
            report["rows"].append({"measure": title, "set": name, "queries": count, "means": means, "minus BM25": gaps})
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
