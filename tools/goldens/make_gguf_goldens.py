#!/usr/bin/env python3
"""Makes small GGUF files as llama.cpp's converter lays them out, and records what transformers computes for their weights.

Usage: make_gguf_goldens.py OUT [NAME ...]   (needs requirements/train.txt and PyPI's gguf 0.19.0; `make reference` calls it)

Each OUT/<name>/ has model.gguf and golden.jsonl, as make_decoder_goldens.py writes it; a tokenizer.json where the one inside the
file cannot be rebuilt. The reference has the file's weights, dequantized by the gguf package. OUT/blocks.gguf has rows of each
type, of random bits, and beside each what the gguf package reads of it, as fp32.
"""
import json
import pathlib
import random
import sys

import gguf
import numpy
import torch
import transformers
from gguf import GGMLQuantizationType as Type
from tokenizers import Tokenizer

from make_decoder_goldens import ONE, SIZES, difference, gemma, labels, llama, qwen, randomize, rope, sequences

DATA = pathlib.Path(__file__).resolve().parents[2] / "tests" / "data"
G, L, Q3 = transformers.GemmaConfig, transformers.LlamaConfig, transformers.Qwen3Config
EVEN = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16)

# name, architecture in the file, type of matrices, config, model, tokenizer (inside the file?), scoring, settings
MODELS = [
    ("qwen3-q8_0", "qwen3", Type.Q8_0, Q3, transformers.Qwen3ForCausalLM, qwen, True, difference("yes", "no"),
     EVEN | dict(rope_parameters=rope(1e6), tie_word_embeddings=True)),
    ("qwen3-rank-f16", "qwen3", Type.F16, Q3, transformers.Qwen3ForCausalLM, qwen, True, difference("yes", "no"),
     EVEN | dict(num_hidden_layers=1, rope_parameters=rope(1e6), tie_word_embeddings=True)),
    ("llama-q4_0", "llama", Type.Q4_0, L, transformers.LlamaForSequenceClassification, llama, False, labels,
     EVEN | dict(rope_parameters=rope(10000.0), **ONE)),
    ("gemma-bf16", "gemma", Type.BF16, G, transformers.GemmaForCausalLM, gemma, False, difference("Yes", None),
     SIZES | dict(num_key_value_heads=1, head_dim=16, rope_parameters=rope(1e4), tie_word_embeddings=True)),
]
ARCHITECTURES = {"qwen3": gguf.MODEL_ARCH.QWEN3, "llama": gguf.MODEL_ARCH.LLAMA, "gemma": gguf.MODEL_ARCH.GEMMA,
                 "bert": gguf.MODEL_ARCH.BERT}


def stored(values, kind):
    """The bytes of a tensor and what they are read as; vectors, and rows that are no whole blocks, as llama.cpp has them."""
    if values.ndim == 1:
        kind = Type.F32
    elif values.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0] != 0:
        kind = Type.F16
    data = gguf.quants.quantize(values, kind)
    return data, kind, gguf.quants.dequantize(data, kind).astype(numpy.float32).reshape(values.shape)


def pairs_side_by_side(rows, heads):
    """llama.cpp's order of the rows of queries and keys."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def write_tokenizer(writer, tokenizer, config):
    parts = json.loads(tokenizer.to_str())
    model, added = parts["model"], {token["id"]: token for token in parts["added_tokens"]}
    size = config.vocab_size
    spelled = dict(model["vocab"]) if isinstance(model["vocab"], dict) else {t: i for i, (t, _) in enumerate(model["vocab"])}
    by_id = {i: t for t, i in spelled.items()} | {i: t["content"] for i, t in added.items()}
    tokens = [by_id.get(i, f"[PAD{i}]") for i in range(size)]
    types = [int(gguf.TokenType.NORMAL if i in by_id else gguf.TokenType.UNUSED) for i in range(size)]
    for i, token in added.items():
        types[i] = int(gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED)
    if model["type"] == "BPE":
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("qwen2")
        writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]])
    else:
        types[3] = int(gguf.TokenType.UNKNOWN)
        writer.add_tokenizer_model("t5")
        writer.add_token_scores([score for _, score in model["vocab"]])
        if parts["normalizer"]:
            steps = parts["normalizer"].get("normalizers", [parts["normalizer"]])
            charsmap = next((s["precompiled_charsmap"] for s in steps if s["type"] == "Precompiled"), None)
            if charsmap:
                import base64
                writer.add_precompiled_charsmap(base64.b64decode(charsmap))
    writer.add_token_list(tokens)
    writer.add_token_types(types)


def write_sizes(writer, config, architecture):
    before = config.pad_token_id + 1 if architecture == "bert" else 0  # rows of positions that the converter drops
    writer.add_context_length(config.max_position_embeddings - before)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    if architecture == "bert":
        writer.add_layer_norm_eps(config.layer_norm_eps)
        writer.add_causal_attention(False)
        return
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def add_tensors(writer, model, config, architecture, kind):
    """Into the file, and back into the model as the file has them."""
    names = gguf.get_tensor_name_map(ARCHITECTURES[architecture], config.num_hidden_layers)
    state = model.state_dict()
    for name, tensor in state.items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        bare = name.removeprefix("roberta.") if architecture == "bert" else name
        new = "cls.output.weight" if name == "score.weight" else names.get_name(bare, try_suffixes=(".weight", ".bias"))
        values = tensor.detach().float().numpy()
        if architecture == "bert" and "position_embeddings" in name:
            data, used, read = stored(values[2:], Type.F32)
            read = numpy.concatenate([values[:2], read])
        elif architecture == "gemma" and "norm" in name:
            data, used, read = stored(values + 1, kind)
            read = read - 1
        else:
            data, used, read = stored(values, kind)
            if architecture == "llama" and ("q_proj" in name or "k_proj" in name):
                heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
                data = pairs_side_by_side(data, heads)
        writer.add_tensor(new, data, raw_dtype=used)
        state[name] = torch.from_numpy(numpy.array(read))
    model.load_state_dict(state)


def blocks(path):
    generator = numpy.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "test")
    for kind in (Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0, Type.Q4_K, Type.Q5_K, Type.Q6_K):
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        rows = generator.integers(0, 256, (3, 2 * 256 // elements, size), dtype=numpy.uint8)
        scale = numpy.array([0.01, -0.02], dtype=numpy.float16).view(numpy.uint8)
        if kind in (Type.F16, Type.BF16):
            rows = stored(generator.normal(size=(3, 512)).astype(numpy.float32), kind)[0]
        elif kind == Type.Q6_K:
            rows[:, :, -2:] = scale[:2]
        else:
            wide = 4 if kind in (Type.Q4_1, Type.Q5_1, Type.Q4_K, Type.Q5_K) else 2
            rows[:, :, :wide] = scale[:wide]
        rows = rows.reshape(3, -1)
        writer.add_tensor(kind.name, rows, raw_dtype=kind)
        writer.add_tensor(kind.name + ".expected", gguf.quants.dequantize(rows, kind).astype(numpy.float32))
    finish(writer)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def record(folder, model, score, tokenizer, lines):
    with torch.no_grad():
        lines = [line | dict(logit=round(float(score(model, line["ids"], tokenizer)), 7)) for line in lines]
    (folder / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    logits = [line["logit"] for line in lines]
    print(folder.name, sum(f.stat().st_size for f in folder.iterdir()) // 1024, "KB, logits", min(logits), "to", max(logits))


def decoder(out, seed, name, architecture, kind, config_class, model_class, make_tokenizer, inside, score, settings):
    rng = random.Random(seed)
    tokenizer = make_tokenizer()
    vocabulary = (tokenizer.get_vocab_size() + 7) // 8 * 8
    config = config_class(vocab_size=vocabulary, max_position_embeddings=192, pad_token_id=0, bos_token_id=0, eos_token_id=1, **settings)
    model = model_class(config).eval().float()
    randomize(model, name, torch.Generator().manual_seed(seed))
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(folder / "model.gguf", architecture)
    write_sizes(writer, config, architecture)
    if inside:
        write_tokenizer(writer, tokenizer, config)
    else:
        tokenizer.save(str(folder / "tokenizer.json"))
    add_tensors(writer, model, config, architecture, kind)
    if "rank" in name:  # as the converter makes it of a reranker: "yes", then "no"
        rows = model.model.embed_tokens.weight.detach().numpy()[[tokenizer.token_to_id("yes"), tokenizer.token_to_id("no")]]
        writer.add_tensor("cls.output.weight", rows.astype(numpy.float32))
        writer.add_pooling_type(gguf.PoolingType.RANK)
        writer.add_classifier_output_labels(["yes", "no"])
    finish(writer)
    record(folder, model, score, tokenizer, [dict(ids=ids) for ids in sequences(rng, vocabulary)])


def xlm_roberta(out):
    """From the recorded model, whose pairs it takes over."""
    source, folder = DATA / "models" / "xlm-roberta-a", out / "xlm-roberta-q8_0"
    folder.mkdir(parents=True, exist_ok=True)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(source, dtype=torch.float32).eval()
    writer = gguf.GGUFWriter(folder / "model.gguf", "bert")
    write_sizes(writer, model.config, "bert")
    write_tokenizer(writer, Tokenizer.from_file(str(source / "tokenizer.json")), model.config)
    add_tensors(writer, model, model.config, "bert", Type.Q8_0)
    finish(writer)
    lines = [json.loads(line) for line in (source / "golden.jsonl").read_text().splitlines()]
    record(folder, model, labels, None, lines)


def main():
    out, wanted = pathlib.Path(sys.argv[1]), sys.argv[2:]
    out.mkdir(parents=True, exist_ok=True)
    for seed, (name, *rest) in enumerate(MODELS, start=100):
        if not wanted or name in wanted:
            decoder(out, seed, name, *rest)
    if not wanted or "xlm-roberta-q8_0" in wanted:
        xlm_roberta(out)
    if not wanted or "blocks.gguf" in wanted:
        blocks(out / "blocks.gguf")


if __name__ == "__main__":
    main()
