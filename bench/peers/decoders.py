#!/usr/bin/env python3
"""Qwen3-Reranker-0.6B's shape by document length: rerankd's engine against other programs, in turn in one run.

Usage: .venv-peers/bin/python bench/peers/decoders.py [--rounds 2] [--lengths 50,100,200,500] [--documents 66] [--precisions fp32,bf16,int8]
           [--peers fp32,bf16,shared,openvino,openvino-int8,genai,ort,ort-int8,llama-f16,llama-q8_0,vllm] [--peer-documents 16] [--shape tiny]

Random weights of the true shape (28 layers, 0.6 B parameters, bf16), 2 threads. A request is one query and --documents documents: 75
tokens of prefix (template, instruction, a query of 12 tokens), the document, 9 tokens of suffix. Peers compute the first
--peer-documents of them: but for those that share the prefix, the rate hardly depends on how many there are.

fp32, bf16   PyTorch (transformers, SDPA), batches of 8, the logits of the last token only
shared       its bf16, with the prefix computed once and its keys and values copied for each batch
openvino     bf16, the forward pass in plain PyTorch converted, batches of 8, two answers' rows instead of the vocabulary's product;
             openvino-int8: its weights in int8 (NNCF), and activations quantized in groups of 32 as it computes
genai        OpenVINO GenAI's TextRerankPipeline on that forward pass in bf16, from texts, batches of 8
ort          ONNX Runtime, fp32, on the graph that `rerankd convert --to onnx` writes; ort-int8: quantize_dynamic of it, per channel
llama-...    llama.cpp's rank pooling on a GGUF file of the same weights, one document a call (which is its fastest)
vllm         vLLM on a CPU in bf16, in a process of its own (.venv-vllm, see requirements/vllm.txt), whose cache shares the prefix

Each peer keeps its weights in memory, some twice and in fp32: 24 GiB hold three or four of them.

Needs build/release/engine_bench and rerankd, requirements/train.txt, and for the peers asked for openvino, openvino-genai, nncf, onnxruntime,
onnx, gguf 0.19 and llama-cpp-python 0.3. Logits are compared with PyTorch's fp32 (without it, with rerankd's) before a time is printed: rerankd's fp32
within 1e-3, all others within a share of the logits' span. Documents a second, median (smallest-largest).
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
from tokenizers import Tokenizer, models

from decoder_peers import NO, PEERS, PREFIX, SUFFIX, YES
from engine_process import Engine

LIMITS = {"fp32": 0.001, "bf16": 0.1, "int8": 0.2}  # of the span of logits; fp32: absolute
SHARING = ("shared", "vllm")  # the more documents, the faster each
PEER_LIMIT = 0.5  # of the span: beyond it, it computes something else
SHAPES = {"0.6b": dict(hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16, num_key_value_heads=8, head_dim=128),
          "tiny": dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=32)}


def make_model(folder, shape):
    torch.manual_seed(0)
    config = transformers.Qwen3Config(vocab_size=151669, max_position_embeddings=40960, tie_word_embeddings=True,
                                      rope_parameters={"rope_type": "default", "rope_theta": 1e6}, **SHAPES[shape])
    model = transformers.Qwen3ForCausalLM(config).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data = torch.randn_like(parameter) * parameter.shape[-1] ** -0.5
    model.to(torch.bfloat16).save_pretrained(folder)
    Tokenizer(models.WordLevel({"yes": YES, "no": NO}, unk_token="no")).save(f"{folder}/tokenizer.json")


def summary(documents, seconds):
    rates = [documents / s for s in seconds]
    return f"{statistics.median(rates):.2f} ({min(rates):.2f}-{max(rates):.2f})"


def compare(folder, length, arguments, peers):
    random.seed(1)

    def some(n):
        return [random.randrange(5, 151000) for _ in range(n)]

    prefix, suffix = some(PREFIX), some(SUFFIX)
    ids = [prefix + some(length) + suffix for _ in range(arguments.documents)]
    few = torch.tensor(ids[:arguments.peer_documents])
    batch = pathlib.Path(folder) / "batch.json"
    batch.write_text(json.dumps({"ids": ids, "segments": [[0] * len(row) for row in ids]}))
    engines = {precision: Engine(folder, batch, precision) for precision in arguments.precisions.split(",")}
    times, logits = {}, {}
    for run in peers.values():
        run(few)  # some compile what they meet first
    for _ in range(arguments.rounds):
        for precision, engine in engines.items():
            seconds, logits[precision] = engine.run()
            times.setdefault(precision, []).append(seconds)
        for name, run in peers.items():
            documents = torch.tensor(ids) if name in SHARING else few
            begin = time.perf_counter()
            logits["peer " + name] = run(documents)
            times.setdefault("peer " + name, []).append((time.perf_counter() - begin) * len(ids) / len(documents))
    for engine in engines.values():
        engine.process.stdin.close()
    exact = logits.get("peer fp32", logits.get("fp32"))
    own = logits[next(iter(engines))]
    span = max(own) - min(own)
    apart = {name: max(abs(a - b) for a, b in zip(found, exact)) for name, found in logits.items()}
    for precision in engines:
        if apart[precision] > LIMITS[precision] * (1 if precision == "fp32" else span):
            sys.exit(f"{precision}: a logit is {apart[precision]} from the exact one (they span {span}): no times are printed")
    print(f"{arguments.documents} x {length}, logits span {span:.2f}", flush=True)
    for name, seconds in times.items():
        rate = summary(arguments.documents, seconds) + " documents/s" if apart[name] <= PEER_LIMIT * span else "computes something else"
        print(f"  {name:16} {rate}, off by {apart[name]:.2g}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--lengths", default="50,100,200,500")
    parser.add_argument("--documents", type=int, default=66)
    parser.add_argument("--peer-documents", type=int, default=16)
    parser.add_argument("--precisions", default="fp32,bf16,int8")
    parser.add_argument("--peers", default="fp32,bf16,shared")
    parser.add_argument("--shape", choices=SHAPES, default="0.6b", help="tiny: whether all of it runs")
    arguments = parser.parse_args()
    if "fp32" not in arguments.peers.split(",") + arguments.precisions.split(","):
        parser.error("answers are compared with fp32: name it in --peers or in --precisions")
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        make_model(folder, arguments.shape)
        peers = {name: PEERS[name](folder) for name in filter(None, arguments.peers.split(","))}
        for length in map(int, arguments.lengths.split(",")):
            compare(folder, length, arguments, peers)


if __name__ == "__main__":
    main()
