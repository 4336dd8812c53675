#!/usr/bin/env python3
"""Qwen3-Reranker-0.6B's shape by document length: rerankd's engine against other programs, in turn in one run.

Usage: .venv-peers/bin/python bench/peers/decoders.py [--rounds 2] [--lengths 50,100,200,500] [--documents 66] [--precisions fp32,bf16,int8]
           [--peers fp32,bf16,shared,openvino,openvino-int8,ort,ort-int8,llama-f16,llama-q8_0] [--peer-documents 16] [--shape tiny]

Random weights of the true shape (28 layers, 0.6 B parameters, bf16), 2 threads. A request is one query and --documents documents: 75
tokens of prefix (template, instruction, a query of 12 tokens), the document, 9 tokens of suffix. Peers compute the first
--peer-documents of them: but for the one that shares the prefix, the rate hardly depends on how many there are.

fp32, bf16   PyTorch (transformers, SDPA), batches of 8, the logits of the last token only
shared       its bf16, with the prefix computed once and its keys and values copied for each batch
openvino     bf16, the forward pass in plain PyTorch converted, batches of 8, two answers' rows instead of the vocabulary's product;
             openvino-int8: its weights in int8 (NNCF), and activations quantized in groups of 32 as it computes
ort          ONNX Runtime, fp32, on the graph that `rerankd convert --to onnx` writes; ort-int8: quantize_dynamic of it, per channel
llama-...    llama.cpp's rank pooling on a GGUF file of the same weights, one document a call (which is its fastest)

Needs build/release/engine_bench and rerankd, requirements/train.txt, and for the peers asked for openvino, nncf, onnxruntime, onnx, gguf 0.19
and llama-cpp-python 0.3. Logits are compared with PyTorch's fp32 (without it, with rerankd's) before a time is printed: rerankd's fp32
within 1e-3, all others within a share of the logits' span. Documents a second, median (smallest-largest).
"""
import argparse
import copy
import json
import math
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import torch
import transformers
from tokenizers import Tokenizer, models

from engine_process import Engine

ROOT = pathlib.Path(__file__).resolve().parents[2]
PREFIX, SUFFIX, BATCH = 75, 9, 8
YES, NO = 9693, 2152
LIMITS = {"fp32": 0.001, "bf16": 0.1, "int8": 0.2}  # of the span of logits; fp32: absolute
KEPT = []
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


def scores(out):
    return (out.logits[:, -1, YES] - out.logits[:, -1, NO]).float().tolist()


def load_torch(folder, kind):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=kind, attn_implementation="sdpa").eval()


def in_batches(compute):
    """Of ids, a tensor [documents, length]."""
    def run(ids):
        logits = []
        with torch.inference_mode():
            for first in range(0, len(ids), BATCH):
                logits += compute(ids[first:first + BATCH])
        return logits
    return run


def torch_peer(folder, kind):
    model = load_torch(folder, kind)
    return in_batches(lambda ids: scores(model(input_ids=ids, logits_to_keep=1)))


def shared_peer(folder):
    model = load_torch(folder, torch.bfloat16)

    def run(ids):
        logits = []
        with torch.inference_mode():
            kept = model(input_ids=ids[:1, :PREFIX], use_cache=True, logits_to_keep=1).past_key_values
            for first in range(0, len(ids), BATCH):
                own = ids[first:first + BATCH, PREFIX:]
                cache = copy.deepcopy(kept)
                cache.batch_repeat_interleave(len(own))
                positions = torch.arange(PREFIX, ids.shape[1])[None]
                logits += scores(model(input_ids=own, past_key_values=cache, position_ids=positions, logits_to_keep=1))
        return logits
    return run


class Plain(torch.nn.Module):
    """The forward pass without what a converter stumbles over: no cache, no masks but the causal one, one answer."""

    def __init__(self, model):
        super().__init__()
        self.model, self.config = model.model, model.config
        words = model.model.embed_tokens.weight
        self.answer = torch.nn.Parameter(words[YES] - words[NO])

    def forward(self, ids):
        c = self.config
        x = self.model.embed_tokens(ids)
        batch, length = ids.shape
        steps = torch.arange(0, c.head_dim, 2, dtype=torch.float32) / c.head_dim
        angles = torch.arange(length, dtype=torch.float32)[:, None] * (c.rope_parameters["rope_theta"] ** -steps)[None]
        cos, sin = (torch.cat([part, part], -1)[None, None] for part in (angles.cos(), angles.sin()))

        def turned(heads):
            low, high = heads.chunk(2, -1)
            return heads * cos + torch.cat([-high, low], -1) * sin

        for layer in self.model.layers:
            attention, h = layer.self_attn, layer.input_layernorm(x)
            query = turned(attention.q_norm(attention.q_proj(h).view(batch, length, -1, c.head_dim)).transpose(1, 2))
            key = turned(attention.k_norm(attention.k_proj(h).view(batch, length, -1, c.head_dim)).transpose(1, 2))
            value = attention.v_proj(h).view(batch, length, -1, c.head_dim).transpose(1, 2)
            group = c.num_attention_heads // c.num_key_value_heads
            key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
            mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
            x = x + attention.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return self.model.norm(x[:, -1]) @ self.answer


def openvino_peer(folder, int8):
    import openvino

    plain = Plain(load_torch(folder, torch.float32))
    with torch.inference_mode():
        converted = openvino.convert_model(plain, example_input=torch.zeros((BATCH, 100), dtype=torch.int64))
    settings = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": 2, "PERFORMANCE_HINT": "LATENCY"}
    if int8:
        import nncf
        converted = nncf.compress_weights(converted, mode=nncf.CompressWeightsMode.INT8_ASYM)
        settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = "32"
    compiled = openvino.Core().compile_model(converted, "CPU", settings)
    return in_batches(lambda ids: compiled(ids.numpy())[0].reshape(-1).tolist())


def onnxruntime_peer(folder, int8):
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = pathlib.Path(folder) / "onnx"
    if not graph.exists():
        subprocess.run([ROOT / "build/release/rerankd", "convert", folder, graph, "--to", "onnx"], check=True)
    path = graph / "model.onnx"
    if int8:
        path = graph / "int8.onnx"
        quantize_dynamic(graph / "model.onnx", path, per_channel=True, weight_type=QuantType.QInt8, use_external_data_format=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return in_batches(lambda ids: session.run(None, {"input_ids": ids.numpy(), "attention_mask": numpy.ones(ids.shape, numpy.int64)})[0][:, 0].tolist())


def write_gguf(folder, path, kind):
    """As llama.cpp's converter lays out Qwen3-Reranker: rank pooling, the rows of the two answers as cls.output."""
    import gguf

    model = load_torch(folder, torch.float32)
    c, writer = model.config, gguf.GGUFWriter(path, "qwen3")
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_key_length(c.head_dim)
    writer.add_value_length(c.head_dim)
    writer.add_rope_freq_base(c.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_pooling_type(gguf.PoolingType.RANK)
    writer.add_classifier_output_labels(["yes", "no"])
    writer.add_tokenizer_model("none")
    writer.add_vocab_size(c.vocab_size)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, c.num_hidden_layers)
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    words = state["model.embed_tokens.weight"]
    tensors = {names.get_name(name, try_suffixes=(".weight", ".bias")): tensor for name, tensor in state.items()}
    tensors["cls.output.weight"] = torch.stack([words[YES], words[NO]])
    for name, tensor in tensors.items():
        used = gguf.GGMLQuantizationType.F32 if tensor.dim() == 1 else kind
        writer.add_tensor(name, gguf.quants.quantize(tensor.numpy(), used), raw_dtype=used)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_peer(folder, kind):
    import gguf
    import llama_cpp as llama

    path = f"{folder}/{kind}.gguf"
    write_gguf(folder, path, gguf.GGMLQuantizationType[kind.upper()])
    quiet = llama.llama_log_callback(lambda *_: None)
    KEPT.append(quiet)  # the library holds no reference
    llama.llama_log_set(quiet, None)
    llama.llama_backend_init()
    wanted = llama.llama_model_default_params()
    wanted.n_gpu_layers = 0
    model = llama.llama_model_load_from_file(path.encode(), wanted)
    settings = llama.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = 2048
    settings.n_threads = settings.n_threads_batch = 2
    settings.embeddings = True
    settings.pooling_type = llama.LLAMA_POOLING_TYPE_RANK
    context = llama.llama_init_from_model(model, settings)
    if not model or not context:
        sys.exit("llama.cpp does not open its file")

    def one(ids):
        llama.llama_memory_clear(llama.llama_get_memory(context), True)
        tokens = (llama.llama_token * len(ids))(*ids)  # the batch only points to them
        batch = llama.llama_batch_get_one(tokens, len(ids))
        if llama.llama_decode(context, batch) != 0:
            sys.exit("llama.cpp does not compute a document")
        yes = llama.llama_get_embeddings_seq(context, 0)[0]
        return math.log(yes / (1 - yes))  # it gives the softmax of the two

    return lambda ids: [one(row.tolist()) for row in ids]


PEERS = {"fp32": lambda folder: torch_peer(folder, torch.float32), "bf16": lambda folder: torch_peer(folder, torch.bfloat16),
         "shared": shared_peer, "openvino": lambda folder: openvino_peer(folder, False),
         "openvino-int8": lambda folder: openvino_peer(folder, True), "ort": lambda folder: onnxruntime_peer(folder, False),
         "ort-int8": lambda folder: onnxruntime_peer(folder, True), "llama-f16": lambda folder: llama_peer(folder, "f16"),
         "llama-q8_0": lambda folder: llama_peer(folder, "q8_0")}


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
    for _ in range(arguments.rounds):
        for precision, engine in engines.items():
            seconds, logits[precision] = engine.run()
            times.setdefault(precision, []).append(seconds)
        for name, run in peers.items():
            documents = torch.tensor(ids) if name == "shared" else few
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
