"""What batching, the queue and the caches are worth: one server of rerankd, `rerankd bench` as its clients, one run.

    bench/load/serving_core.py --program build/release/rerankd [--model DIR] [--rounds 3]

Four parts, each against something measured in the same rounds: throughput of 32 clients against the engine in
process; small requests against a server whose batches hold one request; overload at 3 and 10 times the capacity
with deadlines; and how soon the latency is back afterwards. Every figure is a median over rounds (least-largest).
"""
import argparse
import contextlib
import json
import pathlib
import statistics
import subprocess
import tempfile
import time
import urllib.request


def bench(args, *load, duration=None):
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [args.program, "bench", "--model", args.model, "--duration", duration or args.duration, "--no-check", "--json", file.name, *load]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: {done.stderr}")
        return json.load(open(file.name, encoding="utf-8"))["runs"][0]


@contextlib.contextmanager
def server(args, port, *settings):
    process = subprocess.Popen([args.program, "serve", "--port", str(port), "--model", args.model, "--cache-bytes", "0", *settings],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    for _ in range(200):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url + "/health", timeout=1)
            break
        time.sleep(0.1)
    try:
        yield url, process
    finally:
        process.terminate()
        process.wait()


def memory_mb(process):
    fields = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines() if ":\t" in line)
    return int(fields["VmRSS"].split()[0]) / 1024


def spread(values, form="{:.0f}"):
    return " ".join([form.format(statistics.median(values)), "(" + form.format(min(values)) + "-" + form.format(max(values)) + ")"])


def throughput(args):
    load = ("--documents-per-request", "8", "--document-tokens", "32-512")
    offline, served = [], []
    with server(args, 18281) as (url, _):
        for _ in range(args.rounds):
            offline.append(bench(args, "--clients", "2", "--documents-per-request", "66", "--document-tokens", "32-512", "--cache-bytes", "0"))
            served.append(bench(args, "--clients", "32", "--url", url + "/rerank", *load))
    ratios = [s["tokens_per_second"] / o["tokens_per_second"] for s, o in zip(served, offline)]
    print(f"32-512 tokens: in process, 2 x 66 documents: {spread([o['documents_per_second'] for o in offline])} documents/s; "
          f"32 clients of 8 documents over HTTP: {spread([s['documents_per_second'] for s in served])}; "
          f"ratio by tokens {spread(ratios, '{:.3f}')}", flush=True)


def one_by_one(args):
    for tokens in (16, 128):
        found = requests_apart(args, tokens)
    return found


def requests_apart(args, tokens):
    """Batches of many requests against batches of one; requests/s of the former."""
    load = ("--clients", "32", "--documents-per-request", "8", "--document-tokens", str(tokens))
    shared, alone = [], []
    with server(args, 18282) as (url, _), server(args, 18283, "--max-batch-tokens", str(8 * (tokens + 22))) as (single, _):
        for _ in range(args.rounds):
            shared.append(bench(args, "--url", url + "/rerank", *load))
            alone.append(bench(args, "--url", single + "/rerank", *load))
    for name, pick in (("documents/s", lambda r: r["documents_per_second"]), ("P99 ms", lambda r: r["latency_ms"]["p99"])):
        print(f"8 documents of {tokens} tokens, 32 clients, {name}: shared batches {spread([pick(r) for r in shared])}, "
              f"one request a batch {spread([pick(r) for r in alone])}, ratio "
              f"{spread([pick(s) / pick(a) for s, a in zip(shared, alone)], '{:.3f}')}", flush=True)
    return statistics.median(r["requests_per_second"] for r in shared)


def overload(args, capacity):
    load = ("--documents-per-request", "8", "--document-tokens", "128")
    with server(args, 18284, "--request-timeout-ms", "2000") as (url, process):
        quiet = bench(args, "--url", url + "/rerank", "--clients", "1", *load)
        print(f"capacity {capacity:.1f} requests/s; one client: P50 {quiet['latency_ms']['p50']:.1f} ms; memory {memory_mb(process):.0f} MB")
        for times in (3, 10):
            goods, lates, p99s = [], [], []
            for turn in range(args.rounds):
                before = bench(args, "--url", url + "/rerank", "--clients", "32", *load)["requests_per_second"]
                run = bench(args, "--url", url + "/rerank", "--rate", f"{times * capacity:.1f}", "--seed", str(turn + 1), *load)
                goods.append(run["requests_per_second"] / before)
                lates.append(run["http_statuses"].get("504", 0))
                p99s.append(run["latency_ms"]["p99"])
                time.sleep(1)
                back = bench(args, "--url", url + "/rerank", "--clients", "1", *load, duration="1s")["latency_ms"]["p50"]
            print(f"{times} x capacity, 2 s deadlines: goodput {spread(goods, '{:.3f}')} of the closed loop beside it; P99 of those answered "
                  f"{spread(p99s)} ms; accepted and late: {sum(lates)}; a second later one client has P50 {back:.1f} ms; "
                  f"memory {memory_mb(process):.0f} MB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/release/rerankd")
    parser.add_argument("--model", default="models/rerankd-mini-en")
    parser.add_argument("--duration", default="6s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", default="throughput,one_by_one,overload")
    args = parser.parse_args()
    capacity = 0.0
    if "throughput" in args.parts:
        throughput(args)
    if "one_by_one" in args.parts or "overload" in args.parts:
        capacity = one_by_one(args)
    if "overload" in args.parts:
        overload(args, capacity)


if __name__ == "__main__":
    main()
