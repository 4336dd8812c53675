"""Add an earlier model's scores to the lists, standardised over all of them: the third teacher.

Scored with the rerankd program, some ten times faster than PyTorch on a CPU. Reads and rewrites WORK/lists.jsonl.gz.
"""
import gzip
import json
import pathlib
import subprocess

import data
import numpy


def main():
    parser = data.options(__doc__)
    parser.add_argument("--program", default="build/release/rerankd")
    parser.add_argument("--model", default="models/rerankd-mini-en")
    parser.add_argument("--lists", type=int, default=0, help="keep only so many lists (0: all): as many as training will see")
    parser.add_argument("--cap", type=int, default=320, help="tokens per pair")
    args = parser.parse_args()
    path = pathlib.Path(args.work) / "lists.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        records = [json.loads(line) for line in stream][:args.lists or None]
    texts = data.pooled_corpus(args.data, [name for name, origin in data.ORIGINS.items() if origin[0] == "train"])
    command = [args.program, "score", "--model", args.model, "--max-length", str(args.cap), "--threads", str(args.threads)]
    with open(path.with_suffix(".pairs"), "w", encoding="utf-8") as pairs:
        for item in records:
            for doc in item["docs"]:
                pairs.write(json.dumps({"query": item["query"], "document": texts[doc]}) + "\n")
    done = subprocess.run([*command, "--input", pairs.name], stdout=subprocess.PIPE, text=True, check=True)
    scores = numpy.array([json.loads(line)["logit"] for line in done.stdout.splitlines()])
    within = numpy.sqrt(numpy.mean([s.var() for s in numpy.split(scores, numpy.cumsum([len(r["docs"]) for r in records])[:-1])]))
    scores, start = (scores - scores.mean()) / within, 0
    for item in records:
        item["cross"] = [round(float(value), 3) for value in scores[start:start + len(item["docs"])]]
        start += len(item["docs"])
    part = path.with_suffix(".part")
    with gzip.open(part, "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(item) + "\n" for item in records)
    part.replace(path)
    pathlib.Path(pairs.name).unlink()
    print(f"{len(scores)} scores of {args.model}, deviation within a list {within:.3f} -> {path}")


if __name__ == "__main__":
    main()
