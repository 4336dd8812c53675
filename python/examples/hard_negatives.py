"""Hard negatives for training: of each query's candidates, those that a retriever found and a reranker scores well below the positive.

    python hard_negatives.py --collection DIR --run run.trec --output negatives.jsonl [--model DIR] [--margin 0.1] [--count 5]

DIR is in BEIR's form (corpus.jsonl, queries.jsonl, qrels/*.tsv); the run file has `query Q0 document rank score tag`.
"""
import argparse
import collections
import json
import pathlib

from rerankd import CrossEncoder

parser = argparse.ArgumentParser(description=__doc__)
for name, default in (("collection", None), ("run", None), ("output", None), ("model", ""), ("margin", 0.1), ("count", 5)):
    parser.add_argument(f"--{name}", required=default is None, default=default, type=type(default) if default is not None else pathlib.Path)
given = parser.parse_args()

read = lambda path: {row["_id"]: f"{row.get('title', '')} {row['text']}".strip() for row in map(json.loads, path.open())}
corpus, queries = read(given.collection / "corpus.jsonl"), read(given.collection / "queries.jsonl")
relevant = collections.defaultdict(set)
for line in next((given.collection / "qrels").glob("*.tsv")).read_text().splitlines()[1:]:
    query, document, grade = line.split("\t")
    if int(grade) > 0:
        relevant[query].add(document)
candidates = collections.defaultdict(list)
for line in given.run.read_text().splitlines():
    query, _, document, *_ = line.split()
    candidates[query].append(document)

model = CrossEncoder(given.model or None)
with given.output.open("w") as out:
    for query, found in candidates.items():
        positives = sorted(relevant[query] & corpus.keys())
        others = [document for document in dict.fromkeys(found) if document not in relevant[query]]
        if not positives or not others:
            continue
        scores = model.predict([(queries[query], corpus[document]) for document in positives + others])
        bound = min(scores[:len(positives)]) - given.margin  # above it may be a positive that nobody judged
        hard = sorted(((score, document) for score, document in zip(scores[len(positives):], others) if score < bound), reverse=True)
        if hard:
            out.write(json.dumps({"query": queries[query], "positive": [corpus[d] for d in positives],
                                  "negative": [corpus[d] for _, d in hard[:given.count]]}) + "\n")
