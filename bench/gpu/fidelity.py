#!/usr/bin/env python3
"""How far each precision of the CUDA engine moves scores and rankings from fp32 (bench/gpu/run.sh): the built-in model on
this repository's own documents. A section's heading is the query; the section is ranked among others. Without PyTorch.

    fidelity.py --library librerank_cuda.so [--lists 200] [--depth 20] [--tokens 128] [--precisions bf16,fp16,fp8]
"""
import argparse
import json
import pathlib
import random
import re
import statistics
import struct
from array import array

import plugin as rerank

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODES = {"fp32": rerank.F32, "fp16": rerank.F16, "bf16": rerank.BF16, "fp8": rerank.FP8}
NAMES = {"words": "embeddings.word_embeddings.weight", "positions": "embeddings.position_embeddings.weight",
         "segments": "embeddings.token_type_embeddings.weight", "embedding_norm": "embeddings.LayerNorm",
         "head_dense": "pooler.dense", "query": "attention.self.query", "key": "attention.self.key",
         "value": "attention.self.value", "attention_output": "attention.output.dense",
         "attention_norm": "attention.output.LayerNorm", "up": "intermediate.dense", "down": "output.dense",
         "output_norm": "output.LayerNorm"}


class Model:
    def __init__(self, folder):
        config = json.loads((folder / "config.json").read_text())
        self.shape = dict(layers=config["num_hidden_layers"], hidden=config["hidden_size"],
                          heads=config["num_attention_heads"], intermediate=config["intermediate_size"])
        self.vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
        data = (folder / "model.safetensors").read_bytes()
        begin = 8 + struct.unpack("<Q", data[:8])[0]
        self.tensors = {}
        for name, entry in json.loads(data[8:begin]).items():
            if name == "__metadata__":
                continue
            first, last = (begin + offset for offset in entry["data_offsets"])
            kind = {"F16": "e", "F32": "f"}[entry["dtype"]]
            self.tensors[name] = array("f", struct.unpack(f"<{(last - first) // struct.calcsize(kind)}{kind}", data[first:last]))

    def tensor(self, name):
        """By the plugin's name: words, 0.query.weight, head_output.bias; None where BERT has no such part."""
        if name.startswith("head_output"):
            found = self.tensors[name.replace("head_output", "classifier")]
        else:
            layer, rest = (f"encoder.layer.{name.split('.')[0]}.", name.split(".", 1)[1]) if name[0].isdigit() else ("", name)
            part, _, which = rest.partition(".")
            if part not in NAMES:
                return None
            found = self.tensors["bert." + layer + NAMES[part] + ("." + which if which else "")]
        return found.buffer_info()

    EPSILON = 1e-12

    def slopes(self):
        return array("f")

    angles = slopes

    def ids(self, text):
        """Words cut into the longest pieces of the vocabulary that there are."""
        found = []
        for word in re.findall(r"\w+|[^\w\s]", text.lower()):
            at = 0
            while at < len(word):
                pieces = (("##" if at else "") + word[at:end] for end in range(len(word), at, -1))
                piece = next((p for p in pieces if p in self.vocabulary), None)
                if piece is None:
                    found.append(self.vocabulary["[UNK]"])
                    break
                found.append(self.vocabulary[piece])
                at += len(piece) - (2 if at else 0)
        return found

    def pair(self, query, document, tokens):
        """Ids and segments."""
        mark, end = self.vocabulary["[CLS]"], self.vocabulary["[SEP]"]
        first = [mark] + query + [end]
        second = document[:tokens - len(first) - 1] + [end]
        return first + second, [0] * len(first) + [1] * len(second)


def sections():
    """(heading, text) of all documents."""
    found = []
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/**/README.md")]):
        if any(part.startswith(".") or part == "build" for part in path.relative_to(ROOT).parts):
            continue
        for part in re.split(r"^#+ ", path.read_text(), flags=re.M)[1:]:
            heading, _, text = part.partition("\n")
            if len(text.split()) > 15:
                found.append((heading, text))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True)
    parser.add_argument("--lists", type=int, default=200)
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--precisions", default="bf16,fp16,fp8")
    arguments = parser.parse_args()
    library, model, rng = rerank.load(arguments.library), Model(ROOT / "models/rerankd-mini-en"), random.Random(1)
    texts = [(model.ids(heading), model.ids(text)) for heading, text in sections()]
    lists = []
    for own in rng.sample(range(len(texts)), min(arguments.lists, len(texts))):
        others = rng.sample([i for i in range(len(texts)) if i != own], arguments.depth - 1)
        lists.append([model.pair(texts[own][0], texts[i][1], arguments.tokens) for i in [own] + others])

    def score(precision):
        engine = rerank.Engine(library, model, CODES[precision])
        engine.use_wgmma(True)
        found = [engine.score([ids for ids, _ in pairs], [kinds for _, kinds in pairs]) for pairs in lists]
        engine.close()
        return found

    exact = score("fp32")
    spread = statistics.pstdev(x for logits in exact for x in logits)
    print(f"\nBuilt-in model, {len(lists)} headings, {arguments.depth} sections each, against fp32 (logits spread by {spread:.2f}):")
    print("| precision | largest, mean difference of a logit | same first |\n|---|---|---|")
    for precision in arguments.precisions.split(","):
        if reason := rerank.unsupported_reason(library, CODES[precision]):
            print(f"| {precision} | not here: {reason} | |")
            continue
        logits = score(precision)
        apart = [abs(a - b) for x, y in zip(exact, logits) for a, b in zip(x, y)]
        first = sum(x.index(max(x)) == y.index(max(y)) for x, y in zip(exact, logits))
        print(f"| {precision} | {max(apart):.3f}, {statistics.mean(apart):.4f} | {100 * first / len(lists):.1f} % |", flush=True)


if __name__ == "__main__":
    main()
