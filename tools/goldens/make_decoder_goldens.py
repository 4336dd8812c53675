#!/usr/bin/env python3
"""Makes tiny random-weight decoder models of every family and scoring, and records what transformers computes for them.

Usage: make_decoder_goldens.py OUT [NAME ...]   (all, or those named; needs requirements/train.txt; `make reference` calls it)

Each OUT/<name>/ is a Hugging Face folder with a tokenizer of the family's kind, and golden.jsonl: one sequence a line with its
token ids and its logit in fp32. Sequences are random ids, of 1 token up to the model's limit; some begin alike, as the pairs of
a request do.
"""
import json
import pathlib
import random
import sys

import safetensors.torch
import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from make_model_goldens import WORDS

LIMIT = 192  # positions
LENGTHS = (1, 2, 5, 16, 17, 33, 40, 64, 100, LIMIT)
SHARED = ((20, 1), (20, 6), (20, 13), (48, 3), (48, 30))  # tokens that two or three sequences begin with, and their own
QWEN_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA_PATTERN = QWEN_PATTERN.replace(r"\p{N}| ?", r"\p{N}{1,3}| ?")
ANSWERS = ["yes", "no", "Yes", "No", "0", "1"]


def corpus():
    rng = random.Random(7)
    lines = [" ".join(rng.choice(WORDS[:60]) for _ in range(12)) for _ in range(60)]
    return lines + ANSWERS * 200


def byte_bpe(pattern, specials, first, begin=None):
    """Byte-level BPE; `first`: special tokens stand before the vocabulary (Llama's stand behind)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=290 + (len(specials) if first else 0), special_tokens=specials if first else [],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", pair=f"{begin} $A {begin} $B:1", special_tokens=[(begin, tokenizer.token_to_id(begin))])
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def qwen():
    return byte_bpe(QWEN_PATTERN, ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"], False)


def llama():
    return byte_bpe(LLAMA_PATTERN, ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"], False, "<|begin_of_text|>")


def gemma():
    """SentencePiece's BPE: blanks are marks, unknown characters bytes."""
    specials = ["<pad>", "<eos>", "<bos>", "<unk>"]
    alphabet = [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.train_from_iterator([line for line in corpus() if " " not in line], trainers.BpeTrainer(
        vocab_size=330, special_tokens=specials + alphabet, initial_alphabet=list("▁abcdefghijklmnopqrstuvwxyz:.?'"), show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", pair="<bos> $A <bos> $B:1",
                                                             special_tokens=[("<bos>", tokenizer.token_to_id("<bos>"))])
    return tokenizer


def difference(positive, negative):
    """Of two tokens' logits at the last position; negative None: the logit of one."""
    def score(model, ids, tokenizer):
        z = model(input_ids=torch.tensor([ids])).logits[0, -1].double()
        return z[tokenizer.token_to_id(positive)] - (z[tokenizer.token_to_id(negative)] if negative else 0)
    return score


def labels(model, ids, _):
    model.config.pad_token_id = None  # the last token is read, whatever its id
    z = model(input_ids=torch.tensor([ids])).logits[0].double()
    return z[0] if len(z) == 1 else z[1] - z[0]


def everywhere(model, ids, _):
    z = model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long)).logits[0].double()
    return z[0] if len(z) == 1 else z[1] - z[0]


def bidirectional_mean(model, ids, _):
    """Llama without its causal mask, a head over the mean, and a temperature: NVIDIA's llama_bidirec."""
    states = model.model(input_ids=torch.tensor([ids]), attention_mask=torch.zeros(1, 1, len(ids), len(ids)))[0]
    return model.score(states.mean(dim=1)).double()[0, 0] / 0.5


SCALE_EMB, SCALE_DEPTH, START_LAYER = 3.0, 1.4, 2


def behind_each_layer(model, ids, _):
    """BAAI's layerwise MiniCPM: the output of the last layer, and of those before it."""
    states = model.model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
    normed = [model.model.norm(state) for state in states[START_LAYER:-1]] + [states[-1]]
    return [float(head @ state[0, -1]) for head, state in zip(model.heads, normed)]


def rope(theta, **scaling):
    return dict(rope_type="default", rope_theta=theta) | scaling


LLAMA3 = rope(10000.0, rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
SIZES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
ONE = dict(num_labels=1, id2label={0: "LABEL_0"})
Q3, Q2, L = transformers.Qwen3Config, transformers.Qwen2Config, transformers.LlamaConfig
M, EXPERTS = transformers.Qwen3MoeConfig, dict(moe_intermediate_size=24, num_experts=6, num_experts_per_tok=2)
G, G2, E = transformers.GemmaConfig, transformers.Gemma2Config, transformers.EuroBertConfig

# name, config, model, tokenizer, scoring, settings; names in -b have bf16 weights.
MODELS = [
    ("qwen3-a", Q3, transformers.Qwen3ForCausalLM, qwen, difference("yes", "no"),
     SIZES | dict(head_dim=16, rope_parameters=rope(1e6), tie_word_embeddings=True)),
    ("qwen3-b", Q3, transformers.Qwen3ForSequenceClassification, qwen, labels,
     dict(hidden_size=48, intermediate_size=64, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2, head_dim=32,
          rope_parameters=rope(1e6), tie_word_embeddings=True, **ONE)),
    ("qwen2-a", Q2, transformers.Qwen2ForCausalLM, qwen, difference("1", "0"),
     SIZES | dict(rope_parameters=rope(1e6), tie_word_embeddings=False)),
    ("qwen2-b", Q2, transformers.Qwen2ForCausalLM, qwen, difference("1", "0"),
     dict(hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1,
          rope_parameters=rope(1e6), tie_word_embeddings=True)),
    ("llama-a", L, transformers.LlamaForSequenceClassification, llama, labels, SIZES | dict(head_dim=16, rope_parameters=LLAMA3, **ONE)),
    ("llama-b", L, transformers.LlamaForSequenceClassification, llama, labels,
     SIZES | dict(num_key_value_heads=4, mlp_bias=True, attention_bias=True, num_labels=2,
                  rope_parameters=rope(10000.0, rope_type="linear", factor=4.0))),
    ("gemma-a", G, transformers.GemmaForCausalLM, gemma, difference("Yes", None),
     SIZES | dict(num_key_value_heads=1, head_dim=16, rope_parameters=rope(1e4), tie_word_embeddings=True)),
    ("gemma2-a", G2, transformers.Gemma2ForCausalLM, gemma, difference("Yes", None),
     SIZES | dict(num_hidden_layers=4, head_dim=16, query_pre_attn_scalar=24, sliding_window=24, rope_parameters=rope(1e4),
                  attn_logit_softcapping=3.0, final_logit_softcapping=6.0, tie_word_embeddings=True, attn_implementation="eager")),
    ("eurobert-a", E, transformers.EuroBertForSequenceClassification, llama, everywhere,
     SIZES | dict(rope_parameters=rope(250000.0), classifier_pooling="late", **ONE)),
    ("eurobert-b", E, transformers.EuroBertForSequenceClassification, llama, everywhere,
     SIZES | dict(rope_parameters=rope(250000.0), classifier_pooling="mean", num_labels=2)),
    ("nemotron-a", L, transformers.LlamaForSequenceClassification, llama, bidirectional_mean,
     SIZES | dict(head_dim=16, rope_parameters=LLAMA3, **ONE)),
    ("qwen3moe-a", M, transformers.Qwen3MoeForCausalLM, qwen, difference("yes", "no"),
     SIZES | EXPERTS | dict(head_dim=16, rope_parameters=rope(1e6), tie_word_embeddings=True, norm_topk_prob=True)),
    ("qwen3moe-b", M, transformers.Qwen3MoeForSequenceClassification, qwen, labels,
     SIZES | EXPERTS | dict(num_experts_per_tok=3, head_dim=16, rope_parameters=rope(1e6), tie_word_embeddings=True, **ONE)),
    ("minicpm-a", L, transformers.LlamaForSequenceClassification, llama, behind_each_layer,
     SIZES | dict(num_hidden_layers=4, rope_parameters=rope(1e4), **ONE)),
]


def sequences(rng, vocabulary):
    def some(n):
        return [rng.randrange(vocabulary) for _ in range(n)]

    lines = [some(n) for n in LENGTHS]
    for prefix, own in SHARED:
        begin = some(prefix)
        lines += [begin + some(own), begin + some(own + 2)]
    lines.append(lines[-1][:-1] + some(1))  # all but the last token
    lines.append(lines[-1][:30])            # what another begins with
    return lines


def edit_config(folder, edit):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    edit(config)
    path.write_text(json.dumps(config, indent=2) + "\n")


def as_nemotron(config):
    config |= {"architectures": ["LlamaBidirectionalForSequenceClassification"], "model_type": "llama_bidirec", "pooling": "avg",
               "temperature": 0.5}


def as_before_transformers_5(config):
    parameters = config.pop("rope_parameters")
    config["rope_theta"] = parameters.pop("rope_theta")
    kind = parameters.pop("rope_type")
    config["rope_scaling"] = None if kind == "default" else parameters | {"type": kind}


def as_minicpm(config):
    config |= {"architectures": ["LayerWiseMiniCPMForCausalLM"], "model_type": "minicpm", "scale_emb": SCALE_EMB,
               "scale_depth": SCALE_DEPTH, "start_layer": START_LAYER, "head_multi": True, "head_type": "simple", "dim_model_base": 256}


def add_outputs(folder, model, generator):
    """Outputs after layers, and the scales that MiniCPM has and Llama has not, into the model that is recorded."""
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    del tensors["score.weight"]
    model.heads = [torch.randn(model.config.hidden_size, generator=generator) * 0.3
                   for _ in range(START_LAYER, model.config.num_hidden_layers + 1)]
    tensors |= {f"lm_head.{k}.linear_head.weight": head[None] for k, head in enumerate(model.heads)}
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
    model.model.embed_tokens.weight.data *= SCALE_EMB
    for layer in model.model.layers:
        for linear in (layer.self_attn.o_proj, layer.mlp.down_proj):
            linear.weight.data *= SCALE_DEPTH / len(model.model.layers) ** 0.5


AFTER = {"minicpm-a": [as_minicpm], "nemotron-a": [as_nemotron], "qwen2-b": [as_before_transformers_5], "llama-b": [as_before_transformers_5]}


def randomize(model, name, generator):
    for key, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() == 1:
            is_norm = "norm" in key
            parameter.data = 0.1 * noise + (1 if is_norm and not name.startswith("gemma") else 0)
        else:
            noise *= 6 if key.endswith("mlp.gate.weight") else 1  # so that rounding seldom turns a choice of experts around
            parameter.data = noise * (0.3 if "embed" in key or "lm_head" in key else parameter.shape[-1] ** -0.5)


def main():
    out, wanted = pathlib.Path(sys.argv[1]), sys.argv[2:]
    for seed, (name, config_class, model_class, make_tokenizer, score, settings) in enumerate(MODELS):
        if wanted and name not in wanted:
            continue
        rng = random.Random(seed)
        tokenizer = make_tokenizer()
        vocabulary = (tokenizer.get_vocab_size() + 7) // 8 * 8  # padded, as the models' are
        config = config_class(vocab_size=vocabulary, max_position_embeddings=LIMIT, pad_token_id=0, bos_token_id=0, eos_token_id=1,
                              **settings)
        model = model_class(config).eval()
        randomize(model, name, torch.Generator().manual_seed(seed))
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        if name.endswith("-b"):
            model = model.to(torch.bfloat16)
        model.save_pretrained(folder)
        if name.endswith("-b"):  # the recorded model has the rounded weights, in fp32
            model = model_class.from_pretrained(folder, dtype=torch.float32).eval()
        (folder / "generation_config.json").unlink(missing_ok=True)
        for edit in AFTER.get(name, []):
            edit_config(folder, edit)
        tokenizer.save(str(folder / "tokenizer.json"))
        if name.startswith("minicpm"):
            add_outputs(folder, model, torch.Generator().manual_seed(seed))
        with torch.no_grad():
            lines = []
            for ids in sequences(rng, vocabulary):
                z = score(model, ids, tokenizer)
                more = dict(outputs=[round(value, 7) for value in z]) if isinstance(z, list) else {}
                lines.append(dict(ids=ids, logit=round(float(z[-1] if more else z), 7)) | more)
        (folder / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        logits = [line["logit"] for line in lines]
        print(name, sum(f.stat().st_size for f in folder.iterdir()) // 1024, "KB, logits", min(logits), "to", max(logits))


if __name__ == "__main__":
    main()
