#!/usr/bin/env python3
"""Makes tiny random-weight models of every family and records what transformers computes for them.

Usage: make_model_goldens.py OUT [NAME ...]   (all, or those named; needs requirements/train.txt; `make reference` calls it)

Each OUT/<name>/ is a Hugging Face folder with a tokenizer trained on the words below, and golden.jsonl: one pair a line with
the token ids and segments that the tokenizer gives, and the logit (z1 - z0 for two labels). Lengths run from 3 tokens to the
model's limit and past it, where transformers truncates longest_first.
"""
import json
import pathlib
import random
import sys

import jina_bert
import modules
import nomic_moe
import safetensors.torch
import torch
import tokenizers
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

WORDS = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one "
    "you were all her she there would their we him been has when who will no more if out so up said what its about than "
    "into them can only other time new some could these two may first then do any like my now over such our man me even "
    "most made after also did many off before must well back through years much where your way down should because long "
    "each just state those people too mr how little good world make very year still see own work men day get here old "
    "rerank document query score model token layer attention weather sunny rain Berlin München café naïve Straße 2024 "
    "北京 上海 天气 今天 文档 排序 模型 日本語 テスト привет мир данные поиск مرحبا العالم"
).split()
SPECIALS = {"bert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], "roberta": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]}


def texts(rng, count):
    return [" ".join(rng.choice(WORDS) for _ in range(rng.randint(3, 20))) for _ in range(count)]


def wordpiece(corpus, specials=tuple(SPECIALS["bert"])):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(corpus, trainers.WordPieceTrainer(vocab_size=300, special_tokens=list(specials), show_progress=False))
    if "[CLS]" not in specials:
        return tokenizer
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[("[CLS]", cls), ("[SEP]", sep)])
    return tokenizer


def mpnet_words(corpus):
    """MPNet's: words between RoBERTa's marks; number 1 is padding, which its positions pass over."""
    tokenizer = wordpiece(corpus, ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def byte_bpe(corpus):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=500, special_tokens=SPECIALS["roberta"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def unigram(corpus):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(corpus, trainers.UnigramTrainer(
        vocab_size=400, special_tokens=SPECIALS["roberta"], unk_token="<unk>", show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return tokenizer


def modern_bpe(corpus):
    """ModernBERT's: byte-level BPE between BERT's marks."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=450, special_tokens=SPECIALS["bert"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", cls), ("[SEP]", sep)])
    return tokenizer


def pieces(corpus):
    """DeBERTa-v3's: unigram pieces between BERT's marks."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKC(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(corpus, trainers.UnigramTrainer(
        vocab_size=300, special_tokens=SPECIALS["bert"], unk_token="[UNK]", show_progress=False))
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[("[CLS]", cls), ("[SEP]", sep)])
    return tokenizer


COMMON = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
MODERN = dict(attention_dropout=0.0, mlp_dropout=0.0, embedding_dropout=0.0, classifier_dropout=0.0, bos_token_id=2, eos_token_id=3,
              cls_token_id=2, sep_token_id=3)


def gte_rope(theta, factor, head_size):
    """new-impl's fixed NTK scaling, as transformers can say it."""
    return dict(rope_parameters=dict(rope_type="linear", rope_theta=theta * factor, factor=factor ** (2 / head_size)))


FAMILIES = [
    ("bert-a", transformers.BertConfig, transformers.BertForSequenceClassification, wordpiece,
     dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, num_labels=1, **COMMON)),
    ("bert-b", transformers.BertConfig, transformers.BertForSequenceClassification, wordpiece,
     dict(hidden_size=48, num_hidden_layers=4, num_attention_heads=3, intermediate_size=80, num_labels=2, **COMMON)),
    ("roberta-a", transformers.RobertaConfig, transformers.RobertaForSequenceClassification, byte_bpe,
     dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=96, num_labels=1, type_vocab_size=1, **COMMON)),
    ("roberta-b", transformers.RobertaConfig, transformers.RobertaForSequenceClassification, byte_bpe,
     dict(hidden_size=40, num_hidden_layers=2, num_attention_heads=5, intermediate_size=64, num_labels=2, type_vocab_size=1, **COMMON)),
    ("xlm-roberta-a", transformers.XLMRobertaConfig, transformers.XLMRobertaForSequenceClassification, unigram,
     dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128, num_labels=1, type_vocab_size=1, **COMMON)),
    ("xlm-roberta-b", transformers.XLMRobertaConfig, transformers.XLMRobertaForSequenceClassification, unigram,
     dict(hidden_size=64, num_hidden_layers=3, num_attention_heads=1, intermediate_size=96, num_labels=1, type_vocab_size=1, **COMMON)),
    ("distilbert-a", transformers.DistilBertConfig, transformers.DistilBertForSequenceClassification, wordpiece,
     dict(dim=32, n_layers=2, n_heads=4, hidden_dim=64, num_labels=1, dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0)),
    ("distilbert-b", transformers.DistilBertConfig, transformers.DistilBertForSequenceClassification, wordpiece,
     dict(dim=56, n_layers=3, n_heads=7, hidden_dim=72, num_labels=2, dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0)),
    ("electra-a", transformers.ElectraConfig, transformers.ElectraForSequenceClassification, wordpiece,
     dict(hidden_size=48, embedding_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, num_labels=1, **COMMON)),
    ("electra-b", transformers.ElectraConfig, transformers.ElectraForSequenceClassification, wordpiece,
     dict(hidden_size=32, embedding_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64, num_labels=2, **COMMON)),
    # Three and more layers, so that there are two global ones; a window that most lengths pass.
    ("modernbert-a", transformers.ModernBertConfig, transformers.ModernBertForSequenceClassification, modern_bpe,
     dict(hidden_size=32, num_hidden_layers=5, num_attention_heads=4, intermediate_size=48, local_attention=8, num_labels=1,
          classifier_pooling="cls", **MODERN)),
    ("modernbert-b", transformers.ModernBertConfig, transformers.ModernBertForSequenceClassification, modern_bpe,
     dict(hidden_size=64, num_hidden_layers=4, num_attention_heads=2, intermediate_size=80, local_attention=128, num_labels=1,
          classifier_pooling="mean", **MODERN)),
    ("modernbert-c", transformers.ModernBertConfig, transformers.ModernBertForSequenceClassification, modern_bpe,
     dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64, local_attention=6, num_labels=2,
          classifier_pooling="mean", attention_bias=True, mlp_bias=True, norm_bias=True, classifier_bias=True, **MODERN)),
    ("gte-a", transformers.GteConfig, transformers.GteForSequenceClassification, unigram,
     dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64, num_labels=1, type_vocab_size=1,
          **gte_rope(20000, 8.0, 16), **COMMON)),
    ("gte-b", transformers.GteConfig, transformers.GteForSequenceClassification, unigram,
     dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=1, intermediate_size=96, num_labels=1, type_vocab_size=1,
          **gte_rope(10000, 1.0, 64), **COMMON)),
    ("jina-v2-a", transformers.XLMRobertaConfig, transformers.XLMRobertaForSequenceClassification, unigram,
     dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=2, intermediate_size=96, num_labels=1, type_vocab_size=1, **COMMON)),
    ("jina-v2-b", transformers.XLMRobertaConfig, transformers.XLMRobertaForSequenceClassification, unigram,
     dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, num_labels=1, type_vocab_size=1, **COMMON)),
    ("jina-bert-a", transformers.BertConfig, jina_bert.JinaBert, wordpiece,
     dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=6, intermediate_size=64, num_labels=1, **COMMON)),
    ("jina-bert-b", transformers.BertConfig, jina_bert.JinaBert, wordpiece,
     dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=96, num_labels=1, **COMMON)),
    ("bert-c", transformers.BertConfig, transformers.BertForSequenceClassification, wordpiece,
     dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=1, **COMMON)),
    # v3's kind, with buckets that most lengths pass; projections of its own; v2-xlarge's convolution and tables.
    ("deberta-a", transformers.DebertaV2Config, transformers.DebertaV2ForSequenceClassification, pieces,
     dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48, num_labels=1, position_buckets=32,
          relative_attention=True, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type="p2c|c2p", position_biased_input=False,
          type_vocab_size=0, max_relative_positions=-1, layer_norm_eps=1e-7, **COMMON)),
    ("deberta-b", transformers.DebertaV2Config, transformers.DebertaV2ForSequenceClassification, pieces,
     dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, num_labels=1, position_buckets=-1,
          relative_attention=True, share_att_key=False, pos_att_type=["c2p", "p2c"], position_biased_input=False, type_vocab_size=0,
          max_relative_positions=40, layer_norm_eps=1e-7, **COMMON)),
    ("deberta-c", transformers.DebertaV2Config, transformers.DebertaV2ForSequenceClassification, pieces,
     dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, num_labels=2, position_buckets=16,
          relative_attention=True, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type=["c2p"], position_biased_input=True,
          type_vocab_size=2, max_relative_positions=64, conv_kernel_size=3, conv_act="gelu", pooler_hidden_act="tanh", **COMMON)),
    ("mpnet-a", transformers.MPNetConfig, transformers.MPNetForSequenceClassification, mpnet_words,
     dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48, num_labels=1, **COMMON)),
    ("mpnet-b", transformers.MPNetConfig, transformers.MPNetForSequenceClassification, mpnet_words,
     dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=64, num_labels=1, **COMMON)),
    ("mpnet-c", transformers.MPNetConfig, transformers.MPNetForSequenceClassification, mpnet_words,
     dict(hidden_size=40, num_hidden_layers=2, num_attention_heads=5, intermediate_size=48, num_labels=2, **COMMON)),
    ("albert-a", transformers.AlbertConfig, transformers.AlbertForSequenceClassification, wordpiece,
     dict(hidden_size=48, embedding_size=16, num_hidden_layers=4, num_attention_heads=4, intermediate_size=64, num_labels=1,
          classifier_dropout_prob=0.0, **COMMON)),
    ("albert-b", transformers.AlbertConfig, transformers.AlbertForSequenceClassification, wordpiece,
     dict(hidden_size=32, embedding_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48, num_labels=1,
          hidden_act="gelu", classifier_dropout_prob=0.0, **COMMON)),
    ("albert-c", transformers.AlbertConfig, transformers.AlbertForSequenceClassification, wordpiece,
     dict(hidden_size=32, embedding_size=24, num_hidden_layers=5, num_attention_heads=2, intermediate_size=48, num_labels=2,
          hidden_act="relu", classifier_dropout_prob=0.0, **COMMON)),
    # Folders of sentence-transformers' modules.
    ("ettin-a", transformers.ModernBertConfig, modules.Chain, modern_bpe,
     dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48, local_attention=8, num_labels=1, **MODERN)),
    ("ettin-b", transformers.BertConfig, modules.MeanChain, wordpiece,
     dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, num_labels=1, **COMMON)),
    ("bigbird-a", transformers.BigBirdConfig, transformers.BigBirdForSequenceClassification, wordpiece,
     dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, num_labels=1, attention_type="original_full",
          **COMMON)),
    # Up to 704 tokens transformers computes full attention for it, too.
    ("bigbird-b", transformers.BigBirdConfig, transformers.BigBirdForSequenceClassification, wordpiece,
     dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=64, num_labels=2, use_bias=False,
          rescale_embeddings=True, hidden_act="gelu", **COMMON)),
    # Windows that most lengths pass, and one that few do.
    ("longformer-a", transformers.LongformerConfig, transformers.LongformerForSequenceClassification, byte_bpe,
     dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48, num_labels=1, type_vocab_size=1,
          attention_window=[8, 4, 16], **COMMON)),
    ("longformer-b", transformers.LongformerConfig, transformers.LongformerForSequenceClassification, byte_bpe,
     dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, num_labels=2, type_vocab_size=1,
          attention_window=64, **COMMON)),
    ("nomic-a", transformers.NomicBertConfig, transformers.NomicBertForSequenceClassification, wordpiece,
     dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48, num_labels=1, **COMMON)),
    ("nomic-b", transformers.NomicBertConfig, transformers.NomicBertForSequenceClassification, wordpiece,
     dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=1, intermediate_size=96, num_labels=2, hidden_act="gelu", **COMMON)),
    ("nomic-moe-a", transformers.NomicBertConfig, nomic_moe.NomicMoe, wordpiece,
     dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24, num_labels=1, **COMMON)),
    ("nomic-moe-c", transformers.NomicBertConfig, nomic_moe.NomicMoe, wordpiece,
     dict(hidden_size=48, num_hidden_layers=4, num_attention_heads=3, intermediate_size=32, num_labels=1, **COMMON)),
    ("nomic-moe-d", transformers.NomicBertConfig, nomic_moe.NomicMoe, wordpiece,
     dict(hidden_size=32, num_hidden_layers=5, num_attention_heads=4, intermediate_size=16, num_labels=1, moe=(5, 3, 3, True), **COMMON)),
    # mmarco-mMiniLMv2-L12-H384-v1 (12 layers of 384, 12 heads of 32, 1536 inner), smaller: MiniLM's shape, XLM-RoBERTa's embeddings and words.
    ("mminilm-b", transformers.XLMRobertaConfig, transformers.XLMRobertaForSequenceClassification, unigram,
     dict(hidden_size=64, num_hidden_layers=3, num_attention_heads=2, intermediate_size=256, num_labels=1, type_vocab_size=1, hidden_act="gelu",
          layer_norm_eps=1e-5, bos_token_id=0, eos_token_id=2, **COMMON)),
]


# What the hub's folders have and save_pretrained() does not write.

def as_older_modernbert(folder):
    """config.json with the keys from before transformers 5."""
    config = json.loads((folder / "config.json").read_text())
    rope = config.pop("rope_parameters")
    del config["layer_types"]
    config |= {"global_attn_every_n_layers": 3, "global_rope_theta": rope["full_attention"]["rope_theta"],
               "local_rope_theta": rope["sliding_attention"]["rope_theta"]}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def as_new_impl(folder):
    """GTE as Alibaba-NLP/new-impl has it: its names, and an NTK scaling instead of the equal linear one."""
    config = json.loads((folder / "config.json").read_text())
    del config["rope_parameters"]
    config |= {"architectures": ["NewForSequenceClassification"], "model_type": "new", "position_embedding_type": "rope",
               "rope_theta": 20000, "rope_scaling": {"type": "ntk", "factor": 8.0}, "layer_norm_type": "layer_norm", "pack_qkv": True,
               "logn_attention_scale": False, "logn_attention_clip1": False}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    rename_tensors(folder, lambda name, tensor: {name.replace("gte.", "new.", 1): tensor})


def as_flash_names(folder):
    """XLM-RoBERTa as jina-reranker-v2 names and packs it."""
    tensors = safetensors.torch.load_file(folder / "model.safetensors")

    def renamed(name, tensor):
        for old, new in (("embeddings.LayerNorm", "emb_ln"), ("encoder.layer.", "encoder.layers."),
                         ("attention.output.dense", "mixer.out_proj"), ("attention.output.LayerNorm", "norm1"),
                         ("intermediate.dense", "mlp.fc1"), ("output.dense", "mlp.fc2"), ("output.LayerNorm", "norm2")):
            name_there, name = name, name.replace(old, new)
            if name != name_there and old != "encoder.layer.":
                break
        if ".attention.self." not in name:
            return {name: tensor}
        if ".query." not in name:
            return {}
        parts = [tensors[name.replace("layers.", "layer.").replace(".query.", f".{part}.")] for part in ("query", "key", "value")]
        return {name.replace("attention.self.query", "mixer.Wqkv"): torch.cat(parts)}

    rename_tensors(folder, renamed)


def rename_tensors(folder, renamed):
    path = folder / "model.safetensors"
    tensors = {}
    for name, tensor in safetensors.torch.load_file(path).items():
        tensors |= renamed(name, tensor)
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})


def with_older_files(folder, tokenizer):
    """pytorch_model.bin in two shards, one of each form, and vocab.txt instead of tokenizer.json."""
    tensors = list(safetensors.torch.load_file(folder / "model.safetensors").items())
    half, places = len(tensors) // 2, {}
    for number, part in enumerate((tensors[:half], tensors[half:]), 1):
        name = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save(dict(part), folder / name, _use_new_zipfile_serialization=number == 1)
        places |= {tensor: name for tensor, _ in part}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(dict(metadata={}, weight_map=places)) + "\n")
    words = tokenizer.get_vocab()
    (folder / "vocab.txt").write_text("\n".join(sorted(words, key=words.get)) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(dict(tokenizer_class="BertTokenizer")) + "\n")
    for name in ("model.safetensors", "tokenizer.json"):
        (folder / name).unlink()


# What is done to a folder when its logits are recorded.
AT_LAST = {"bert-c": with_older_files}

AFTER = {"modernbert-b": as_older_modernbert, "gte-a": as_new_impl, "jina-v2-a": as_flash_names, "jina-v2-b": as_flash_names,
         "jina-bert-a": jina_bert.as_jina, "jina-bert-b": jina_bert.as_jina}


def make_pairs(rng, longest=900):
    def words(n):
        return " ".join(rng.choice(WORDS) for _ in range(n))

    pairs = [("", ""), ("rain", ""), ("", "rain"), ("What's the weather?", "Is it sunny today?")]
    for n in (1, 3, 8, 15, 30, 60, 120, 200, 300, 480, 900):
        if n <= longest:
            pairs.append((words(rng.randint(1, 12)), words(n)))
    most = min(longest, 400)
    pairs.append((words(most), words(most)))  # the query is cut as well
    return pairs


def is_roberta(name):
    return name.startswith(("roberta", "xlm-roberta", "jina-v2", "mpnet", "longformer", "mminilm"))


def has_segments(name):
    return name.startswith(("bert", "electra", "jina-bert", "albert", "bigbird", "nomic")) or name in ("deberta-c", "ettin-b")


SMALL = ("deberta", "mpnet", "albert", "ettin", "bigbird", "longformer", "nomic", "mminilm")  # later ones, with shorter pairs: a checkout should not grow


def positions_for(name):
    if name.startswith(SMALL):
        return 162 if is_roberta(name) else 160
    return 514 if is_roberta(name) else 512


def record(folder, tokenizer, model, rng):
    limit = positions_for(folder.name) - (2 if is_roberta(folder.name) else 0)
    tokenizer.enable_truncation(max_length=limit, strategy="longest_first")
    lines = []
    for query, document in make_pairs(rng, 200 if folder.name.startswith(SMALL) else 900):
        encoded = tokenizer.encode(query, document)
        segments = encoded.type_ids if has_segments(folder.name) else [0] * len(encoded.ids)
        inputs = dict(input_ids=torch.tensor([encoded.ids]), attention_mask=torch.ones(1, len(encoded.ids), dtype=torch.long))
        if has_segments(folder.name):
            inputs["token_type_ids"] = torch.tensor([segments])
        with torch.no_grad():
            z = model(**inputs).logits[0].double()
        logit = float(z[0] if len(z) == 1 else z[1] - z[0])
        lines.append(dict(query=query, document=document, ids=encoded.ids, segments=segments, logit=round(logit, 7)))
    (folder / "golden.jsonl").write_text("".join(json.dumps(l, ensure_ascii=False) + "\n" for l in lines))


def main():
    out, wanted = pathlib.Path(sys.argv[1]), sys.argv[2:]
    for seed, (name, config_class, model_class, make_tokenizer, settings) in enumerate(FAMILIES):
        if wanted and name not in wanted:
            continue
        rng = random.Random(seed)
        torch.manual_seed(seed)
        tokenizer = make_tokenizer(texts(rng, 400))
        width = settings.get("hidden_size", settings.get("dim"))
        config = config_class(initializer_range=width**-0.5,  # layers neither fade nor blow up, as in trained models
                              vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=positions_for(name),
                              pad_token_id=1 if is_roberta(name) or name.startswith("gte") else 0, **settings)
        if config.num_labels == 1:
            config.id2label = {0: "LABEL_0"}
        model = model_class(config).eval()
        for parameter in model.parameters():  # biases and norms start at 0 and 1: make them count
            if parameter.dim() == 1:
                parameter.data += 0.1 * torch.randn_like(parameter)
            elif name.startswith(("modernbert", "gte", "deberta", "mpnet", "albert", "ettin")):  # whose own initialisation is too small to tell errors
                parameter.data = torch.randn_like(parameter) * parameter.shape[-1] ** -0.5
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        if name.endswith("-b") and not name.startswith("ettin"):  # half of them in the smaller types; the recorded model has the rounded weights
            kind = torch.float16 if seed % 4 == 1 else torch.bfloat16
            model = model.to(kind)
            model.save_pretrained(folder)
            model = model_class.from_pretrained(folder, dtype=torch.float32).eval()  # buffers are not rounded
        else:
            model.save_pretrained(folder)
        if name in AFTER:
            AFTER[name](folder)
        tokenizer.no_truncation()
        tokenizer.save(str(folder / "tokenizer.json"))
        record(folder, tokenizer, model, rng)
        if name in AT_LAST:
            AT_LAST[name](folder, tokenizer)
        print(name, sum(f.stat().st_size for f in folder.iterdir()) // 1024, "KB")


if __name__ == "__main__":
    main()
