#!/usr/bin/env python3
"""Makes tiny random-weight models of every family and records what transformers computes for them.

Usage: make_model_goldens.py OUT   (needs requirements/train.txt; `make reference` calls it)

Each OUT/<name>/ is a Hugging Face folder with a tokenizer trained on the words below, and golden.jsonl: one pair a line with
the token ids and segments that the tokenizer gives, and the logit (z1 - z0 for two labels). Lengths run from 3 tokens to the
model's limit and past it, where transformers truncates longest_first.
"""
import json
import pathlib
import random
import sys

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


def wordpiece(corpus):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(corpus, trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIALS["bert"], show_progress=False))
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[("[CLS]", cls), ("[SEP]", sep)])
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


COMMON = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
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
]


def make_pairs(rng):
    def words(n):
        return " ".join(rng.choice(WORDS) for _ in range(n))

    pairs = [("", ""), ("rain", ""), ("", "rain"), ("What's the weather?", "Is it sunny today?")]
    for n in (1, 3, 8, 15, 30, 60, 120, 200, 300, 480, 900):
        pairs.append((words(rng.randint(1, 12)), words(n)))
    pairs.append((words(400), words(400)))  # the query is cut as well
    return pairs


def positions_for(name):
    return 512 if "roberta" not in name else 514


def record(folder, tokenizer, model, rng):
    limit = positions_for(folder.name) - (2 if "roberta" in folder.name else 0)
    tokenizer.enable_truncation(max_length=limit, strategy="longest_first")
    lines = []
    for query, document in make_pairs(rng):
        encoded = tokenizer.encode(query, document)
        segments = encoded.type_ids if folder.name.startswith(("bert", "electra")) else [0] * len(encoded.ids)
        inputs = dict(input_ids=torch.tensor([encoded.ids]), attention_mask=torch.ones(1, len(encoded.ids), dtype=torch.long))
        if folder.name.startswith(("bert", "electra")):
            inputs["token_type_ids"] = torch.tensor([segments])
        with torch.no_grad():
            z = model(**inputs).logits[0].double()
        logit = float(z[0] if len(z) == 1 else z[1] - z[0])
        lines.append(dict(query=query, document=document, ids=encoded.ids, segments=segments, logit=round(logit, 7)))
    (folder / "golden.jsonl").write_text("".join(json.dumps(l, ensure_ascii=False) + "\n" for l in lines))


def main():
    out = pathlib.Path(sys.argv[1])
    for seed, (name, config_class, model_class, make_tokenizer, settings) in enumerate(FAMILIES):
        rng = random.Random(seed)
        torch.manual_seed(seed)
        tokenizer = make_tokenizer(texts(rng, 400))
        width = settings.get("hidden_size", settings.get("dim"))
        config = config_class(initializer_range=width**-0.5,  # layers neither fade nor blow up, as in trained models
                              vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=positions_for(name),
                              pad_token_id=1 if "roberta" in name else 0, **settings)
        if config.num_labels == 1:
            config.id2label = {0: "LABEL_0"}
        model = model_class(config).eval()
        for parameter in model.parameters():  # biases and norms start at 0 and 1: make them count
            if parameter.dim() == 1:
                parameter.data += 0.1 * torch.randn_like(parameter)
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        if name.endswith("-b"):  # half of them in the smaller types; the recorded model has the rounded weights
            kind = torch.float16 if seed % 4 == 1 else torch.bfloat16
            model = model.to(kind)
            model.save_pretrained(folder)
            model = model.float()
        else:
            model.save_pretrained(folder)
        tokenizer.no_truncation()
        tokenizer.save(str(folder / "tokenizer.json"))
        record(folder, tokenizer, model, rng)
        print(name, sum(f.stat().st_size for f in folder.iterdir()) // 1024, "KB")


if __name__ == "__main__":
    main()
