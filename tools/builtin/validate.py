"""A small validation: NDCG@10 of re-ranked BM25 candidates on sampled queries of the validation sets.

train.py takes the small PARTS while it trains. As a command it takes the larger LARGE, 30 candidates a query, and a
rerankd program: for choosing between finished models and ways to serve them, without a look at the judges.
"""
import json
import subprocess

import data
import model as nets
import pytrec_eval

PARTS = (("tydiqa-en", "dev", 16), ("nq-gold", "dev", 16), ("boolq", "dev", 12), ("squad-para", "dev", 12),
         ("stackexchange", "test", 30), ("techfaq", "test", 30), ("pubmedqa", "test", 40), ("liveqa-med", "test", 14))

LARGE = (("tydiqa-en", "dev", 60), ("nq-gold", "dev", 60), ("boolq", "dev", 40), ("squad-para", "dev", 40),
         ("stackexchange", "test", 80), ("techfaq", "test", 80), ("pubmedqa", "test", 80), ("liveqa-med", "test", 50))


def program_scores(args, pairs):
    """Logits of (query, passage) pairs from `rerankd score`: some ten times faster than PyTorch on a CPU."""
    lines = "".join(json.dumps({"query": query, "document": document}) + "\n" for query, document in pairs)
    command = [args.program, "score", "--model", args.model, "--max-length", str(args.cap), "--truncation", args.truncation]
    done = subprocess.run(command, input=lines, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line)["logit"] for line in done.stdout.splitlines()]


class Validation:
    def __init__(self, args, depth=20, parts=PARTS):
        self.parts = []
        for name, split, size in parts:
            corpus, queries = data.corpus(args.data, name), data.queries(args.data, name)
            qrels = data.qrels(args.data, name, split)
            picked = set(data.sample(sorted(qrels), size, args.seed))
            run = {}
            for line in data.lines(data.folder(args.data, name) / f"bm25_top100.{split}.tsv.gz"):
                query, doc, rank, score = line.rstrip("\n").split("\t")
                if query in picked and int(rank) <= depth:
                    run.setdefault(query, {})[doc] = float(score)
            pairs = [(query, doc) for query in run for doc in run[query]]
            texts = [(queries[query], corpus[doc]) for query, doc in pairs]
            judge = pytrec_eval.RelevanceEvaluator({q: qrels[q] for q in picked}, {"ndcg_cut.10"})
            self.parts.append((name, pairs, texts, judge, run, len(picked)))

    def baseline(self):
        return self.means({name: run for name, _, _, _, run, _ in self.parts})

    def means(self, runs):
        found = {name: sum(q["ndcg_cut_10"] for q in judge.evaluate(runs[name]).values()) / size
                 for name, _, _, judge, _, size in self.parts}
        return {"mean": sum(found.values()) / len(found), **found}

    def __call__(self, model, tokenizer, cap=120):
        return self.judged(lambda texts: nets.score(model, tokenizer, texts, cap))

    def judged(self, score):
        """NDCG@10 by set of what score(texts) gives to (query, passage) pairs."""
        runs = {}
        for name, pairs, texts, _, _, _ in self.parts:
            runs[name] = {}
            for (query, doc), value in zip(pairs, score(texts)):
                runs[name].setdefault(query, {})[doc] = float(value)
        return self.means(runs)


def main():
    parser = data.options(__doc__)
    parser.add_argument("--model", default="models/rerankd-mini-en")
    parser.add_argument("--program", default="build/release/rerankd")
    parser.add_argument("--cap", type=int, default=512, help="tokens per pair")
    parser.add_argument("--truncation", default="head", help="as of `rerankd score`")
    args = parser.parse_args()
    check = Validation(args, depth=30, parts=LARGE)
    for name, found in (("BM25", check.baseline()), (args.model, check.judged(lambda texts: program_scores(args, texts)))):
        print(name, " ".join(f"{part} {value:.3f}" for part, value in found.items()))


if __name__ == "__main__":
    main()
