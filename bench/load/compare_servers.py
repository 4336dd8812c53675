"""rerankd against infinity-emb on one machine: the same model folder, the same requests, one run, interleaved.

Both servers stay up the whole time; while one is measured the other waits. `rerankd bench` asks both, so that latency
counts from when a request was due and refused or lost requests are seen. Three steps: capacity (closed loop), latency
at a share of infinity's capacity (open loop, both), and rerankd at and beyond its own capacity.

    python3 -m venv .venv-infinity && .venv-infinity/bin/pip install -r requirements/infinity.txt
    bench/load/compare_servers.py --program build/release/rerankd --infinity .venv-infinity/bin/infinity_emb \
        --model models/rerankd-mini-en

infinity's optimum engine is ONNX Runtime: it is given the graph that `rerankd convert` writes of the same folder.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time
import urllib.request


def wait_until_up(url, process, seconds=180):
    for _ in range(int(seconds * 4)):
        if process.poll() is not None:
            raise SystemExit(f"{process.args[0]} ended at start")
        try:
            urllib.request.urlopen(url, timeout=1)
            return
        except OSError:
            time.sleep(0.25)
    raise SystemExit(f"{url}: no answer in {seconds} s")


class Server:
    def __init__(self, name, url, command, log):
        self.name, self.url = name, url
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until_up(url.rsplit("/", 1)[0] + "/health", self.process)

    def memory_mb(self):
        """Resident memory of the server and its children."""
        total, wanted = 0, {self.process.pid}
        for entry in sorted((p for p in pathlib.Path("/proc").iterdir() if p.name.isdigit()), key=lambda p: int(p.name)):
            try:
                status = (entry / "status").read_text()
            except OSError:
                continue
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            if int(fields["Pid"]) in wanted or int(fields["PPid"]) in wanted:
                wanted.add(int(fields["Pid"]))
                total += int(fields.get("VmRSS", "0 kB").split()[0])
        return total / 1024

    def bench(self, args, *load, check=False):
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            command = [args.program, "bench", "--url", self.url, "--request-model", "model", "--model", args.model,
                       "--documents-per-request", str(args.documents), "--document-tokens", args.tokens,
                       "--duration", args.duration, "--json", file.name, *load]
            done = subprocess.run(command + ([] if check else ["--no-check"]), capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{self.name}: {done.stderr}")
            return json.load(open(file.name, encoding="utf-8"))["runs"][0]


def peers_model(args, engine, scratch):
    if engine != "optimum":
        return args.model
    subprocess.run([args.program, "convert", args.model, scratch, "--to", "onnx"], check=True, capture_output=True)
    return scratch


def row(name, load, runs):
    middle = lambda pick: statistics.median(pick(run) for run in runs)
    spread = lambda pick: f"{min(pick(run) for run in runs):.0f}-{max(pick(run) for run in runs):.0f}"
    count = lambda kind: sum(run["requests"][kind] for run in runs)
    docs, p50, p99 = (lambda r: r["documents_per_second"]), (lambda r: r["latency_ms"]["p50"]), (lambda r: r["latency_ms"]["p99"])
    print(f"| {name} | {load} | {middle(docs):.0f} ({spread(docs)}) | {middle(p50):.0f} ({spread(p50)}) | "
          f"{middle(p99):.0f} ({spread(p99)}) | {count('refused')} | {count('failed') + count('unanswered')} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/release/rerankd")
    parser.add_argument("--infinity", required=True, help="infinity_emb of the peer's environment")
    parser.add_argument("--model", default="models/rerankd-mini-en")
    parser.add_argument("--engines", default="torch,optimum", help="of infinity")
    parser.add_argument("--precision", default="auto", help="of rerankd")
    parser.add_argument("--documents", type=int, default=8)
    parser.add_argument("--tokens", default="128")
    parser.add_argument("--duration", default="8s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.8, help="of infinity's capacity, for the latency step")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        compare(args, scratch)


def compare(args, scratch):
    log = open(os.devnull, "w", encoding="utf-8")
    ours = Server("rerankd", "http://127.0.0.1:18181/rerank",
                  [args.program, "serve", "--port", "18181", "--model", args.model, "--cache-bytes", "0",
                   "--precision", args.precision], log)
    servers = [ours]
    for place, engine in enumerate(e for e in args.engines.split(",") if e):
        port = str(18182 + place)
        servers.append(Server(f"infinity {engine}", f"http://127.0.0.1:{port}/rerank",
                              [args.infinity, "v2", "--model-id", peers_model(args, engine, scratch + "/graph"), "--engine", engine,
                               "--served-model-name", "model", "--device", "cpu", "--host", "127.0.0.1", "--port", port,
                               "--no-bettertransformer"], log))
    try:
        print("| server | load | documents/s | P50 ms | P99 ms | refused | failed |\n|---|---|---|---|---|---|---|")
        capacity = {server.name: [] for server in servers}
        for turn in range(args.rounds):
            for server in servers:
                # infinity's optimum engine leaves the token types out: its scores of BERT's pairs are not the model's.
                right = not server.name.endswith("optimum")
                capacity[server.name].append(server.bench(args, "--clients", "16", check=turn == 0 and right))
        for server in servers:
            row(server.name, "16 clients, closed", capacity[server.name])
        reached = {name: statistics.median(run["requests_per_second"] for run in runs) for name, runs in capacity.items()}
        for peer in servers[1:]:
            rate = args.share * reached[peer.name]
            found = {peer.name: [], ours.name: []}
            for turn in range(args.rounds):
                for server in (peer, ours):
                    found[server.name].append(server.bench(args, "--rate", f"{rate:.2f}", "--seed", str(turn + 1)))
            for name, runs in found.items():
                row(name, f"{rate:.1f} requests/s = {args.share:.0%} of {peer.name}'s capacity", runs)
        before = ours.memory_mb()
        for share in (0.5, 0.8, 1.0, 1.3, 3.0):
            row(ours.name, f"{share:.0%} of its own capacity", [ours.bench(args, "--rate", f"{share * reached[ours.name]:.2f}")])
        print(f"\nrerankd's resident memory: {before:.0f} MB before, {ours.memory_mb():.0f} MB after the overload")
    finally:
        for server in servers:
            server.process.terminate()


if __name__ == "__main__":
    main()
