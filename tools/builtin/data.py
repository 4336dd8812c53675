"""The data sets: where they come from, how they are used, and how they are read.

The data folder (option --data, or RERANKD_DATA) holds one folder per set in BEIR layout:
corpus.jsonl[.gz], queries.jsonl[.gz], qrels/SPLIT.tsv (or qrels.tsv) and, where given,
negatives.tsv.gz (BM25 hard negatives of the train queries) and bm25_top100.SPLIT.tsv.gz.
"""
import argparse
import gzip
import json
import os
import pathlib
import random

# name -> (use, public origin, licence)
ORIGINS = {
    "tydiqa-en": ("train", "TyDi QA GoldP, English (google-research-datasets/tydiqa)", "Apache-2.0; passages CC BY-SA 3.0"),
    "nq-gold": ("train", "Natural Questions open, gold passages (nelson-liu/lost-in-the-middle)", "MIT / Apache-2.0; passages CC BY-SA 3.0"),
    "boolq": ("train", "BoolQ dev (google-research-datasets/boolean-questions)", "CC BY-SA 3.0"),
    "stackexchange": ("train", "Stack Exchange data dumps, 12 small sites (archive.org/details/stackexchange)", "CC BY-SA 3.0/4.0"),
    "techfaq": ("train", "TeX FAQ (texfaq.github.io), FreeBSD FAQ, Python FAQ", "CC0; BSD-2-Clause; PSF"),
    "selqa": ("train", "SelQA (emorynlp/selqa)", "Apache-2.0; passages CC BY-SA"),
    "medquad": ("train", "MedQuAD (abachaa/MedQuAD)", "CC BY 4.0"),
    "squad-sent": ("train", "SQuAD 1.1 train, sentence level (rajpurkar.github.io/SQuAD-explorer)", "CC BY-SA 4.0"),
    "squad-para": ("train", "SQuAD 1.1 train, 1,000 paragraphs (rajpurkar.github.io/SQuAD-explorer)", "CC BY-SA 4.0"),
    "pubmedqa": ("validate", "PubMedQA PQA-L (pubmedqa/pubmedqa)", "MIT"),
    "liveqa-med": ("validate", "LiveQA-Med / MedQuAD judged answers (abachaa/LiveQA_MedicalTask_TREC2017)", "CC BY 4.0"),
    "scifact": ("judge", "SciFact, the BEIR task (allenai/scifact)", "CC BY 4.0; ODC-By 1.0"),
    "covidqa": ("judge", "COVID-QA, April 2020 (deepset-ai/COVID-QA)", "Apache-2.0"),
    "npl": ("judge", "NPL / Vaswani (Glasgow IR test collections)", "free for research"),
    "cisi": ("judge", "CISI 1460 (Glasgow IR test collections)", "free for research"),
    "ir-cranfield": ("judge", "Cranfield 1400 (Cleverdon 1967)", "free for research"),
    "ir-clapnq": ("judge", "CLAPnq dev (primeqa/clapnq)", "Apache-2.0; passages CC BY-SA 3.0"),
}
JUDGES = [name for name, origin in ORIGINS.items() if origin[0] == "judge"]
POOL = ("tydiqa-en", "nq-gold", "boolq", "squad-para")  # searched together, as one collection


def folder(data, name):
    base = pathlib.Path(data)
    return base / name if name.startswith("ir-") else base / "qa" / name


def lines(path):
    path = pathlib.Path(path)
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8")
    with opened as stream:
        yield from stream


def jsonl(data, name, what):
    plain = folder(data, name) / f"{what}.jsonl"
    path = plain if plain.exists() else plain.with_name(plain.name + ".gz")
    return [json.loads(line) for line in lines(path)]


def doc_text(row):
    return f"{row.get('title') or ''} {row['text']}".strip()


def corpus(data, name):
    """{id: title + text}"""
    return {row["_id"]: doc_text(row) for row in jsonl(data, name, "corpus")}


def queries(data, name):
    return {row["_id"]: row["text"] for row in jsonl(data, name, "queries")}


def qrels(data, name, split="test"):
    path = folder(data, name) / "qrels" / f"{split}.tsv"
    if not path.exists():
        path = folder(data, name) / "qrels.tsv"
    found = {}
    for number, line in enumerate(lines(path)):
        if number:
            query, doc, score = line.rstrip("\n").split("\t")
            found.setdefault(query, {})[doc] = int(score)
    return found


def negatives(data, name):
    """{query id: ["set:corpus id", ...]} in BM25 order"""
    rows = (line.rstrip("\n").split("\t") for line in lines(folder(data, name) / "negatives.tsv.gz"))
    return {row[0]: row[1].split() for row in rows if len(row) > 1}


def pooled_corpus(data, names):
    """{"set:corpus id": text} over several sets"""
    return {f"{name}:{key}": text for name in names for key, text in corpus(data, name).items()}


def sample(items, size, seed):
    items = list(items)
    return items if len(items) <= size else random.Random(seed).sample(items, size)


def options(doc):
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("RERANKD_DATA"), help="data folder (default: RERANKD_DATA)")
    parser.add_argument("--work", default=".cache/builtin", help="folder for caches and checkpoints")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=13)
    return parser
