"""A judged collection in BEIR's form, BM25 over it, and NDCG. Standard library only."""
import collections
import gzip
import json
import math
import pathlib
import re
import statistics


def lines(folder, name):
    for path in (folder / name, folder / (name + ".gz")):
        if path.exists():
            text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            return text.decode("utf-8").splitlines()
    raise SystemExit(f"{folder}: has no {name}")


def read_collection(folder):
    """{id: text}, {id: text}, {query: {document: grade}}"""
    folder = pathlib.Path(folder)
    read = lambda name: map(json.loads, lines(folder, name))
    corpus = {d["_id"]: " ".join(filter(None, [d.get("title", ""), d["text"]])) for d in read("corpus.jsonl")}
    queries = {q["_id"]: q["text"] for q in read("queries.jsonl")}
    qrels = collections.defaultdict(dict)
    for line in lines(folder, "qrels/test.tsv" if (folder / "qrels").is_dir() else "qrels.tsv"):
        query, *_, document, grade = line.split("\t")
        if grade.lstrip("-").isdigit():  # else the heading
            qrels[query][document] = int(grade)
    return corpus, queries, qrels


def words(text):
    return re.findall(r"[a-z0-9]+|[^\x00-\u024f\s\W]", text.lower())


def ndcg(ranking, grades):
    """NDCG@10 of document ids, best first; gain 2^grade - 1."""
    gain = lambda found: sum((2 ** g - 1) / math.log2(i + 2) for i, g in enumerate(found[:10]) if g > 0)
    best = gain(sorted(grades.values(), reverse=True))
    return gain([grades.get(d, 0) for d in ranking]) / best if best else 0.0


class Bm25:
    def __init__(self, corpus, k1=0.9, b=0.4):
        self.postings = collections.defaultdict(list)
        lengths = {d: len(words(text)) for d, text in corpus.items()}
        mean = statistics.mean(lengths.values())
        for d, text in corpus.items():
            for word, count in collections.Counter(words(text)).items():
                self.postings[word].append((d, count * (k1 + 1) / (count + k1 * (1 - b + b * lengths[d] / mean))))
        self.size = len(corpus)

    def top(self, query, depth):
        scores = collections.Counter()
        for word in words(query):
            found = self.postings.get(word, [])
            weight = math.log(1 + (self.size - len(found) + 0.5) / (len(found) + 0.5))
            for d, score in found:
                scores[d] += weight * score
        return [d for d, _ in scores.most_common(depth)]
