"""Build the training lists: one query, several passages, labels and the teachers' scores.

Labelled lists hold a positive, BM25 hard negatives, negatives mined by the bi-encoder and a random
one. Unlabelled lists take a sentence of a passage as the query and other passages as candidates;
they carry the teachers' scores alone: the bi-encoder's cosine and BM25, each standardised by its mean
and deviation over the query's BM25 top 100, which is what a re-ranker sees. Written to
WORK/lists.jsonl.gz, shuffled.
"""
import gzip
import json
import pathlib
import random
import re

import bm25
import data
import numpy
import teacher
import torch
from tqdm import tqdm

FAMILIES = (data.POOL, ("stackexchange",), ("techfaq",), ("selqa",), ("medquad",), ("squad-sent",))
LABELLED = {"tydiqa-en": 3676, "nq-gold": 2390, "boolq": 2930, "stackexchange": 3155, "techfaq": 760,
            "selqa": 300, "medquad": 1500, "squad-sent": 1200, "squad-para": 900}
SENTENCES = {"tydiqa-en": 400, "nq-gold": 200, "boolq": 300, "stackexchange": 900, "techfaq": 200, "medquad": 900}
TOPICS = {"tydiqa-en": 2200, "nq-gold": 1000, "boolq": 1200, "stackexchange": 5000, "techfaq": 900, "medquad": 5000,
          "selqa": 1000, "squad-sent": 700}
PASSAGES = {"selqa": 5000, "medquad": 8000, "squad-sent": 5000}  # of the larger sets a part is enough


class Family:
    """Collections searched together: texts, embeddings and a BM25 index."""

    def __init__(self, args, names, bi):
        self.names, self.texts, vectors, self.held = names, {}, [], set()
        for name in names:
            texts = data.corpus(args.data, name)
            for split in ("dev", "test"):
                if (data.folder(args.data, name) / "qrels" / f"{split}.tsv").exists():
                    self.held.update(f"{name}:{doc}" for docs in data.qrels(args.data, name, split).values() for doc in docs)
            if name in PASSAGES:
                qrels = data.qrels(args.data, name, "train")
                kept = [doc for query in data.sample(sorted(qrels), LABELLED[name], args.seed) for doc in qrels[query]]
                kept = set((kept + data.sample(sorted(texts), PASSAGES[name], args.seed))[:max(len(kept), PASSAGES[name])])
                texts = {key: text for key, text in texts.items() if key in kept}
            self.texts.update({f"{name}:{key}": text for key, text in texts.items()})
            vectors.append(bi.embed(list(texts.values()), f"{name}-corpus"))
        self.keys = list(self.texts)
        self.place = {key: i for i, key in enumerate(self.keys)}
        self.vectors = numpy.concatenate(vectors).astype(numpy.float32)
        self.index = bm25.Index(self.texts)
        self.allowed = numpy.array([key not in self.held for key in self.keys])

    def scores(self, query, vector):
        """Cosines and BM25 scores of all passages, standardised over the query's BM25 top 100."""
        total, _ = self.index.scores(query)
        cosine, top = self.vectors @ vector, numpy.argsort(-total, kind="stable")[:100]
        return tuple(numpy.clip((values - values[top].mean()) / (values[top].std() + 1e-6), -5, 8) for values in (cosine, total))

    def best(self, scores, first, last):
        order = numpy.argsort(-numpy.where(self.allowed, scores, -9), kind="stable")[first:last]
        return [self.keys[i] for i in order]


def record(family, name, query, docs, labels, cosine, lexical):
    places = [family.place[doc] for doc in docs]
    return {"set": name, "query": query, "docs": docs, "labels": labels,
            "cosine": [round(float(cosine[i]), 4) for i in places],
            "bm25": [round(float(lexical[i]), 4) for i in places]}


def fill(rng, chosen, wanted, source, banned):
    """Add up to `wanted` passages of `source` at random."""
    source = [doc for doc in dict.fromkeys(source) if doc not in chosen and doc not in banned]
    chosen.extend(rng.sample(source, min(wanted, len(source))))


def labelled(args, family, name, bi, rng):
    queries, qrels = data.queries(args.data, name), data.qrels(args.data, name, "train")
    hard = data.negatives(args.data, name)
    picked = data.sample(sorted(qrels), LABELLED[name], args.seed)
    vectors = bi.embed([queries[q] for q in picked], f"{name}-queries").astype(numpy.float32)
    for query, vector in zip(picked, tqdm(vectors, desc=name, mininterval=10)):
        judged = {f"{name}:{doc}": score for doc, score in qrels[query].items()}
        positives = [doc for doc, score in judged.items() if score > 0 and doc in family.place]
        if not positives:
            continue
        positive = max(positives, key=lambda doc: (judged[doc], rng.random()))
        cosine, lexical = family.scores(queries[query], vector)
        limit = cosine[family.place[positive]]
        near = [doc for doc in family.best(cosine, 0, 40) if cosine[family.place[doc]] < limit]
        banned, chosen = set(positives) | family.held, []
        zeros = [doc for doc, score in judged.items() if score == 0 and doc in family.place]
        fill(rng, chosen, 1, zeros, banned)
        fill(rng, chosen, 2, near[:16], banned)
        fill(rng, chosen, 3, [d for d in hard.get(query, [])[:16] if d in family.place], banned)
        fill(rng, chosen, args.size - 2 - len(chosen), family.best(lexical, 4, 100), banned)
        fill(rng, chosen, args.size - 1 - len(chosen), rng.sample(family.keys, 8), banned)
        docs = [positive] + chosen
        yield record(family, name, queries[query], docs, [1] + [0] * len(chosen), cosine, lexical)


def unlabelled(args, family, name, bi, rng):
    own = [key for key in family.keys if key.startswith(name + ":") and key not in family.held]
    pairs = []
    for key in rng.sample(own, min(len(own), 2 * SENTENCES[name])):
        sentences = [s for s in re.split(r"(?<=[.?!])\s+|\n+", family.texts[key]) if 5 <= len(s.split()) <= 45]
        if sentences:
            start = rng.randrange(len(sentences))
            pairs.append((key, " ".join(sentences[start:start + (2 if rng.random() < 0.15 else 1)])))
    pairs = pairs[:SENTENCES[name]]
    vectors = bi.embed([text for _, text in pairs], f"{name}-sentences").astype(numpy.float32)
    for (key, text), vector in zip(pairs, tqdm(vectors, desc=name + " sentences", mininterval=10)):
        cosine, lexical = family.scores(text, vector)
        chosen, banned = [], {key} | family.held
        fill(rng, chosen, 2, family.best(cosine, 0, 12), banned)
        fill(rng, chosen, 2, family.best(lexical, 0, 20), banned)
        fill(rng, chosen, 1, family.best(cosine + lexical, 12, 80), banned)
        fill(rng, chosen, args.size - len(chosen), rng.sample(family.keys, 8), banned)
        yield record(family, name, text, chosen, None, cosine, lexical)


def topic(text, index, rng):
    """A query that is no question, made from a passage, and whether the passage itself may be a candidate."""
    sentences = [s for s in re.split(r"(?<=[.?!])\s+|\n+", text) if len(s.split()) >= 4]
    kind = rng.random()
    if kind < 0.4 and len(sentences) > 2:
        start = rng.randrange(len(sentences) - 1)
        return " ".join(" ".join(sentences[start:start + rng.randint(2, 5)]).split()[:120]), False
    if kind < 0.6 and sentences:
        words = rng.choice(sentences).split()[:40]
        return " ".join(word for word in words if rng.random() < 0.75), False
    words = list(dict.fromkeys(bm25.WORD.findall(text.lower())))[:150]
    rarity = {word: index.rarity(word) + rng.gauss(0, 1) for word in words if word not in bm25.STOP and len(word) > 2}
    best = set(sorted(rarity, key=rarity.get, reverse=True)[:rng.randint(3, 12)])
    return " ".join(word for word in words if word in best), rng.random() < 0.5


def topical(args, family, name, bi, rng):
    own = [key for key in family.keys if key.startswith(name + ":") and key not in family.held]
    own = [key for key in own if len(family.texts[key].split()) >= 12]
    picked = rng.sample(own, min(len(own), TOPICS[name]))
    made = [topic(family.texts[key], family.index, rng) for key in picked]
    vectors = bi.embed([text for text, _ in made], f"{name}-topics").astype(numpy.float32)
    for key, (text, itself), vector in zip(picked, tqdm(made, desc=name + " topics", mininterval=10), vectors):
        if not text:
            continue
        cosine, lexical = family.scores(text, vector)
        chosen, banned = [key] if itself else [], {key} | family.held
        fill(rng, chosen, 2 - len(chosen), family.best(cosine, 0, 15), banned)
        fill(rng, chosen, 1, family.best(cosine + lexical, 0, 8), banned)
        fill(rng, chosen, args.size - 1 - len(chosen), family.best(lexical, 0, 100), banned)
        fill(rng, chosen, args.size - len(chosen), rng.sample(family.keys, 8), banned)
        yield record(family, name, text, chosen, None, cosine, lexical)


def main():
    parser = data.options(__doc__)
    parser.add_argument("--size", type=int, default=8, help="passages per list")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    bi, rng, records = teacher.Teacher(args.work), random.Random(args.seed), []
    for names in FAMILIES:
        family = Family(args, names, bi)
        for name in names:
            records.extend(labelled(args, family, name, bi, rng))
            if name in SENTENCES:
                records.extend(unlabelled(args, family, name, bi, rng))
            if name in TOPICS:
                records.extend(topical(args, family, name, bi, rng))
    rng.shuffle(records)
    path = pathlib.Path(args.work) / "lists.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as out:
        for item in records:
            out.write(json.dumps(item) + "\n")
    print(f"{len(records)} lists, {sum(len(r['docs']) for r in records)} pairs -> {path}")


if __name__ == "__main__":
    main()
