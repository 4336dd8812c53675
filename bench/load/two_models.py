#!/usr/bin/env python3
"""What a small model's requests wait for while a large one of the same process has more work than it can do.

    bench/load/two_models.py --large DIR [--small DIR] [--rounds 3]        (RERANKD: the program)

Each round measures the small model at a fixed rate (open loop, --rate) three times: alone; while --clients clients ask the large
model without a pause; and so with a server whose small model has weight 4. The large model's clients run alone once a round, too: what it loses to
the small one. Every figure is a median over rounds (least-largest).
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("RERANKD", str(SOURCE / "build/release/rerankd"))
sys.path.insert(0, str(SOURCE / "tests/support"))
from rerankd_server import PROGRAM, Server  # noqa: E402


def bench(args, server, model, seed, *load, seconds):
    """The load, begun; its figures are read by figures()."""
    out = tempfile.NamedTemporaryFile(suffix=".json")  # noqa: SIM115
    command = [PROGRAM, "bench", "--model", args.small, "--url", f"{server.url}/models/{model}/v1/rerank", "--no-check",
               "--seed", str(seed), "--duration", f"{seconds}s", "--json", out.name, *load]
    return out, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def figures(begun):
    out, process = begun
    _, error = process.communicate(timeout=600)
    if process.returncode:
        raise SystemExit(error)
    return json.load(open(out.name, encoding="utf-8"))["runs"][0]


def show(values, unit):
    return f"{statistics.median(values):.0f} {unit} ({min(values):.0f}-{max(values):.0f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", default=str(SOURCE / "models/rerankd-mini-en"))
    parser.add_argument("--large", required=True)
    parser.add_argument("--rate", type=float, default=5)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    small = ("--rate", str(args.rate), "--documents-per-request", "4", "--document-tokens", "64")
    large = ("--clients", str(args.clients), "--documents-per-request", "16", "--document-tokens", "128")
    found = {}

    def note(name, run):
        found.setdefault(name, []).append(run)

    weights = {}
    with tempfile.TemporaryDirectory() as folder:
        for weight in (1, 4):
            file = pathlib.Path(folder) / f"{weight}.toml"
            file.write_text(f'cache-bytes = 0\ntoken-cache-bytes = 0\n[[models]]\nname = "small"\nmodel = "{args.small}"\nweight = {weight}\n'
                            f'[[models]]\nname = "large"\nmodel = "{args.large}"\n')
            weights[weight] = file
        for number in range(args.rounds):
            for weight, file in weights.items():
                with Server("--config", file) as server:
                    server.wait_until_ready(300)
                    seed = 10 * number + 1
                    for model in (("small", small), ("large", large)):
                        figures(bench(args, server, model[0], seed + 5, *model[1], seconds=3))  # warm
                    if weight == 1:
                        note("small alone", figures(bench(args, server, "small", seed, *small, seconds=args.seconds)))
                        note("large alone", figures(bench(args, server, "large", seed, *large, seconds=args.seconds)))
                    saturating = bench(args, server, "large", seed + 1, *large, seconds=args.seconds + 6)
                    note(f"small beside it, weight {weight}", figures(bench(args, server, "small", seed + 2, *small, seconds=args.seconds)))
                    note(f"large beside it, weight {weight}", figures(saturating))
    print("| load | P50 | P99 | documents/s | failed |\n|---|--:|--:|--:|--:|")
    for name, runs in found.items():
        latency = [[run["latency_ms"][p] for run in runs] for p in ("p50", "p99")]
        lost = sum(run["requests"]["sent"] - run["requests"]["answered"] for run in runs)
        print(f"| {name} | {show(latency[0], 'ms')} | {show(latency[1], 'ms')} | {show([run['documents_per_second'] for run in runs], '')} | {lost} |")


if __name__ == "__main__":
    main()
