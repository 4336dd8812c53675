#!/usr/bin/env python3
"""rerankd's engines on one model - cpu, onnx, torchscript - beside the usual way: ONNX Runtime from Python, one padded batch.

Usage: graphs.py --build build/release [--shape minilm|base] [--documents 66] [--lengths 32-512] [--threads 2] [--rounds 7]

Makes a model of random weights of the true shape, its graph with `rerankd convert` (fp32, int8) and its TorchScript file with
torch.jit.trace, and runs all contenders interleaved in one run on the same token ids, answers checked first. Prints the median
time of the batch, and the median over rounds of the ratio to the usual way's time with its smallest and largest value.
Needs requirements/peers.txt, and the targets rerankd and engine_bench.
"""
import argparse
import json
import pathlib
import random
import statistics
import subprocess
import tempfile

import numpy as np
import onnxruntime
import torch

import compare


class Traced(torch.nn.Module):
    def __init__(self, model, names):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, input_ids, attention_mask, token_type_ids):
        more = {"token_type_ids": token_type_ids} if "token_type_ids" in self.names else {}
        return self.model(input_ids=input_ids, attention_mask=attention_mask, **more).logits


class Engine(compare.Rerankd):
    """engine_bench with an engine by name."""

    def __init__(self, program, folder, batch_file, engine, precision, threads):
        self.process = subprocess.Popen([program, folder, batch_file, precision, "auto", str(threads), engine], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.name = "rerankd " + self.process.stdout.readline().strip()
        self.tolerance = compare.TOLERANCES["int8" if "int8" in self.name else "bf16" if "bf16" in self.name else "fp32"]


def python_onnx(path, threads, with_segments):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def compute(batches):
        results = []
        for ids, mask in batches:
            feed = {"input_ids": ids, "attention_mask": mask}
            if with_segments:
                feed["token_type_ids"] = np.zeros_like(ids)
            results.append(session.run(None, feed)[0][:, 0])
        return results
    return compute


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--shape", default="minilm", choices=compare.SHAPES)
    parser.add_argument("--documents", type=int, default=66)
    parser.add_argument("--lengths", default="32-512")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    build = pathlib.Path(arguments.build)
    with tempfile.TemporaryDirectory() as scratch:
        folder, quantized = f"{scratch}/model", f"{scratch}/int8"
        compare.make_model(arguments.shape, folder)
        for out, precision in ((folder, "fp32"), (quantized, "int8")):
            subprocess.run([build / "rerankd", "convert", folder, out, "--to", "onnx", "--precision", precision, "--no-verify"], check=True,
                           stdout=subprocess.DEVNULL)
        config = json.loads(pathlib.Path(folder, "config.json").read_text())
        names = ["input_ids", "attention_mask"] + (["token_type_ids"] if config["model_type"] == "bert" else [])
        ids = torch.randint(5, 1000, (2, 16))
        with torch.no_grad():
            torch.jit.trace(Traced(compare.load_model(folder), names), (ids, torch.ones_like(ids), torch.zeros_like(ids))).save(
                f"{folder}/model.pt")
        rng = random.Random(1)
        low, _, high = arguments.lengths.partition("-")
        sequences = [[rng.randrange(5, 20000) for _ in range(rng.randint(int(low), int(high or low)))] for _ in range(arguments.documents)]
        batch_file = f"{scratch}/batch.json"
        pathlib.Path(batch_file).write_text(json.dumps({"ids": sequences, "segments": [[0] * len(s) for s in sequences]}))
        program, threads = build / "engine_bench", arguments.threads
        plain = python_onnx(f"{folder}/model.onnx", threads, len(names) == 3)
        contenders = [
            compare.Padded("ONNX Runtime, Python, one padded batch", plain, 2e-3, sequences, len(sequences), 0),
            compare.Padded("ONNX Runtime, Python, sorted, 8 at a time", plain, 2e-3, sequences, 8, 0),
            Engine(program, folder, batch_file, "onnx", "fp32", threads),
            Engine(program, quantized, batch_file, "onnx", "int8", threads),
            Engine(program, folder, batch_file, "torchscript", "auto", threads),
            Engine(program, folder, batch_file, "cpu", "fp32", threads),
            Engine(program, folder, batch_file, "cpu", "auto", threads),
        ]
        times = [[] for _ in contenders]
        expected = contenders[0].run()[1]
        for contender in contenders[1:]:
            difference = np.abs(contender.run()[1] - expected).max()
            if difference > contender.tolerance:
                raise SystemExit(f"{contender.name}: logits differ by {difference}")
        for _ in range(arguments.rounds):
            for seconds, contender in zip(times, contenders):
                seconds.append(contender.run()[0])
        print(f"{arguments.shape}, {arguments.documents} documents of {arguments.lengths} tokens, {threads} threads, {arguments.rounds} rounds")
        for seconds, contender in zip(times, contenders):
            ratios = [usual / own for usual, own in zip(times[0], seconds)]
            print(f"  {contender.name:45s} {statistics.median(seconds) * 1e3:8.0f} ms   {statistics.median(ratios):5.2f}x "
                  f"({min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
