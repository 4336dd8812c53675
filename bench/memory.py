#!/usr/bin/env python3
"""Memory of a decoder of a true shape: writes random weights of a precision straight to a file, scores documents, and prints peaks.

Usage: bench/memory.py [--shape 0.6b|4b|8b|tiny] [--weights bf16|int4] [--precision auto] [--documents 4] [--words 100]
                       [--layers N] [--max-length N] [--program build/release/rerankd] [--keep FOLDER]

Qwen3's shapes. Weights are a block of 4 M random values written again and again, from another place for each tensor: what they are does
not change what memory they take, and nothing is held as a whole, so that a model larger than memory can be written. int4 is
`compressed-tensors`' form, as `rerankd convert --precision int4` writes it: matrices of the blocks 4 bits with a scale (bf16) for each 32
inputs, tables bf16. Peaks are the program's largest resident set, files that it has mapped included (ru_maxrss). Needs numpy.
"""
import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHAPES = {"tiny": (64, 128, 2, 4, 2, 32, True), "0.6b": (1024, 3072, 28, 16, 8, 128, True), "4b": (2560, 9728, 36, 32, 8, 128, True),
          "8b": (4096, 12288, 36, 32, 8, 128, False)}  # hidden, intermediate, layers, heads, of keys, head size, tied
VOCABULARY, GROUP, VALUES = 151669, 32, 1 << 22

# A process as large as this one would count as its child's peak.
WATCH = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def bf16(values):
    return (numpy.asarray(values, numpy.float32).view(numpy.uint32) >> 16).astype(numpy.uint16)


class Writer:
    """A safetensors file, whose header is written first and whose tensors are pieces of random blocks."""

    def __init__(self):
        self.tensors, self.fills, self.end = {}, [], 0

    def add(self, name, dtype, shape, fill):
        size = int(numpy.prod(shape)) * {"BF16": 2, "I32": 4, "I64": 8}[dtype]
        self.tensors[name] = dict(dtype=dtype, shape=list(shape), data_offsets=[self.end, self.end + size])
        self.fills.append((size, fill))
        self.end += size

    def write(self, path):
        header = json.dumps({"__metadata__": {"format": "pt"}, **self.tensors}).encode()
        header += b" " * (-len(header) % 8)
        with open(path, "wb") as out:
            out.write(struct.pack("<Q", len(header)) + header)
            for number, (size, fill) in enumerate(self.fills):
                block = memoryview(fill).cast("B")
                at = number * 8192 % len(block)
                while size > 0:
                    piece = block[at:at + size]
                    out.write(piece)
                    size -= len(piece)
                    at = 0


def write_model(folder, shape, weights, layers=0):
    hidden, inner, all_layers, heads, of_keys, head, tied = SHAPES[shape]
    layers = layers or all_layers
    rng = numpy.random.default_rng(0)
    writer, ones = Writer(), bf16(numpy.ones(max(hidden, head)))
    normal = rng.standard_normal(VALUES, numpy.float32)
    numbers = rng.integers(0, 1 << 32, VALUES, numpy.uint32)

    def matrix(name, rows, columns):
        if weights == "bf16":
            return writer.add(name + ".weight", "BF16", (rows, columns), bf16(normal * columns ** -0.5))
        scales = bf16(numpy.full(4096, columns ** -0.5 / 4.6))  # numbers from -8 to 7 have a deviation of 4.6
        writer.add(name + ".weight_packed", "I32", (rows, columns // 8), numbers)
        writer.add(name + ".weight_scale", "BF16", (rows, columns // GROUP), scales)
        writer.add(name + ".weight_shape", "I64", (2,), numpy.array([rows, columns], numpy.int64))

    # Tensors begin anywhere in a block, but for the shapes and norms, which are as small as theirs.
    writer.add("model.embed_tokens.weight", "BF16", (VOCABULARY, hidden), bf16(normal * hidden ** -0.5))
    for layer in range(layers):
        own = f"model.layers.{layer}."
        for part, rows in (("q", heads), ("k", of_keys), ("v", of_keys)):
            matrix(f"{own}self_attn.{part}_proj", rows * head, hidden)
        matrix(f"{own}self_attn.o_proj", hidden, heads * head)
        for part, rows, columns in (("gate", inner, hidden), ("up", inner, hidden), ("down", hidden, inner)):
            matrix(f"{own}mlp.{part}_proj", rows, columns)
        for norm, width in (("self_attn.q_norm", head), ("self_attn.k_norm", head), ("input_layernorm", hidden),
                            ("post_attention_layernorm", hidden)):
            writer.add(f"{own}{norm}.weight", "BF16", (width,), ones)
    writer.add("model.norm.weight", "BF16", (hidden,), ones)
    if not tied:
        writer.add("lm_head.weight", "BF16", (VOCABULARY, hidden), bf16(normal * hidden ** -0.5))
    writer.write(folder / "model.safetensors")
    config = dict(architectures=["Qwen3ForCausalLM"], model_type="qwen3", hidden_size=hidden, intermediate_size=inner,
                  num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=of_keys, head_dim=head, vocab_size=VOCABULARY,
                  max_position_embeddings=40960, rms_norm_eps=1e-6, rope_theta=1000000, hidden_act="silu", tie_word_embeddings=tied)
    if weights == "int4":
        config["quantization_config"] = dict(
            quant_method="compressed-tensors", format="pack-quantized", quantization_status="compressed", ignore=["lm_head"],
            config_groups=dict(group_0=dict(targets=["Linear"], weights=dict(num_bits=4, type="int", symmetric=True, strategy="group",
                                                                             group_size=GROUP, dynamic=False))))
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    words = {f"w{i}": i for i in range(5000)} | {"no": 2152, "yes": 9693, "?": 5001}
    (folder / "tokenizer.json").write_text(json.dumps(dict(
        version="1.0", added_tokens=[], normalizer=None, pre_tokenizer=dict(type="Whitespace"), post_processor=None, decoder=None,
        model=dict(type="WordLevel", vocab={w: i for w, i in words.items() if w not in ("w2152",)}, unk_token="?"))))
    return writer.end


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="0.6b")
    parser.add_argument("--weights", choices=["bf16", "int4"], default="bf16")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--documents", type=int, default=4)
    parser.add_argument("--words", type=int, default=100)
    parser.add_argument("--layers", type=int, default=0, help="the first N of the shape's; 0: all")
    parser.add_argument("--max-length", type=int, default=8192)
    parser.add_argument("--program", default=ROOT / "build/release/rerankd")
    parser.add_argument("--keep", help="a folder that the model is left in")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(arguments.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        size = write_model(folder, arguments.shape, arguments.weights, arguments.layers)
        text = " ".join(f"w{i % 2000}" for i in range(arguments.words))
        documents = "".join(json.dumps({"query": f"what is w{i} ?", "document": f"{text} w{i}"}) + "\n" for i in range(arguments.documents))
        begin = time.monotonic()
        command = [arguments.program, "score", "--model", folder, "--engine", "cpu", "--threads", "2", "--precision", arguments.precision,
                   "--max-length", str(arguments.max_length)]
        done = subprocess.run([sys.executable, "-I", "-S", "-c", WATCH, *command],
                              input=documents, capture_output=True, text=True)
        seconds = time.monotonic() - begin
        if done.returncode != 0:
            sys.exit(done.stderr)
        scores = [json.loads(line)["logit"] for line in done.stdout.splitlines()]
        if len(scores) != arguments.documents or not all(abs(score) < 1e6 for score in scores):
            sys.exit(f"not {arguments.documents} scores: {done.stdout}")
        peak = int(done.stderr.split()[-1]) * 1024
        print(f"{arguments.shape} {arguments.weights}{f', {arguments.layers} layers' if arguments.layers else ''}, precision {arguments.precision}: weights {size / 2**30:.2f} GiB, "
              f"peak {peak / 2**30:.2f} GiB, {peak / size:.2f} of them, {arguments.documents} documents of {arguments.words} words in {seconds:.0f} s with opening")


if __name__ == "__main__":
    main()
