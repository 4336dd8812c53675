#!/usr/bin/env python3
"""The depth table of a layerwise model: layers, time, and how far each depth agrees with the last layer's output.

Usage: bench/layers.py [--requests 4] [--documents 66] [--words 100] [--top-n 5] [--depths 8,16,24,32,40] [--keep 2,4,8] [--precision auto]
                       [--shape small|2.7b]        (RERANKD: the program)

A model of bge-reranker-v2-minicpm-layerwise's shape (2.7b), or of its layers in a narrow one (small: hidden 384), with random weights: 40 layers,
outputs after layers 8 to 40. All outputs have the same random row, so that what differs between depths is what the layers
add; trained rows would agree better or worse, and how well is for `rerankd eval` on judged texts to say. A row of --depths asks for
`layers`, one of --keep is a server with --exit-keep, in turns; its agreement is that of the first --top-n. Caches are off. Needs numpy.
"""
import argparse
import contextlib
import json
import os
import pathlib
import random
import statistics
import sys
import tempfile
import time
import urllib.request

import numpy

SOURCE = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault("RERANKD", str(SOURCE / "build/release/rerankd"))
sys.path[:0] = [str(SOURCE / "tests/support"), str(SOURCE / "bench")]
from memory import VALUES, Writer, bf16  # noqa: E402
from rerankd_server import Server, get  # noqa: E402

SHAPES = {"small": (384, 960, 6), "2.7b": (2304, 5760, 36)}  # hidden, intermediate, heads of 64
LAYERS, FIRST, WORDS = 40, 8, 2000


def write_model(folder, shape):
    hidden, inner, heads = SHAPES[shape]
    rng = numpy.random.default_rng(0)
    normal = rng.standard_normal(VALUES, numpy.float32)
    writer, ones = Writer(), bf16(numpy.ones(hidden))

    def matrix(name, rows, columns):
        writer.add(name + ".weight", "BF16", (rows, columns), bf16(normal * columns ** -0.5))

    writer.add("model.embed_tokens.weight", "BF16", (WORDS + 8, hidden), bf16(normal / 12))
    for layer in range(LAYERS):
        own = f"model.layers.{layer}."
        for part in "qkvo":
            matrix(f"{own}self_attn.{part}_proj", 64 * heads, hidden)
        for part, rows, columns in (("gate", inner, hidden), ("up", inner, hidden), ("down", hidden, inner)):
            matrix(f"{own}mlp.{part}_proj", rows, columns)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            writer.add(f"{own}{norm}.weight", "BF16", (hidden,), ones)
    writer.add("model.norm.weight", "BF16", (hidden,), ones)
    row = numpy.zeros(4096, numpy.uint16)  # the writer begins at multiples of 8192 bytes
    row[:hidden] = bf16(rng.standard_normal(hidden) * hidden ** -0.5)
    for number in range(LAYERS - FIRST + 1):
        writer.add(f"lm_head.{number}.linear_head.weight", "BF16", (1, hidden), row)
    writer.write(folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(dict(
        architectures=["LayerWiseMiniCPMForCausalLM"], model_type="minicpm", hidden_size=hidden, intermediate_size=inner,
        num_hidden_layers=LAYERS, num_attention_heads=heads, num_key_value_heads=heads, vocab_size=WORDS + 8, max_position_embeddings=4096,
        rms_norm_eps=1e-5, rope_theta=10000.0, hidden_act="silu", tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, scale_emb=12,
        scale_depth=1.4, start_layer=FIRST, head_multi=True, head_type="simple", dim_model_base=256), indent=2))
    special = [dict(id=i, content=text, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
               for i, text in enumerate(["<unk>", "<s>", "</s>"])]
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2} | {f"w{i}": i + 8 for i in range(WORDS)}
    (folder / "tokenizer.json").write_text(json.dumps(dict(
        version="1.0", added_tokens=special, normalizer=None, pre_tokenizer=dict(type="Whitespace"), post_processor=None, decoder=None,
        model=dict(type="WordLevel", vocab=vocabulary, unk_token="<unk>"))))
    (folder / "tokenizer_config.json").write_text(json.dumps(dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>")))


def request_of(number, arguments):
    pick = random.Random(number)
    text = lambda count: " ".join(f"w{pick.randrange(WORDS)}" for _ in range(count))  # noqa: E731
    return {"query": text(12), "documents": [text(arguments.words) for _ in range(arguments.documents)], "raw_scores": True}


def ask(server, body):
    begin = time.monotonic()
    call = urllib.request.Request(server.url + "/v1/rerank", json.dumps(body).encode(), {"Content-Type": "application/json"})
    answer = json.load(urllib.request.urlopen(call, timeout=3600))
    return time.monotonic() - begin, [row["index"] for row in answer["results"]]


def kendall(a, b):
    place = {index: i for i, index in enumerate(b)}
    pairs = [(i, j) for i in range(len(a)) for j in range(i)]
    return sum(1 if place[a[j]] < place[a[i]] else -1 for i, j in pairs) / len(pairs)


def layers_of(server):
    lines = [line for line in get(server.url + "/metrics").splitlines() if line.startswith(("rerankd_pair_layers_sum", "rerankd_pair_layers_count"))]
    total = {line.split("{")[0].split(" ")[0].rsplit("_", 1)[1]: float(line.split()[-1]) for line in lines}
    return total["sum"] / total["count"]


def measure(options, arguments):
    """Of each way, in turns: seconds, orders, layers a pair."""
    ways = [("layers", depth) for depth in map(int, arguments.depths.split(","))]
    ways += [("keep", keep) for keep in arguments.keep.split(",") if keep]
    seconds, orders, layers, servers = {}, {}, {}, {}
    with contextlib.ExitStack() as stack:
        for kind, value in ways:
            keep = value if kind == "keep" else None
            if keep not in servers:
                servers[keep] = stack.enter_context(Server(*options, *(["--exit-keep", keep] if keep else [])))
                servers[keep].wait_until_ready(900)
                ask(servers[keep], request_of(10 ** 6, arguments))  # what later ones find kept
        before = {keep: layers_of(server) for keep, server in servers.items()}
        for number in range(arguments.requests):
            for kind, value in ways:
                body = request_of(number, arguments) | ({"layers": value} if kind == "layers" else {"top_n": arguments.top_n})
                took, order = ask(servers[value if kind == "keep" else None], body)
                seconds.setdefault((kind, value), []).append(took)
                orders.setdefault((kind, value), []).append(order)
        for kind, value in ways:
            layers[kind, value] = value
            if kind == "keep":
                layers[kind, value] = (layers_of(servers[value]) * (arguments.requests + 1) - before[value]) / arguments.requests
    return seconds, orders, layers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=4)
    parser.add_argument("--documents", type=int, default=66)
    parser.add_argument("--words", type=int, default=100)
    parser.add_argument("--top-n", type=int, default=5)
    parser.add_argument("--depths", default="8,16,24,32,40")
    parser.add_argument("--keep", default="2,4,8")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--shape", choices=SHAPES, default="small")
    arguments = parser.parse_args()
    if str(LAYERS) not in arguments.depths.split(","):
        parser.error(f"--depths: agreement is with {LAYERS} layers: name them, too")
    with tempfile.TemporaryDirectory() as folder:
        write_model(pathlib.Path(folder), arguments.shape)
        options = ["--model", folder, "--precision", arguments.precision, "--cache-bytes", "0", "--token-cache-bytes", "0", "--max-queue-ms", "0"]
        seconds, orders, layers = measure(options, arguments)
    full, n = orders["layers", LAYERS], arguments.top_n
    print(f"{arguments.documents} documents of {arguments.words} words, {arguments.requests} requests, {arguments.shape}, {arguments.precision}\n"
          f"| | layers a pair | a request | faster | first place, first {n}: as with {LAYERS} | Kendall's tau |\n|---|--:|--:|--:|--:|--:|")
    usual = statistics.median(seconds["layers", LAYERS])
    for way, took in seconds.items():
        first = statistics.mean(order[0] == other[0] for order, other in zip(orders[way], full))
        several = statistics.mean(len(set(order[:n]) & set(other[:n])) / n for order, other in zip(orders[way], full))
        tau = f"{statistics.mean(kendall(order, other) for order, other in zip(orders[way], full)):.2f}" if way[0] == "layers" else ""
        name = f"`layers` {way[1]}" if way[0] == "layers" else f"`--exit-keep {way[1]}`, `top_n` {n}"
        print(f"| {name} | {layers[way]:.1f} | {statistics.median(took):.2f} s ({min(took):.2f}-{max(took):.2f}) | "
              f"{usual / statistics.median(took):.2f}x | {first:.2f}, {several:.2f} | {tau} |")


if __name__ == "__main__":
    main()
