#!/usr/bin/env python3
"""rerankd's CPU engine against ONNX Runtime and PyTorch, interleaved in one run on one model, with the answers checked first.

Usage: compare.py --engine build/release/engine_bench [--model FOLDER | --shape minilm|base|large] [--documents 66]
                  [--lengths 128 | 32-512] [--threads 2] [--rounds 7] [--precisions fp32,bf16] [--peers ort,torch]

Prints per contender the median time of the batch, pairs per second, and the median over rounds of the ratio peer / rerankd
with its smallest and largest value. Peers run sorted by length in batches of 8, which is their best, and as one padded batch.
Needs requirements/peers.txt. Random weights of the true shape serve for speed (--shape).
"""
import argparse
import json
import pathlib
import random
import statistics
import subprocess
import tempfile
import time

import numpy as np
import torch
import transformers

SHAPES = {
    "minilm": ("bert", dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, vocab_size=30522)),
    "base": ("roberta", dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, vocab_size=50265)),
    "large": ("roberta", dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096, vocab_size=50265)),
}


def make_model(shape, folder):
    kind, settings = SHAPES[shape]
    torch.manual_seed(0)
    if kind == "bert":
        config = transformers.BertConfig(num_labels=1, **settings)
        config.id2label = {0: "LABEL_0"}
        model = transformers.BertForSequenceClassification(config)
    else:
        config = transformers.RobertaConfig(num_labels=1, max_position_embeddings=514, type_vocab_size=1, **settings)
        config.id2label = {0: "LABEL_0"}
        model = transformers.RobertaForSequenceClassification(config)
    model.save_pretrained(folder)


def load_model(folder):
    return transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()


def pad(rows, value):
    longest = max(map(len, rows))
    return np.array([r + [value] * (longest - len(r)) for r in rows], dtype=np.int64)


class Padded:
    """A peer that needs padding: sorted by length, `batch` rows at a time."""

    def __init__(self, name, compute, sequences, batch, padding):
        self.name, self.compute = name, compute
        order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
        self.chunks = []
        for i in range(0, len(order), batch):
            index = order[i:i + batch]
            ids = pad([sequences[j] for j in index], padding)
            mask = pad([[1] * len(sequences[j]) for j in index], 0)
            self.chunks.append((index, ids, mask))
        self.size = len(sequences)

    def run(self):
        logits = np.zeros(self.size)
        begin = time.perf_counter()
        for index, ids, mask in self.chunks:
            logits[index] = self.compute(ids, mask)
        return time.perf_counter() - begin, logits


class Rerankd:
    def __init__(self, engine, folder, batch_file, precision, threads):
        self.process = subprocess.Popen([engine, folder, batch_file, precision, "auto", str(threads)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.name = "rerankd " + self.process.stdout.readline().strip()

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["seconds"], np.array(answer["logits"])


def ort_compute(folder, model, threads, with_segments):
    import onnxruntime

    path = str(pathlib.Path(folder) / "model.onnx")
    if not pathlib.Path(path).exists():
        ids = torch.ones(2, 16, dtype=torch.long)
        inputs = (ids, torch.ones_like(ids)) + ((torch.zeros_like(ids),) if with_segments else ())
        names = ["input_ids", "attention_mask"] + (["token_type_ids"] if with_segments else [])
        dynamic = {n: {0: "batch", 1: "sequence"} for n in names}
        model.config._attn_implementation = "eager"
        torch.onnx.export(model, inputs, path, input_names=names, output_names=["logits"], dynamic_axes=dynamic, opset_version=17, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def compute(ids, mask):
        feed = {"input_ids": ids, "attention_mask": mask}
        if with_segments:
            feed["token_type_ids"] = np.zeros_like(ids)
        return session.run(None, feed)[0][:, 0]

    return compute


def torch_compute(model):
    def compute(ids, mask):
        with torch.inference_mode():
            return model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits[:, 0].float().numpy()

    return compute


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--model")
    parser.add_argument("--shape", choices=SHAPES, default="minilm")
    parser.add_argument("--documents", type=int, default=66)
    parser.add_argument("--lengths", default="128")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--precisions", default="fp32")
    parser.add_argument("--peers", default="ort,torch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    low, _, high = arguments.lengths.partition("-")
    rng = random.Random(1)

    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.model or scratch
        if not arguments.model:
            make_model(arguments.shape, folder)
        model = load_model(folder)
        roberta = "roberta" in model.config.model_type
        sequences = [[0 if roberta else 101 % model.config.vocab_size] +
                     [rng.randrange(10, model.config.vocab_size) for _ in range(rng.randint(int(low), int(high or low)) - 1)]
                     for _ in range(arguments.documents)]
        batch_file = str(pathlib.Path(scratch) / "batch.json")
        pathlib.Path(batch_file).write_text(json.dumps(dict(ids=sequences, segments=[[0] * len(s) for s in sequences])))

        contenders = [Rerankd(arguments.engine, folder, batch_file, p, arguments.threads) for p in arguments.precisions.split(",")]
        padding = model.config.pad_token_id or 0
        mixed = bool(high)
        for peer in filter(None, arguments.peers.split(",")):
            compute = torch_compute(model) if peer == "torch" else ort_compute(folder if not arguments.model else scratch, load_model(folder), arguments.threads, not roberta)
            name = "PyTorch fp32" if peer == "torch" else "ONNX Runtime fp32"
            contenders.append(Padded(f"{name}, batches of 8", compute, sequences, 8, padding))
            if mixed:
                contenders.append(Padded(f"{name}, one padded batch", compute, sequences, len(sequences), padding))
        expected = None
        for c in contenders:
            _, logits = c.run()
            expected = logits if expected is None else expected
            print(f"check: {c.name}: largest difference {np.abs(logits - expected).max():.2g}")
            assert np.abs(logits - expected).max() < 3e-2
        times = {c.name: [] for c in contenders}
        for _ in range(arguments.rounds):
            for c in contenders:
                times[c.name].append(c.run()[0])
        tokens = sum(map(len, sequences))
        print(f"\n{arguments.model or arguments.shape}, {len(sequences)} pairs, {tokens} tokens, {arguments.threads} threads, {arguments.rounds} rounds")
        first = times[contenders[0].name]
        for c in contenders:
            t = times[c.name]
            ratios = [a / b for a, b in zip(t, first)]
            print(f"{c.name:42} {statistics.median(t) * 1e3:9.1f} ms {len(sequences) / statistics.median(t):8.1f} pairs/s   "
                  f"x{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
