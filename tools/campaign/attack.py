#!/usr/bin/env python3
"""Attacks on a running server: each with a bound on what it sends, while good clients and probes go on from another address.

Usage: attack.py [--short] [--write] [NAME ...]

An attack fails when the process ends or holds more memory than it was given, a probe takes longer than 2 s (50 ms where nothing
else runs on the machine), or a good client gets a wrong answer or none. --short: a tenth of each, and probes may take their time: it
runs with the tests, beside others. --write: the table into
docs/campaign.md. Only loopback addresses are used.
"""
import argparse
import gzip
import json
import struct
import sys
import time

from living import MODEL, ROOT, Clients, Probe, Server, Tally, field, frame, grpc_call, grpc_connect, headers_of, post, reset, table, write_section

BUDGET = 256  # MiB of --max-memory-bytes
SLACK = 200   # MiB beside it: stacks, buffers of sockets, what the allocator keeps
SCALE = 1.0


def many(count):
    return max(2, int(count * SCALE))


def text_of(size):
    return ("lorem ipsum " * (size // 12 + 1))[:size]


def bomb(size):
    return gzip.compress(json.dumps({"query": "q", "documents": [text_of(size)], "return_documents": True}).encode())


def hold(clients, seconds):
    time.sleep(seconds * max(SCALE, 0.2))
    for client in clients:
        client.close()


def send_all(server, payloads, **connect):
    clients = []
    for payload in payloads:
        try:
            client = server.connect(**connect)
            client.sendall(payload)
            clients.append(client)
        except OSError:
            pass  # refused: as good
    return clients


def slow_heads(server):
    clients = send_all(server, [b"POST /v1/rerank HTTP/1.1\r\nHost: h\r\nX: "] * many(400))
    for _ in range(many(5)):
        for client in clients:
            try:
                client.send(b"y")
            except OSError:
                pass
        time.sleep(0.5)
    hold(clients, 1)


def slow_bodies(server):
    hold(send_all(server, [post(json.dumps({"query": "q", "documents": [text_of(4 << 20)]}))[:-10]] * many(60)), 4)


def split_requests(server):
    for n in range(many(40)):
        whole = post(json.dumps({"query": "q", "documents": ["a"]}))
        client = server.connect()
        for i in range(len(whole)):
            client.send(whole[i : i + 1])
        client.recv(4096)
        client.close()


def half_closed(server):
    clients = send_all(server, [post(json.dumps({"query": f"q{n}", "documents": ["a"]})) for n in range(many(300))])
    for client in clients:
        client.shutdown(1)
    hold(clients, 2)


def resets(server):
    for n in range(many(1500)):
        try:
            client = server.connect()
            client.sendall(post(json.dumps({"query": f"q{n}", "documents": [text_of(2000)] * 5})))
            reset(client)
        except OSError:
            pass


def bombs(server):
    packed = bomb(8 << 20)
    hold(send_all(server, [post(packed, headers="Content-Encoding: gzip\r\n")] * many(60)), 6)


def unread_answers(server):
    packed = bomb(4 << 20)
    hold(send_all(server, [post(packed, headers="Content-Encoding: gzip\r\n")] * many(60), receive=4096), 6)


def connection_flood(server):
    hold(send_all(server, [b""] * many(4500)), 2)


def pipelines(server):
    body = post(json.dumps({"query": "q", "documents": ["a"]}))
    hold(send_all(server, [body * many(200)] * many(20)), 3)


def joined_fields(server):
    body = json.dumps({"query": "q", "documents": [{"a": text_of(100000)}], "rank_fields": ["a"] * 20000})
    hold(send_all(server, [post(body)] * many(30)), 2)


def one_query_for_all(server):
    body = json.dumps({"text_1": text_of(100000), "text_2": ["a"] * 9000})
    hold(send_all(server, [post(body, "/score")] * many(30)), 4)


def tokenized(server):
    body = json.dumps({"inputs": "\uFDFA" * 60000})
    hold(send_all(server, [post(body, "/tokenize")] * many(40)), 4)


def chunks(server):
    body = json.dumps({"query": "q", "documents": [text_of(200000)] * 4, "truncation": "chunks", "max_chunks": 64})
    hold(send_all(server, [post(body)] * many(40)), 6)


def deep_json(server):
    hold(send_all(server, [post("[" * 100000)] * many(300)), 1)


def instructions(server):
    body = json.dumps({"instruction": "i" * 300000, "text_1": [str(n) for n in range(10000)], "text_2": ["a"] * 10000})
    hold(send_all(server, [post(body, "/score")] * many(30)), 3)


def long_query(server):
    body = json.dumps({"query": text_of(200000), "documents": [str(n) for n in range(10000)]})
    hold(send_all(server, [post(body)] * many(30)), 4)


def written_out(server):
    """Characters that the tokenizer's normalizer writes out: U+FDFA becomes 18 letters."""
    packed = gzip.compress(json.dumps({"query": "q", "documents": ["\uFDFA" * 1300000]}, ensure_ascii=False).encode())
    hold(send_all(server, [post(packed, headers="Content-Encoding: gzip\r\n")] * many(40)), 4)


written_out.model = ROOT / "tests/data/models/xlm-roberta-a"


def unfinished_heads(server):
    hold(send_all(server, [b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"y" * 15000] * many(3000)), 3)


def pages(server):
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\nGET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"
    hold(send_all(server, [asked * 10] * many(1500), receive=4096), 5)


def grpc_all(server, payloads, **connect):
    clients = []
    for payload in payloads:
        try:
            clients.append(grpc_connect(server, **connect))
            clients[-1].sendall(payload)
        except OSError:
            pass
    return clients


def unfinished_grpc_calls(server):
    paths = ["/rerank.v1.Reranker/Rerank", "/grpc.health.v1.Health/Check", "/tei.v1.Predict/PredictPairStream"]
    payload = b"".join(grpc_call(paths[i % 3], 2 * i + 1, b"x" * 600, size=30 << 20) for i in range(99))
    clients = grpc_all(server, [payload] * many(400))
    begin, more = time.monotonic(), frame(0, 0, 1, b"y" * 16000)
    while time.monotonic() - begin < 5 * max(SCALE, 0.2):  # of what the server has asked for
        for client in clients:
            try:
                client.setblocking(False)
                granted = client.recv(1 << 16).count(b"\x00\x00\x04\x08\x00\x00\x00\x00\x01")
                if granted:
                    client.setblocking(True)
                    client.sendall(more * 100)
            except OSError:
                pass
    hold(clients, 0)


def grpc_bombs(server):
    message = gzip.compress(field(1, b"q") + field(2, b"a" * (30 << 20)))
    hold(grpc_all(server, [grpc_call("/rerank.v1.Reranker/Rerank", 1, message, compressed=True)] * many(100)), 3)


def silent_grpc_streams(server):
    start = field(1, field(1, b"q" * 500))
    payload = b"".join(grpc_call("/rerank.v1.Reranker/RerankStream", 2 * i + 1, start, size=len(start)) for i in range(100))
    hold(grpc_all(server, [payload] * many(200)), 5)


def grpc_tokens(server):
    message = field(1, ("\ufdfa" * 80000).encode()[: 240 << 10])
    packed = gzip.compress(message)
    payload = b"".join(grpc_call("/tei.v1.Tokenize/Tokenize", 2 * i + 1, packed, compressed=True) for i in range(20))
    hold(grpc_all(server, [payload] * many(50), settings=struct.pack(">HI", 4, 0)), 5)


def rapid_resets(server):
    head = headers_of("/rerank.v1.Reranker/Rerank")
    for _ in range(many(20)):
        burst = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
        for stream in range(1, 1000, 2):
            burst += frame(1, 4, stream, head) + frame(3, 0, stream, struct.pack(">I", 8))
        try:
            client = server.connect(port=server.grpc_port)
            client.sendall(burst)
            client.close()
        except OSError:
            pass


def grpc_connections(server):
    clients = []
    for _ in range(many(4500)):
        try:
            clients.append(server.connect(port=server.grpc_port))
        except OSError:
            break
    hold(clients, 2)


def unread_grpc_answers(server):
    # Complete within the window of 65,535 bytes that the server gives a stream: it is answered.
    call = grpc_call("/rerank.v1.Reranker/Rerank", 1, field(1, b"q") + field(2, b"some text to rank") * 3200)
    hold(grpc_all(server, [call] * many(60), settings=struct.pack(">HI", 4, 0), receive=4096), 5)  # takes no answers


ATTACKS = [slow_heads, slow_bodies, split_requests, half_closed, resets, bombs, unread_answers, connection_flood, pipelines, joined_fields,
           one_query_for_all, tokenized, chunks, deep_json, instructions, long_query, written_out, unfinished_heads, pages, rapid_resets, grpc_connections,
           unread_grpc_answers, unfinished_grpc_calls, grpc_bombs, silent_grpc_streams, grpc_tokens]


def run(attack):
    flags = ["--max-memory-bytes", BUDGET << 20, "--header-timeout-ms", 3000, "--body-timeout-ms", 3000, "--grpc-port"]
    with Server(*flags[:-1], grpc=True, model=getattr(attack, "model", MODEL)) as server:
        tally, before = Tally(), server.memory()
        with Clients(server, tally), Probe(server) as probe:
            begin = time.monotonic()
            attack(server)
            seconds = time.monotonic() - begin
            time.sleep(1)
        alive, peak = server.alive(), server.memory("VmHWM")
        after_port = alive and server.connect("127.0.0.1", server.grpc_port) is not None
    held = peak - before
    good = alive and after_port and tally.wrong == 0 and tally.lost == 0 and held < BUDGET + SLACK and (SCALE < 1 or probe.slowest < 2000)
    return {"attack": attack.__name__.replace("_", " "), "seconds": round(seconds, 1), "held, MiB": held, "slowest probe, ms": round(probe.slowest),
            **{("good clients: " if name == "sent" else "") + name: value for name, value in tally.row().items()}, "verdict": "held" if good else "FAILED"}


def main():
    global SCALE
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    SCALE = 0.1 if arguments.short else 1.0
    rows = []
    for attack in ATTACKS:
        if not arguments.names or attack.__name__ in arguments.names:
            rows.append(run(attack))
            print(rows[-1], flush=True)
    if arguments.write:
        write_section("attacks", table(rows))
    sys.exit(any(row["verdict"] != "held" for row in rows))


if __name__ == "__main__":
    main()
