#!/usr/bin/env python3
"""The staged story of the classic tuning guide, on this machine: from PyTorch fp32 to rerankd with its cache.

Usage: report.py accuracy|speed|write --collection FOLDER [--program build/release/rerankd] [--model models/rerankd-mini-en]
                 [--folder build/report] [--queries 600] [--top-k 10] [--max-length 192] [--threads 2] [--rounds 3] [--seconds 4]
                 [--open-seconds 12]

`make report` runs all three. Each keeps what it found in --folder, so that they can be run apart.

accuracy  scores BM25's first --top-k documents of judged questions in every stage: top-1 (the first document is judged relevant) and
          NDCG@10, and the largest difference of a logit from the first stage. A stage whose scores are nowhere near is an error.
speed     the same requests as load, by `rerankd bench`: capacity (closed loop, 8 clients), then latency in an open loop, the same for
          all: 80 % of the first stage's capacity, Poisson. All servers stay up; they are measured in turn, --rounds times.
write     docs/performance-stages.svg, and the table in docs/performance.md between its marks.

A collection is in BEIR's form, plain or gzipped. Needs requirements/peers.txt; a quiet machine for `speed`.
"""
import argparse
import contextlib
import json
import math
import pathlib
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from picture import draw
from stages import STAGES, Running, exits_folder

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "peers"))
from collection import Bm25, ndcg, read_collection  # noqa: E402

CLIENTS = 8
SHARE_OF_CAPACITY = 0.8
ZIPF, DISTINCT = 1.0, 200
# A stage whose logits are further than this from PyTorch fp32's, on the average, computes something else.
TOLERANCE = 0.25


def load_lists(a):
    corpus, queries, qrels = read_collection(a.collection)
    judged = [q for q in queries if any(grade > 0 for grade in qrels.get(q, {}).values())]
    random.Random(1).shuffle(judged)
    index = Bm25(corpus)
    lists = [(q, found) for q in judged[:a.queries] if len(found := index.top(queries[q], a.top_k)) > 1]
    return corpus, queries, qrels, lists


def ask(url, query, documents, top_n=0):
    body = json.dumps({"query": query, "documents": documents, "return_documents": False, **({"top_n": top_n} if top_n else {})}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=300))["results"]


def logit(result):
    if "logit" in result:
        return result["logit"]
    score = min(max(result["relevance_score"], 1e-7), 1 - 1e-7)
    return math.log(score / (1 - score))


def interval(values):
    """Half of a 95 % interval of a mean."""
    return 1.96 * statistics.pstdev(values) / math.sqrt(len(values))


def calibrate(a):
    """Exits for adaptive depth, from the collection's questions and texts (its judgments are not looked at)."""
    if not (exits_folder(a) / "exits.json").exists():
        subprocess.run([a.program, "calibrate", "--model", a.model, "--texts", a.collection, "--max-length", str(a.max_length),
                        "--pairs", "16000", "--top-k", "66", "--out", exits_folder(a)], check=True, capture_output=True)


def accuracy(a):
    corpus, queries, qrels, lists = load_lists(a)
    calibrate(a)
    first, found = None, {}
    for stage in STAGES:
        if stage.same_scores_as:
            continue
        begin, logits, top1, gains = time.monotonic(), [], [], []
        with Running(stage, a) as server:
            for query, documents in lists:
                results = ask(server.url, queries[query], [corpus[d] for d in documents], stage.top_n)
                ranking = [documents[r["index"]] for r in results]
                ranking += [d for d in documents if d not in ranking]  # after the top_n: the candidates' order
                top1.append(qrels[query].get(ranking[0], 0) > 0)
                gains.append(ndcg(ranking, qrels[query]))
                logits.append({r["index"]: logit(r) for r in results})
        first = first or (logits, top1, gains)
        apart = [abs(value - all_of_them[i]) for some, all_of_them in zip(logits, first[0]) for i, value in some.items()]
        if statistics.mean(apart) > TOLERANCE:
            raise SystemExit(f"{stage.name}: its logits are {statistics.mean(apart):.2f} from the first stage's: not the same model")
        found[stage.name] = {
            "top1": 100 * statistics.mean(top1), "ndcg": 100 * statistics.mean(gains),
            "top1_change": 100 * statistics.mean(x - y for x, y in zip(top1, first[1])),
            "top1_change_interval": 100 * interval([x - y for x, y in zip(top1, first[1])]),
            "ndcg_change": 100 * statistics.mean(x - y for x, y in zip(gains, first[2])),
            "ndcg_change_interval": 100 * interval([x - y for x, y in zip(gains, first[2])]),
            "largest_difference": max(apart), "mean_difference": statistics.mean(apart)}
        print(f"{stage.name}: top-1 {found[stage.name]['top1']:.2f}, NDCG@10 {found[stage.name]['ndcg']:.2f}, "
              f"{time.monotonic() - begin:.0f} s", flush=True)
    for stage in STAGES:
        if stage.same_scores_as:
            found[stage.name] = found[stage.same_scores_as]
    save(a, "accuracy.json", {"collection": pathlib.Path(a.collection).name, "queries": len(lists), "top_k": a.top_k,
                              "max_length": a.max_length, "model": pathlib.Path(a.model).name, "stages": found})


def bench(a, server, requests, load, seconds, seed):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [a.program, "bench", "--url", server.url, "--model", a.model, "--requests", requests, "--no-check", "--seed", seed,
                   "--duration", f"{seconds}s", "--json", out.name, *load]
        if server.stage.repeats:
            command += ["--distinct", DISTINCT, "--zipf", ZIPF]
        if server.stage.top_n:
            command += ["--top-n", server.stage.top_n]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{server.stage.name}: {done.stderr}")
        run = json.load(open(out.name, encoding="utf-8"))["runs"][0]
    asked = run["requests"]
    if asked["answered"] != asked["sent"]:
        raise SystemExit(f"{server.stage.name}: {asked} under {load}")
    return run


def speed(a):
    corpus, queries, _, lists = load_lists(a)
    requests = pathlib.Path(a.folder) / "requests.jsonl"
    requests.parent.mkdir(parents=True, exist_ok=True)
    requests.write_text("".join(json.dumps({"query": queries[q], "documents": [corpus[d] for d in found]}) + "\n" for q, found in lists))
    runs = {stage.name: {"qps": [], "p50": [], "p99": []} for stage in STAGES}
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Running(stage, a)) for stage in STAGES]
        for server in servers:
            ask(server.url, "warm", ["up", "and ready"])
        rate = None
        for number in range(a.rounds):
            for server in servers:
                closed = bench(a, server, requests, ["--clients", CLIENTS], a.seconds, number + 1)
                rate = rate or round(SHARE_OF_CAPACITY * closed["requests_per_second"], 2)
                opened = bench(a, server, requests, ["--rate", rate], a.open_seconds, number + 1)
                found = runs[server.stage.name]
                found["qps"].append(closed["requests_per_second"])
                found["p50"].append(opened["latency_ms"]["p50"])
                found["p99"].append(opened["latency_ms"]["p99"])
                print(f"round {number + 1}: {server.stage.name}: {found['qps'][-1]:.2f} requests/s, at {rate}/s P50 {found['p50'][-1]:.1f} "
                      f"P99 {found['p99'][-1]:.1f} ms", flush=True)
        engine = next(line for server in servers for line in server.lines if " on engine " in line)
    save(a, "speed.json", {"rate": rate, "rounds": a.rounds, "seconds": a.seconds, "open_seconds": a.open_seconds, "threads": a.threads, "documents": a.top_k,
                           "machine": machine(), "engine": engine.split(" info ")[-1].strip(), "stages": runs})


def machine():
    text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*: (.*)", text)
    flags = set(re.search(r"flags\s*: (.*)", text)[1].split()) if "flags" in text else set()
    told = [name for flag, name in [("avx2", "AVX2"), ("avx512f", "AVX-512"), ("avx512_vnni", "VNNI"), ("avx512_bf16", "AVX512_BF16"),
                                    ("amx_tile", "AMX")] if flag in flags]
    return {"cpu": model[1] if model else platform.machine(), "features": told, "cores": text.count("processor\t:"),
            "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"}


def save(a, name, value):
    path = pathlib.Path(a.folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def spread(values, digits):
    middle = statistics.median(values)
    return f"{middle:.{digits}f}" + (f" ({min(values):.{digits}f}-{max(values):.{digits}f})" if len(values) > 1 else "")


def as_told(stages):
    """Of a stage whose requests repeat only the first round: its cache knows them all in the later ones, as in no real day."""
    repeats = {stage.name for stage in STAGES if stage.repeats}
    return {name: {kind: values[:1] for kind, values in run.items()} if name in repeats else run for name, run in stages.items()}


def table(judged, timed):
    rows = ["| stage | requests/s | times | P50 ms | P99 ms | P99 | top-1 | NDCG@10 | largest difference of a logit |",
            "|---|---|---|---|---|---|---|---|---|"]
    base = None
    for name, run in timed["stages"].items():
        base = base or run
        gain = statistics.median(x / y for x, y in zip(run["qps"], base["qps"]))
        tail = 100 * (statistics.median(x / y for x, y in zip(run["p99"], base["p99"])) - 1)
        said = judged["stages"][name]
        rows.append(f"| {name} | {spread(run['qps'], 1)} | {gain:.1f} | {spread(run['p50'], 1)} | {spread(run['p99'], 0)} | {tail:+.1f} % | "
                    f"{said['top1']:.2f} ({said['top1_change']:+.2f} ± {said['top1_change_interval']:.2f}) | "
                    f"{said['ndcg']:.2f} ({said['ndcg_change']:+.2f} ± {said['ndcg_change_interval']:.2f}) | "
                    f"{said['largest_difference']:.4f} |")
    return rows


def write(a):
    judged = json.loads((pathlib.Path(a.folder) / "accuracy.json").read_text())
    timed = json.loads((pathlib.Path(a.folder) / "speed.json").read_text())
    warm = timed["stages"][next(stage.name for stage in STAGES if stage.repeats)]["qps"][1:]
    timed["stages"] = as_told(timed["stages"])
    here, root = timed["machine"], pathlib.Path(__file__).parent.parent.parent
    text = [f"{here['cpu']}, {here['cores']} cores ({', '.join(here['features'])}), {timed['threads']} threads, "
            f"{here['system']}. Model {judged['model']}; requests of BM25's first {judged['top_k']} documents of {judged['queries']} questions "
            f"of {judged['collection']}, pairs of up to {judged['max_length']} tokens. Requests/s: closed loop, {CLIENTS} clients. "
            f"P50 and P99: open loop, Poisson, {timed['rate']} requests/s for every stage, which is {SHARE_OF_CAPACITY:.0%} of the first one's "
            f"capacity; latency counts from when a request was due. Medians of {timed['rounds']} interleaved rounds of {timed['seconds']} s closed and "
            f"{timed['open_seconds']} s open (smallest-largest), so that a P99 is of some {timed['rate'] * timed['open_seconds']:.0f} requests, the worst "
            f"of them where there are fewer than a hundred; changes against the first stage, accuracy with a 95 % interval of the paired difference. The last stage's "
            f"requests repeat: {DISTINCT} different ones by Zipf's law (exponent {ZIPF}); its accuracy is that of int8, whose scores it keeps; its row "
            f"is the first round, which begins with an empty cache. In later rounds, when all of them are known, it answers {min(warm):.0f}-"
            f"{max(warm):.0f} requests/s.",
            "", *table(judged, timed), "", "![Requests per second and P99 of each stage](performance-stages.svg)"]
    (root / "docs/performance-stages.svg").write_text(draw(timed, judged), encoding="utf-8")
    page = root / "docs/performance.md"
    old = page.read_text(encoding="utf-8")
    begin, end = "<!-- stages: written by make report -->\n", "<!-- end of stages -->"
    head, _, rest = old.partition(begin)
    if not rest:
        raise SystemExit(f"{page}: the marks of the table are gone")
    page.write_text(head + begin + "\n".join(text) + "\n" + end + rest.partition(end)[2], encoding="utf-8")
    print("\n".join(text))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["accuracy", "speed", "write"])
    parser.add_argument("--collection")
    parser.add_argument("--program", default="build/release/rerankd")
    parser.add_argument("--model", default="models/rerankd-mini-en")
    parser.add_argument("--folder", default="build/report")
    for name, value in {"queries": 600, "top-k": 10, "max-length": 192, "threads": 2, "rounds": 3, "seconds": 4, "open-seconds": 12}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    a = parser.parse_args()
    if a.step != "write" and not a.collection:
        sys.exit("--collection: name a folder with corpus.jsonl, queries.jsonl and qrels")
    {"accuracy": accuracy, "speed": speed, "write": write}[a.step](a)


if __name__ == "__main__":
    main()
