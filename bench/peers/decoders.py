#!/usr/bin/env python3
"""Qwen3-Reranker-0.6B's shape by document length: rerankd's engine against PyTorch (transformers, SDPA), in turn in one run.

Usage: .venv-train/bin/python bench/peers/decoders.py [--rounds 2] [--lengths 50,100,200,500] [--documents 66] [--peers fp32,bf16,shared]

Random weights of the true shape (28 layers, 0.6 B parameters, bf16), 2 threads. A request is one query and --documents documents: 75
tokens of prefix (template, instruction, a query of 12 tokens), the document, 9 tokens of suffix. PyTorch computes batches of
8, the logits of the last token only; "shared" is its bf16 with the prefix computed once and its keys and values copied for each
batch. Needs build/release/engine_bench and requirements/train.txt. Logits are compared with PyTorch's fp32 before a time is printed:
fp32 within 1e-3, bf16 and int8 within their share of the span that PyTorch's bf16 has too. Documents a second, median
(smallest-largest).
"""
import argparse
import copy
import json
import pathlib
import random
import statistics
import sys
import tempfile
import time

import torch
import transformers
from tokenizers import Tokenizer, models

from engine_process import Engine

ROOT = pathlib.Path(__file__).resolve().parents[2]
PREFIX, SUFFIX, BATCH = 75, 9, 8
YES, NO = 9693, 2152
LIMITS = {"fp32": 0.001, "bf16": 0.1, "int8": 0.2}  # of the span of logits; fp32: absolute


def make_model(folder):
    torch.manual_seed(0)
    config = transformers.Qwen3Config(
        vocab_size=151669, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16, num_key_value_heads=8,
        head_dim=128, max_position_embeddings=40960, tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 1e6})
    model = transformers.Qwen3ForCausalLM(config).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data = torch.randn_like(parameter) * parameter.shape[-1] ** -0.5
    model.to(torch.bfloat16).save_pretrained(folder)
    Tokenizer(models.WordLevel({"yes": YES, "no": NO}, unk_token="no")).save(f"{folder}/tokenizer.json")


def scores(out):
    return (out.logits[:, -1, YES] - out.logits[:, -1, NO]).float().tolist()


def run_torch(model, ids):
    begin, logits = time.perf_counter(), []
    with torch.inference_mode():
        for first in range(0, len(ids), BATCH):
            logits += scores(model(input_ids=ids[first:first + BATCH], logits_to_keep=1))
    return time.perf_counter() - begin, logits


def run_shared(model, ids):
    begin, logits = time.perf_counter(), []
    with torch.inference_mode():
        kept = model(input_ids=ids[:1, :PREFIX], use_cache=True, logits_to_keep=1).past_key_values
        for first in range(0, len(ids), BATCH):
            own = ids[first:first + BATCH, PREFIX:]
            cache = copy.deepcopy(kept)
            cache.batch_repeat_interleave(len(own))
            positions = torch.arange(PREFIX, ids.shape[1])[None]
            logits += scores(model(input_ids=own, past_key_values=cache, position_ids=positions, logits_to_keep=1))
    return time.perf_counter() - begin, logits


def summary(documents, seconds):
    rates = [documents / s for s in seconds]
    return f"{statistics.median(rates):.2f} ({min(rates):.2f}-{max(rates):.2f})"


def compare(folder, length, arguments, peers):
    random.seed(1)

    def some(n):
        return [random.randrange(5, 151000) for _ in range(n)]

    prefix, suffix = some(PREFIX), some(SUFFIX)
    ids = [prefix + some(length) + suffix for _ in range(arguments.documents)]
    batch = pathlib.Path(folder) / "batch.json"
    batch.write_text(json.dumps({"ids": ids, "segments": [[0] * len(row) for row in ids]}))
    engines = {precision: Engine(folder, batch, precision) for precision in arguments.precisions.split(",")}
    times, logits = {}, {}
    for _ in range(arguments.rounds):
        for precision, engine in engines.items():
            seconds, logits[precision] = engine.run()
            times.setdefault(precision, []).append(seconds)
        for name, (model, run) in peers.items():
            seconds, logits["torch " + name] = run(model, torch.tensor(ids))
            times.setdefault("torch " + name, []).append(seconds)
    for engine in engines.values():
        engine.process.stdin.close()
    exact = logits.get("torch fp32", logits.get("fp32"))
    span = max(exact) - min(exact)
    apart = {name: max(abs(a - b) for a, b in zip(found, exact)) for name, found in logits.items()}
    for precision in engines:
        if apart[precision] > LIMITS[precision] * (1 if precision == "fp32" else span):
            sys.exit(f"{precision}: a logit is {apart[precision]} from the exact one (they span {span}): no times are printed")
    print(f"{arguments.documents} x {length}, logits span {span:.2f}: " + "; ".join(
        f"{name} {summary(arguments.documents, seconds)} documents/s, off by {apart[name]:.2g}" for name, seconds in times.items()),
        flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--lengths", default="50,100,200,500")
    parser.add_argument("--documents", type=int, default=66)
    parser.add_argument("--precisions", default="fp32,bf16,int8")
    parser.add_argument("--peers", default="fp32,bf16,shared")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        make_model(folder)
        load = transformers.AutoModelForCausalLM.from_pretrained
        peers = {}
        for name in filter(None, arguments.peers.split(",")):
            model = load(folder, dtype=torch.float32 if name == "fp32" else torch.bfloat16, attn_implementation="sdpa").eval()
            peers[name] = (model, run_shared if name == "shared" else run_torch)
        for length in map(int, arguments.lengths.split(",")):
            compare(folder, length, arguments, peers)


if __name__ == "__main__":
    main()
