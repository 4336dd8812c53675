"""Ask a served reranker for the scores of (query, document) pairs: what a student learns from.

Texts come from a collection in BEIR layout (corpus.jsonl, queries.jsonl; judgments are not needed) or from JSON
lines {"query", "document"}. A collection's queries, and sentences of its documents where there are few queries,
are paired with their BM25 candidates. Any server that speaks POST /rerank of text-embeddings-inference will do;
raw logits are asked for. Written to WORK/lists.jsonl.gz, one list a line {"query", "docs", "scores"}; a run that
was stopped goes on where it was.
"""
import argparse
import gzip
import json
import pathlib
import random
import re
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "builtin"))
import bm25  # noqa: E402
from tqdm import tqdm  # noqa: E402


def read_lines(path):
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8")
    with opened as stream:
        return [json.loads(line) for line in stream if line.strip()]


def texts_of(folder, what):
    """{id: text} of FOLDER/WHAT.jsonl[.gz]; none where there is no such file"""
    for name in (f"{what}.jsonl", f"{what}.jsonl.gz"):
        if (folder / name).exists():
            return {row["_id"]: f"{row.get('title') or ''} {row['text']}".strip() for row in read_lines(folder / name)}
    return {}


def made_queries(corpus, count, rng):
    """Sentences of documents, as queries: for texts that nobody has asked about yet."""
    found = []
    for key in rng.sample(sorted(corpus), min(len(corpus), 2 * count)):
        sentences = [s for s in re.split(r"(?<=[.?!])\s+|\n+", corpus[key]) if 4 <= len(s.split()) <= 40]
        if sentences:
            found.append(rng.choice(sentences))
    return found[:count]


def lists_of_collection(args, rng):
    """[(query, [document, ...])]: half of the best BM25 candidates, the rest from further down."""
    corpus = texts_of(args.texts, "corpus")
    queries = list(texts_of(args.texts, "queries").values())
    rng.shuffle(queries)
    queries = queries[:args.lists] + made_queries(corpus, max(0, args.lists - len(queries)), rng)
    index = bm25.Index(corpus)
    for query in queries:
        best = [key for key, _ in index.top(query, 100)]
        half = args.size // 2
        picked = best[:half] + rng.sample(best[half:], min(args.size - half, max(0, len(best) - half)))
        if len(picked) == args.size:
            yield query, [corpus[key] for key in picked]


def lists_of_pairs(args):
    grouped = {}
    for row in read_lines(args.texts):
        grouped.setdefault(row["query"], []).append(row["document"])
    for query, docs in grouped.items():
        for start in range(0, len(docs) - args.size + 1, args.size):
            yield query, docs[start:start + args.size]


def ask(url, key, query, docs):
    body = json.dumps({"query": query, "texts": docs, "raw_scores": True, "truncate": True}).encode()
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    with urllib.request.urlopen(urllib.request.Request(url.rstrip("/") + "/rerank", body, headers), timeout=300) as answer:
        scores = {row["index"]: row["score"] for row in json.load(answer)}
    return [scores[i] for i in range(len(docs))]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=pathlib.Path, required=True, help="collection folder, or a file of pairs")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the teacher's server")
    parser.add_argument("--api-key", default="", help="its key, if it asks for one")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path(".cache/distill"))
    parser.add_argument("--lists", type=int, default=4000)
    parser.add_argument("--size", type=int, default=8, help="documents per list")
    parser.add_argument("--seed", type=int, default=13)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    rng = random.Random(args.seed)
    lists = list(lists_of_collection(args, rng) if args.texts.is_dir() else lists_of_pairs(args))[:args.lists]
    if not lists:
        raise SystemExit(f"{args.texts}: no query has {args.size} documents")
    part = args.work / "lists.part.jsonl"
    done = sum(1 for _ in open(part, encoding="utf-8")) if part.exists() else 0
    with open(part, "a", encoding="utf-8") as out:
        for query, docs in tqdm(lists[done:], initial=done, total=len(lists), desc="teacher"):
            out.write(json.dumps({"query": query, "docs": docs, "scores": ask(args.url, args.api_key, query, docs)}) + "\n")
            out.flush()
    with open(part, encoding="utf-8") as source, gzip.open(args.work / "lists.jsonl.gz", "wt", encoding="utf-8") as out:
        out.writelines(source)
    part.unlink()
    print(f"{len(lists)} lists of {args.size} -> {args.work / 'lists.jsonl.gz'}")


if __name__ == "__main__":
    main()
