"""Whole documents out of a collection of passages: joins the passages of a group, and the judgments with them.

Reads corpus.jsonl[.gz], queries.jsonl[.gz], qrels/SPLIT.tsv and groups.tsv.gz (kind, id, group; kind d for passages) of
FOLDER and writes a BEIR folder of long documents, on which cutting, windows and chunks can be told apart.
Run: python tools/eval/join_groups.py FOLDER OUT [SPLIT]
"""
import gzip
import json
import pathlib
import sys


def lines(path):
    path = path if path.exists() else path.with_name(path.name + ".gz")
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8")
    with opened as stream:
        yield from stream


def main():
    folder, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    split = sys.argv[3] if len(sys.argv) > 3 else "test"
    rows = (line.rstrip("\n").split("\t") for line in lines(folder / "groups.tsv"))
    group = {row[1]: row[2] for row in rows if row[0] == "d"}
    texts, titles = {}, {}
    for line in lines(folder / "corpus.jsonl"):
        row = json.loads(line)
        key = group.get(row["_id"], row["_id"])
        titles.setdefault(key, row.get("title") or "")
        texts.setdefault(key, []).append(row["text"])
    grades = {}
    for number, line in enumerate(lines(folder / "qrels" / f"{split}.tsv")):
        if number:
            query, passage, grade = line.rstrip("\n").split("\t")
            key = (query, group.get(passage, passage))
            grades[key] = max(int(grade), grades.get(key, 0))
    (out / "qrels").mkdir(parents=True, exist_ok=True)
    (out / "corpus.jsonl").write_text("".join(
        json.dumps({"_id": key, "title": titles[key], "text": "\n".join(parts)}) + "\n" for key, parts in texts.items()))
    (out / "queries.jsonl").write_text("".join(lines(folder / "queries.jsonl")))
    (out / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(
        f"{query}\t{key}\t{grade}\n" for (query, key), grade in grades.items()))
    words = sorted(len(" ".join(parts).split()) for parts in texts.values())
    print(f"{len(words)} documents, words: median {words[len(words) // 2]}, longest {words[-1]}; {len(grades)} judgments")


if __name__ == "__main__":
    main()
