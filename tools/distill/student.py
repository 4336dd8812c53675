"""Make the student that is trained: a BERT-like cross-encoder with some of its layers, narrower if asked for.

Layers are copied from a model folder (the teacher's own, or any other encoder of its family). With --width the
hidden size is cut to the dimensions of largest variance over the word embeddings, heads are dropped with them.
The vocabulary can be cut to the tokens that texts use (tools/builtin/prune.py does that for the built-in model).
"""
import argparse
import pathlib
import shutil

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def spread(layers, count):
    """`count` of `layers`, evenly, the first and the last among them."""
    return sorted({round(i * (layers - 1) / max(1, count - 1)) for i in range(count)})


def narrowed(name, value, target, dims, inner):
    """`value` cut to the shape of `target`: hidden dimensions `dims`, the first `inner` of the feed-forward ones."""
    for axis, (have, want) in enumerate(zip(value.shape, target.shape)):
        if have != want:
            value = value.index_select(axis, dims if want == len(dims) else torch.arange(want))
    return value


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="folder that layers are copied from")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--layers", type=int, required=True)
    parser.add_argument("--width", type=int, default=0, help="hidden size, a multiple of the head size; 0: as it is")
    args = parser.parse_args()
    source = AutoModelForSequenceClassification.from_pretrained(args.model, dtype=torch.float32)
    config = AutoConfig.from_pretrained(args.model)
    base = source.base_model_prefix
    picked = spread(config.num_hidden_layers, args.layers)
    if len(picked) != args.layers:
        raise SystemExit(f"--layers {args.layers}: {args.model} has {config.num_hidden_layers}")
    config.num_hidden_layers = args.layers
    if args.width:
        head = config.hidden_size // config.num_attention_heads
        if args.width % head:
            raise SystemExit(f"--width {args.width}: not a multiple of the head size {head}")
        config.intermediate_size = config.intermediate_size * args.width // config.hidden_size
        config.num_attention_heads = args.width // head
        config.hidden_size = args.width
    student = AutoModelForSequenceClassification.from_config(config)
    words = source.get_input_embeddings().weight
    dims = words.var(0).topk(config.hidden_size).indices.sort().values
    state = source.state_dict()
    for name, target in student.state_dict().items():
        parts = name.split(".")
        if f"{base}.encoder.layer." in name:
            parts[3] = str(picked[int(parts[3])])
        target.copy_(narrowed(name, state[".".join(parts)], target, dims, config.intermediate_size))
    args.out.mkdir(parents=True, exist_ok=True)
    student.save_pretrained(args.out)
    for name in TOKENIZER:
        if (args.model / name).exists():
            shutil.copyfile(args.model / name, args.out / name)
    print(f"layers {picked} of {args.model}, width {config.hidden_size}: "
          f"{sum(p.numel() for p in student.parameters()) / 1e6:.1f} M parameters -> {args.out}")


if __name__ == "__main__":
    main()
