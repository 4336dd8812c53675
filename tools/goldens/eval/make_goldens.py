"""Records what pytrec_eval says of a small made-up run: tests/data/eval.

Graded judgments, negative grades, unjudged documents, equal scores, scores that differ only beyond 32 bits, queries
without relevant documents and queries that the run lacks.
Run: python tools/goldens/eval/make_goldens.py tests/data/eval   (needs pytrec_eval_terrier; requirements/train.txt)
"""
import json
import pathlib
import random
import sys

import pytrec_eval

MEASURES = {"ndcg_cut.1,3,5,10,20,100", "recip_rank", "recall.1,5,10,20,100", "map", "map_cut.10", "success.1"}
NAMES = {"ndcg_cut_": "ndcg@", "recip_rank": "mrr", "recall_": "recall@", "map_cut_": "map@", "map": "map", "success_1": "top1"}


def name_of(measure):
    for theirs, ours in NAMES.items():
        if measure.startswith(theirs):
            return ours + measure[len(theirs):]
    raise KeyError(measure)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(3)
    documents = [f"d{i}" for i in range(150)]
    qrels, run = {}, {}
    for q in range(14):
        query = f"q{q}"
        judged = rng.sample(documents, rng.randint(3, 40))
        grades = [0, 0, 1] if q < 5 else [-1, 0, 0, 1, 2, 3]
        qrels[query] = {doc: 0 if q == 6 else rng.choice(grades) for doc in judged}
        if q == 9:
            continue
        listed = rng.sample(documents, rng.choice([2, 8, 30, 120]))
        run[query] = {doc: rng.choice([rng.uniform(-9, 9), float(rng.randint(-3, 3)), 1 + rng.random() * 1e-9]) for doc in listed}
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(
        f"{q}\t{d}\t{g}\n" for q, docs in qrels.items() for d, g in docs.items()))
    (folder / "run.trec").write_text("".join(
        f"{q} Q0 {d} 0 {s!r} made-up\n" for q, docs in run.items() for d, s in docs.items()))
    found = pytrec_eval.RelevanceEvaluator(qrels, MEASURES).evaluate(run)
    # The reciprocal rank has no cutoff in trec_eval: the list is cut before, in trec_eval's order.
    import numpy
    first = {q: dict(sorted(docs.items(), key=lambda item: (numpy.float32(item[1]), item[0]), reverse=True)[:10])
             for q, docs in run.items()}
    cut = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(first)
    values = {q: {**{name_of(m): v for m, v in found[q].items()}, "mrr@10": cut[q]["recip_rank"]} for q in found}
    (folder / "pytrec_eval.json").write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
