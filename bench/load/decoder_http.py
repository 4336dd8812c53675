#!/usr/bin/env python3
"""A decoder over HTTP: what kept prefixes are worth to one request, and what 16 clients lose against the engine in process.

    bench/load/decoder_http.py [--shape 0.6b] [--precision auto] [--rounds 3] [--documents 66] [--document-tokens 100]
                               [--client-documents 16] [--seconds 20] [--max-batch-ms 250] [--parts request,clients]        (RERANKD: the program)

Qwen3-Reranker's shape with random weights (bench/memory.py), whose vocabulary has a token for each word. Caches of scores are off.

request   one request of --documents documents, each time another query: of a server that shares no prefixes (--prefix-bytes 0); the first
          of a server that has just started, which has kept nothing; later ones, for which the template's prefix is kept. The scores of the
          three must be equal bit for bit.
clients   documents a second of 16 clients with --client-documents documents each over HTTP, and of as many in process (`rerankd bench`
          without --url), in turns. The ratio is of two runs of one round.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

SOURCE = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("RERANKD", str(SOURCE / "build/release/rerankd"))
sys.path[:0] = [str(SOURCE / "tests/support"), str(SOURCE / "bench")]
import memory  # noqa: E402
from rerankd_server import PROGRAM, Server, get  # noqa: E402

WORDS = [f"w{i}" for i in range(2000)]


def show(values, unit, form="{:.3g}"):
    return f"{form.format(statistics.median(values))} {unit} ({form.format(min(values))}-{form.format(max(values))})"


def request_of(number, arguments):
    pick = random.Random(number)
    text = lambda count: " ".join(pick.choices(WORDS, k=count))  # noqa: E731
    return {"query": text(12), "documents": [text(arguments.document_tokens) for _ in range(arguments.documents)], "raw_scores": True}


def ask(server, number, arguments):
    body = json.dumps(request_of(number, arguments)).encode()
    begin = time.monotonic()
    call = urllib.request.Request(server.url + "/v1/rerank", body, {"Content-Type": "application/json"})
    answer = json.load(urllib.request.urlopen(call, timeout=3600))
    seconds = time.monotonic() - begin
    return seconds, {row["index"]: row["relevance_score"] for row in answer["results"]}


def one_request(options, arguments):
    times, saved = {"nothing shared": [], "shared, nothing kept": [], "shared and kept": []}, {}
    for number in range(arguments.rounds):
        first, second = 2 * number, 2 * number + 1
        found = {}
        for sharing in (False, True):
            with Server(*options, *([] if sharing else ["--prefix-bytes", "0"])) as server:
                server.wait_until_ready(900)
                for asked in (first, second):
                    kept = sharing and asked == second
                    seconds, scores = ask(server, asked, arguments)
                    times["shared and kept" if kept else "shared, nothing kept" if sharing else "nothing shared"].append(seconds)
                    if found.setdefault(asked, scores) != scores:
                        sys.exit("scores differ with and without shared prefixes: no times are printed")
                for line in get(server.url + "/metrics").splitlines():
                    if line.startswith("rerankd_prefix_tokens_total"):
                        saved[line.split('how="')[1].split('"')[0]] = int(float(line.split()[-1]))
    print(f"one request of {arguments.documents} documents of {arguments.document_tokens} tokens; tokens of the last server: {saved}")
    for name, seconds in times.items():
        print(f"  {name:22} {show(seconds, 's')}", flush=True)


def bench(folder, words, arguments, *more):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [PROGRAM, "bench", "--model", folder, "--precision", arguments.precision, "--texts", words, "--no-check", "--clients", "16",
                   "--documents-per-request", arguments.client_documents, "--document-tokens", arguments.document_tokens, "--query-tokens", 12,
                   "--duration", f"{arguments.seconds}s", "--request-timeout", 3600, "--json", out.name, *more]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        return json.load(open(out.name, encoding="utf-8"))["runs"][0]["documents_per_second"]


def clients(folder, options, arguments):
    words = pathlib.Path(folder) / "words.txt"
    words.write_text(" ".join(WORDS))
    offline, served = [], []
    for number in range(arguments.rounds):
        offline.append(bench(folder, words, arguments, "--seed", number + 1))
        with Server(*options, "--max-queue-ms", "0") as server:
            server.wait_until_ready(900)
            served.append(bench(folder, words, arguments, "--seed", number + 1, "--url", server.url + "/v1/rerank"))
    ratios = [s / o for s, o in zip(served, offline)]
    print(f"16 clients of {arguments.client_documents} documents of {arguments.document_tokens} tokens: in process {show(offline, 'documents/s')}, "
          f"over HTTP {show(served, 'documents/s')}, ratio {show(ratios, '', '{:.3f}')}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=memory.SHAPES, default="0.6b")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--documents", type=int, default=66)
    parser.add_argument("--document-tokens", type=int, default=100)
    parser.add_argument("--client-documents", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--max-batch-ms", default="250", help="the server's; where it is less than two documents take, nothing is shared")
    parser.add_argument("--parts", default="request,clients")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        memory.write_model(pathlib.Path(folder), arguments.shape, "bf16")
        options = ["--model", folder, "--precision", arguments.precision, "--cache-bytes", "0", "--token-cache-bytes", "0", "--max-batch-ms", arguments.max_batch_ms]
        if "request" in arguments.parts:
            one_request(options, arguments)
        if "clients" in arguments.parts:
            clients(folder, options, arguments)


if __name__ == "__main__":
    main()
