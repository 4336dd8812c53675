#!/usr/bin/env python3
"""Replicas that differ share one Redis without a wrong score: an old program and a new one, and other precisions. `make cluster-test` runs it.

Usage: shared_cache_test.py [--program FILE] [--old FILE]      --old: the program that an upgrade starts from, default the same
Each replica is asked alone first, then all in turn with a Redis between them: its scores must be its own, bit for bit, and the ones that are
equal must have come through Redis.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
QUESTIONS, DOCUMENTS, ROUNDS = 12, 8, 3
WORDS = "panda bamboo river mountain Paris France capital engine battery winter garden doctor".split()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(url, number):
    documents = [" ".join(WORDS[(number + i + k) % len(WORDS)] for k in range(12)) for i in range(DOCUMENTS)]
    body = json.dumps({"model": "any", "query": f"what is {WORDS[number % len(WORDS)]}?", "documents": documents}).encode()
    with urllib.request.urlopen(urllib.request.Request(url + "/v1/rerank", body, {"Content-Type": "application/json"}), timeout=60) as answer:
        return sorted((row["index"], row["relevance_score"]) for row in json.load(answer)["results"])


def hits(url):
    """Scores that came from Redis."""
    text = urllib.request.urlopen(url + "/metrics", timeout=60).read().decode()
    return sum(float(value) for value in re.findall(r"^rerankd_shared_cache_hits_total(?:{[^}]*})? (\S+)$", text, re.M))


@contextlib.contextmanager
def replica(program, *flags):
    port = free_port()
    command = [program, "serve", "--port", str(port), "--threads", "1", "--cache-bytes", "0", "--log-level", "warning", *flags]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    url, end = f"http://127.0.0.1:{port}", time.monotonic() + 120
    try:
        while True:
            try:
                urllib.request.urlopen(url + "/health", timeout=5)
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    sys.exit(f"{' '.join(command)}: does not start")
                time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build/release/rerankd"))
    parser.add_argument("--old")
    arguments = parser.parse_args()
    kinds = {"old": (arguments.old or arguments.program, "--precision", "fp32"), "new": (arguments.program, "--precision", "fp32"),
             "new, int8": (arguments.program, "--precision", "int8")}
    own = {}
    for name, (program, *flags) in kinds.items():
        with replica(program, *flags) as url:
            own[name] = [ask(url, number) for number in range(QUESTIONS)]
    with tempfile.TemporaryDirectory(prefix=f"rerankd-redis-{os.getpid()}-") as scratch, contextlib.ExitStack() as stack:
        redis = free_port()
        server = subprocess.Popen(["redis-server", "--port", str(redis), "--save", "", "--dir", scratch], stdout=subprocess.DEVNULL)
        stack.callback(server.wait)
        stack.callback(server.kill)
        cache = ("--cache-url", f"redis://127.0.0.1:{redis}")
        urls = {name: stack.enter_context(replica(program, *flags, *cache)) for name, (program, *flags) in kinds.items()}
        wrong = [(name, number) for round_ in range(ROUNDS) for number in range(QUESTIONS) for name in sorted(urls, reverse=bool(round_ % 2))
                 if ask(urls[name], number) != own[name][number]]
        found = {name: hits(url) for name, url in urls.items()}
    print(f"{ROUNDS * QUESTIONS * len(urls)} requests, {len(wrong)} with another replica's scores; scores from Redis: {found}")
    if wrong:
        sys.exit(f"wrong: {wrong[:5]}")
    if own["new"] == own["new, int8"]:
        sys.exit("fp32 and int8 gave equal scores: nothing was tried")
    pairs = QUESTIONS * DOCUMENTS
    if any(count < pairs * (ROUNDS - 1) for count in found.values()):
        sys.exit("scores did not come from Redis")


if __name__ == "__main__":
    main()
