#!/usr/bin/env python3
"""Mixed traffic for long: memory stays flat, and no answer is wrong or lost.

Usage: soak.py [--minutes N] [--pause S] [--write]

Four good clients (keys, gzip, caches, requests that pass caches by) and one of gRPC whose answers are compared, and others that send odd and broken
requests, go away in the middle, read slowly, and reload keys. Two models are served and the first one's answers are scored again by
a shadow, both are a cascade, scores are shared through Redis (Debian's redis-server), weights are packed in files; a third model is loaded,
asked and unloaded over and over. Memory is noted at the start, after 10 minutes (or a third) and at the
end. --pause: how long each client waits between requests.
"""
import argparse
import gzip
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from living import (MODEL, Clients, Probe, Server, Tally, field, free_port, frame, grpc_call, grpc_connect, post, reset, signal, table,
                    write_section)

KEY, ADMIN = "a-key-of-the-soak", "a-key-of-the-soaks-admin"


def odd_traffic(server, pause, stopping, counts):
    draw = random.Random(1)
    while not stopping.wait(pause):
        size = draw.choice([10, 1000, 50000])
        body = json.dumps({"query": f"q{draw.random()}", "documents": ["lorem ipsum " * (size // 12 + 1)] * draw.randrange(1, 6),
                           "truncation": draw.choice(["head", "tail", "query-aware", "chunks"])})
        headers = f"Authorization: Bearer {KEY}\r\n"
        kind = draw.randrange(10)
        payload = {0: post(gzip.compress(body.encode()), headers=headers + "Content-Encoding: gzip\r\nAccept-Encoding: gzip\r\n"),
                   1: post(body, "/score", headers), 2: post(body[: len(body) // 2], headers=headers), 3: post("nonsense", headers=headers),
                   4: post(body, headers=headers)[: draw.randrange(20, 200)], 5: post(json.dumps({"inputs": "some text"}), "/tokenize", headers),
                   6: b"GET /info HTTP/1.1\r\nHost: h\r\n\r\n", 8: post(body, "/models/second/v1/rerank", headers),
                   9: post(body, "/models/third/v1/rerank", headers)}.get(kind, post(body, headers=headers))
        try:
            client = server.connect()
            client.sendall(payload)
            if kind == 7:
                reset(client)
            else:
                client.settimeout(5 if kind != 4 else 0.2)
                client.recv(draw.choice([1, 4096, 65536]))
                client.close()
        except OSError:
            pass
        counts[0] += 1
        if counts[0] % 500 == 0:
            server.process.send_signal(signal.SIGHUP)


def scores_over_grpc(server):
    """The scores of two pairs, as bytes; None: the call has failed."""
    pairs = b"".join(field(1, field(1, b"what do pandas eat?") + field(2, text)) for text in (b"Pandas eat bamboo.", b"Paris is in France."))
    client = grpc_connect(server)
    client.sendall(grpc_call("/rerank.v1.Reranker/Score", 1, pairs, key=f"Bearer {KEY}"))
    answer = b""
    while b"grpc-status" not in answer:
        more = client.recv(65536)
        if not more:
            break
        answer += more
    client.close()
    at = answer.find(b"\x12\x08")  # repeated float, packed: two of them
    return answer[at + 2 : at + 10] if at >= 0 else None


def grpc_traffic(server, pause, stopping, tally):
    """A good client, and calls that are given up, unfinished or wrong."""
    known, draw = scores_over_grpc(server), random.Random(2)
    while not stopping.wait(pause):
        tally.add("sent")
        try:
            tally.add("right" if known and scores_over_grpc(server) == known else "wrong")
        except OSError:
            tally.add("lost")
        try:
            message = field(1, field(1, b"q" * draw.randrange(1, 3000)))
            path = draw.choice(["/rerank.v1.Reranker/RerankStream", "/tei.v1.Rerank/Rerank", "/grpc.health.v1.Health/Watch"])
            client = grpc_connect(server)
            client.sendall(grpc_call(path, 1, message, size=draw.choice([None, len(message), 1 << 20]), key=draw.choice(["", f"Bearer {KEY}"])))
            client.sendall(frame(3, 0, 1, b"\x00\x00\x00\x08"))  # RST_STREAM
            client.close()
        except OSError:
            pass


def load_and_unload(port, stopping, loads):
    """A third model comes and goes, every twenty seconds or so."""
    def admin(change=None):
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/admin/models", change and json.dumps(change).encode(),
                                       {"Authorization": f"Bearer {ADMIN}", "Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer)

    def loaded():
        return any(m["id"] == "third" and m["status"] == "ready" for m in admin()["data"])

    while not stopping.wait(10):
        admin({"action": "load", "name": "third", "model": str(MODEL)})
        while not loaded() and not stopping.wait(1):
            pass
        if not stopping.wait(5):
            admin({"action": "unload", "name": "third"})
            loads[0] += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--pause", type=float, default=0.03)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    with tempfile.NamedTemporaryFile("w", suffix=".keys") as keys, tempfile.TemporaryDirectory() as packed:
        keys.write(f"soak {KEY}\n")
        keys.flush()
        private, shared = free_port(), free_port()
        redis = subprocess.Popen(["redis-server", "--port", str(shared), "--bind", "127.0.0.1", "--save", "", "--maxmemory", "16mb",
                                  "--maxmemory-policy", "allkeys-lru", "--dir", packed], stdout=subprocess.DEVNULL)
        flags = ["--api-key-file", keys.name, "--max-memory-bytes", 256 << 20, "--cache-bytes", 8 << 20, "--token-cache-bytes", 8 << 20,
                 "--model", f"second={MODEL}", "--shadow-rate", 0.01, "--admin-key", ADMIN,
                 "--read-only-metrics-address", f"127.0.0.1:{private}", "--weight-cache", packed,
                 "--cascade", f"both={MODEL.name}:100,second:2", "--cache-url", f"redis://127.0.0.1:{shared}"]
        with Server(*flags, grpc=True) as server:
            tally, counts, loads, stopping = Tally(), [0], [0], threading.Event()
            others = [threading.Thread(target=odd_traffic, args=(server, arguments.pause, stopping, counts), daemon=True) for _ in range(2)]
            others.append(threading.Thread(target=grpc_traffic, args=(server, arguments.pause, stopping, tally), daemon=True))
            others.append(threading.Thread(target=load_and_unload, args=(private, stopping, loads), daemon=True))
            with Clients(server, tally, threads=4, pause=arguments.pause, headers={"Authorization": f"Bearer {KEY}"}), Probe(server) as probe:
                for thread in others:
                    thread.start()
                time.sleep(5)
                memory, begin = [server.memory()], time.monotonic()
                first = min(10.0, arguments.minutes / 3)
                for until in (first, arguments.minutes):
                    time.sleep(max(0, begin + 60 * until - time.monotonic()))
                    memory.append(server.memory())
                stopping.set()
                files = server.files()
            alive = server.alive()
        redis.terminate()
        redis.wait()
    flat = memory[2] < memory[1] + 60
    good = alive and flat and tally.wrong == 0 and tally.lost == 0 and loads[0] > arguments.minutes
    row = {"minutes": arguments.minutes, **tally.row(), "odd requests": counts[0], "loads": loads[0], "slowest probe, ms": round(probe.slowest),
           "MiB at start": memory[0], f"MiB after {first:.0f} min": memory[1], "MiB at the end": memory[2], "open files": files,
           "verdict": "held" if good else "FAILED"}
    print(row)
    if arguments.write:
        write_section("soak", table([row]))
    sys.exit(not good)


if __name__ == "__main__":
    main()
