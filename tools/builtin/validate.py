"""A small validation: NDCG@10 of re-ranked BM25 candidates on sampled queries of the validation sets."""
import data
import model as nets
import pytrec_eval

PARTS = (("tydiqa-en", "dev", 16), ("nq-gold", "dev", 16), ("boolq", "dev", 12), ("squad-para", "dev", 12),
         ("stackexchange", "test", 30), ("techfaq", "test", 30), ("pubmedqa", "test", 40), ("liveqa-med", "test", 14))


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
        runs = {}
        for name, pairs, texts, _, _, _ in self.parts:
            runs[name] = {}
            for (query, doc), value in zip(pairs, nets.score(model, tokenizer, texts, cap)):
                runs[name].setdefault(query, {})[doc] = float(value)
        return self.means(runs)
