#!/usr/bin/env python3
"""ModernBERT-base by document length: rerankd's engine against PyTorch (transformers, SDPA), in turn in one run.

Usage: .venv-train/bin/python bench/peers/long_documents.py [--rounds 3] [--lengths 128,512,2048,8192]

Random weights of the true shape (149 M parameters, mean pooling, windows of 128), 2 threads, 2,048 tokens in each batch or one document that is
longer. Needs build/release/engine_bench and requirements/train.txt. Logits are compared before a time is printed: of logits that span
3.4 at 16 x 128, fp32 within 1e-4, bf16 within 0.3, int8 within 0.4. A ratio is PyTorch's time over ours in the same round, median
(smallest-largest). PyTorch computes full attention under a mask; rerankd only the window.
"""
import argparse
import json
import pathlib
import random
import statistics
import sys
import tempfile
import time

import torch
import transformers

from engine_process import Engine

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMITS = {"fp32": 1e-4, "bf16": 0.3, "int8": 0.4}


def make_model(folder):
    torch.manual_seed(0)
    config = transformers.ModernBertConfig(num_labels=1, classifier_pooling="mean")
    model = transformers.ModernBertForSequenceClassification(config).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data = torch.randn_like(parameter) * parameter.shape[-1] ** -0.5
    model.save_pretrained(folder)


def run_torch(model, ids):
    begin = time.perf_counter()
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, 0].float()
    return time.perf_counter() - begin, logits.tolist()


def summary(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def compare(folder, length, rounds, peers):
    documents = max(1, 2048 // length)
    random.seed(1)
    ids = [[random.randrange(5, 50000) for _ in range(length)] for _ in range(documents)]
    batch = pathlib.Path(folder) / "batch.json"
    batch.write_text(json.dumps({"ids": ids, "segments": [[0] * length for _ in ids]}))
    engines = {precision: Engine(folder, batch, precision) for precision in LIMITS}
    times, logits = {}, {}
    for _ in range(rounds):
        for precision, engine in engines.items():
            seconds, logits[precision] = engine.run()
            times.setdefault(precision, []).append(seconds)
        for precision, model in peers.items():
            seconds, logits["torch " + precision] = run_torch(model, torch.tensor(ids))
            times.setdefault("torch " + precision, []).append(seconds)
    for engine in engines.values():
        engine.process.stdin.close()
    for precision, limit in LIMITS.items():
        difference = max(abs(a - b) for a, b in zip(logits[precision], logits["torch fp32"]))
        if difference > limit:
            sys.exit(f"{precision}: a logit is {difference} from PyTorch's: no times are printed")
    ratios = {p: [b / a for a, b in zip(times[p], times["torch " + ("bf16" if p == "int8" else p)])] for p in LIMITS}
    print(f"{documents} x {length}: ours {', '.join(f'{p} {statistics.median(times[p]):.3f} s' for p in LIMITS)}; PyTorch fp32 / ours "
          f"{summary(ratios['fp32'])}, bf16 / ours {summary(ratios['bf16'])}, bf16 / our int8 {summary(ratios['int8'])}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lengths", default="128,512,2048,8192")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        make_model(folder)
        load = transformers.AutoModelForSequenceClassification.from_pretrained
        peers = {name: load(folder, dtype=dtype, attn_implementation="sdpa").eval()
                 for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))}
        for length in map(int, arguments.lengths.split(",")):
            compare(folder, length, arguments.rounds, peers)


if __name__ == "__main__":
    main()
