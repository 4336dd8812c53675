#!/usr/bin/env python3
"""What a request takes besides the engine's work, in the shape that RAGFlow sends: rounds of nine requests of eight documents, one
after another, each on a connection of its own. And what a request costs whose 66 documents are all known.

    rerankd serve --port 8080 &
    bench/micro/added_time.py http://127.0.0.1:8080 [--rounds 20]

Every figure is a median (P50) and a P99 over requests, in milliseconds. `engine` is the time of the request's batches, `service` that
from the parsed request to its scores (both from Server-Timing), `client` what this client waits, connecting included.
"""
import argparse
import http.client
import json
import random
import time
import urllib.parse

WORDS = ("the of and rain weather system model answer question document search result network paper city river "
         "engine history small large method value market country energy data light water school music").split()


def text(rng, words):
    return " ".join(rng.choice(WORDS) for _ in range(words))


def ask(address, body):
    begin = time.perf_counter()
    connection = http.client.HTTPConnection(address.hostname, address.port)
    connection.request("POST", "/rerank", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    client = (time.perf_counter() - begin) * 1e3
    assert response.status == 200, answer
    stages = dict(part.strip().split(";dur=") for part in response.headers["Server-Timing"].split(","))
    return answer, client, float(stages["total"]), float(stages["compute"])


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def show(name, values):
    print(f"{name:<34} P50 {quantile(values, 0.5):8.3f}   P99 {quantile(values, 0.99):8.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("url")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    address = urllib.parse.urlparse(options.url)
    rng = random.Random(7)
    engine, service, client = [], [], []
    for _ in range(options.rounds):
        query = text(rng, 8)
        for _ in range(9):
            body = json.dumps({"query": query, "texts": [text(rng, 110) for _ in range(8)]})
            answer, waited, total, compute = ask(address, body)
            assert len(answer) == 8
            engine.append(compute)
            service.append(total)
            client.append(waited)
    print(f"{len(engine)} requests of 8 documents, one after another")
    show("engine", engine)
    show("service - engine", [s - e for s, e in zip(service, engine)])
    show("client - engine", [c - e for c, e in zip(client, engine)])

    query = text(rng, 8)
    body = json.dumps({"query": query, "texts": [text(rng, 110) for _ in range(66)]})
    first, *_ = ask(address, body)
    service, client = [], []
    for _ in range(2000):
        answer, waited, total, _ = ask(address, body)
        assert answer == first, "a known score is the computed one"
        service.append(total)
        client.append(waited)
    print(f"{len(service)} requests of 66 known documents")
    show("service", service)
    show("client", client)
    print(f"per pair: {quantile(service, 0.5) / 66 * 1e3:.3f} us in the service, {quantile(client, 0.5) / 66 * 1e3:.3f} us for the client")


if __name__ == "__main__":
    main()
