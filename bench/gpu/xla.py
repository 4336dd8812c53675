#!/usr/bin/env python3
"""XLA beside the cuda engine on one GPU: the same requests to two servers in turns, answers compared first.

    bench/gpu/xla.py [--rerankd build/release/rerankd] [--model FOLDER] [--plugin cuda|FILE] [--against cuda] [--rounds 5]

Needs the program (RERANKD names another), and the plugin: pip install jax-cuda13-pjrt. Without them, or without a GPU, it says so, and compares nothing.
A request is 66 documents of about 110 words; a ratio is XLA's median time divided by the other's. Both servers stay up and take turns; XLA is
told not to take the whole GPU's memory at once. `--plugin .deps/pjrt/newest.so --against cpu` tries the script without a GPU.
"""
import argparse
import json
import os
import pathlib
import random
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS, WORDS, TOLERANCE = 66, 110, 5e-2  # of a score between 0 and 1, bf16 against bf16


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, program, model, arguments):
        self.port, self.name = free_port(), arguments[1]
        command = [program, "serve", "--model", model, "--port", str(self.port), "--cache-bytes", "0", "--max-length", "128", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def wait(self, seconds=300):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                return self.process.stderr.read().strip().splitlines()[-1:] or ["it ended"]
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5).read()
                return None
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        return [f"not ready after {seconds} s"]

    def rerank(self, documents):
        body = json.dumps({"query": "which of these is about rivers?", "documents": documents}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/rerank", body, {"Content-Type": "application/json"})
        begin = time.perf_counter()
        with urllib.request.urlopen(request, timeout=120) as answer:
            results = json.load(answer)["results"]
        return time.perf_counter() - begin, {r["index"]: r["relevance_score"] for r in results}

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def documents(seed):
    pick = random.Random(seed)
    words = (ROOT / "README.md").read_text().split()
    return [" ".join(pick.choice(words) for _ in range(WORDS)) for _ in range(DOCUMENTS)]


def measure(servers, rounds):
    first = [server.rerank(documents(0))[1] for server in servers]
    apart = max(abs(first[0][i] - first[1][i]) for i in first[0])
    print(f"largest difference of a score: {apart:.2g}")
    if apart > TOLERANCE:
        print(f"bench/gpu/xla: answers differ by more than {TOLERANCE}: nothing is measured", file=sys.stderr)
        return 1
    times = {server.name: [] for server in servers}
    for turn in range(1, rounds + 1):
        for server in servers if turn % 2 else servers[::-1]:
            times[server.name] += [server.rerank(documents(100 * turn + i))[0] for i in range(5)]
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f"{name:10} best {min(values) * 1e3:8.1f} ms, median {medians[name] * 1e3:8.1f} ms of {len(values)} requests of {DOCUMENTS} documents")
    xla, other = (medians[server.name] for server in servers)
    print(f"XLA / {servers[1].name}: {xla / other:.2f}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rerankd", default=os.environ.get("RERANKD", str(ROOT / "build/release/rerankd")))
    parser.add_argument("--model", default=str(ROOT / "models/rerankd-mini-en"))
    parser.add_argument("--plugin", default="cuda")
    parser.add_argument("--against", default="cuda")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    xla = ["--engine", "pjrt", "--pjrt-plugin", options.plugin, "--precision", options.precision, "--max-batch-tokens", "8192"]
    if options.plugin == "cuda":
        xla += ["--pjrt-options", "preallocate=false"]
    if not pathlib.Path(options.rerankd).exists():
        print(f"bench/gpu/xla: not run: {options.rerankd} is not there; RERANKD names the program")
        return 0
    servers = []
    try:
        for arguments in (xla, ["--engine", options.against, "--precision", options.precision]):
            servers.append(Server(options.rerankd, options.model, arguments))
            if why := servers[-1].wait(60):
                print(f"bench/gpu/xla: not run: {servers[-1].name} does not run here: {why[0]}")
                return 0
        return measure(servers, min(options.rounds, 100))
    finally:
        for server in servers:
            if server.process.poll() is None:
                server.stop()


if __name__ == "__main__":
    sys.exit(main())
