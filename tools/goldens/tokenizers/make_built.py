#!/usr/bin/env python3
"""Records folders that have vocabularies but no tokenizer.json, and the ids that transformers makes of texts with them.

Usage: make_built.py OUT   (needs requirements/train.txt; `make reference` calls it)

Each OUT/<name>/ has the vocabulary, tokenizer_config.json and config.json; golden.jsonl has a text and its ids a line.
"""
import json
import pathlib
import random
import shutil
import sys
import tempfile

import sentencepiece
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import make_model_goldens  # noqa: E402

TEXTS = ["", " ", "the weather", "  The  Weather\tin\nBerlin  ", "München café naïve Straße", "北京 上海天气今天", "ＡＢＣ ﬁne ½",
         "[CLS] a [SEP] b [MASK] </s> <s> <mask> <pad> [UNK]", "a<ctl>b foo<bar> c", "e\u0301 É ÉCOLE İ ß", "``quoted'' don't, 1,000.50!",
         "\u3000wide\u00a0space\u2009", "x" * 120, "привет мир مرحبا العالم 日本語テスト", "<e1>marked</e1> <new> NEW",
         "token ##ing ▁the ▁ \u200b\ufeff\u00ad", "\x00\x1f\ufffd"]
# A charsmap of a few characters: sentencepiece's own would take 240 KB.
CHARSMAP = "FF21\t41\nFF22\t42\nFF43\t63\n3000\t20\nBD\t31 2044 32\n"


def added(text, lstrip=False, normalized=False, special=True):
    return dict(__type="AddedToken", content=text, lstrip=lstrip, rstrip=False, normalized=normalized, single_word=False, special=special)


PIECES = {
    "xlmr": {},
    "deberta": dict(pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]",
                    user_defined_symbols=["foo<bar>"], control_symbols=["<ctl>"]),
    "albert": dict(pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, pad_piece="<pad>", unk_piece="<unk>", control_symbols=["[CLS]", "[SEP]", "[MASK]"]),
}
# name: (file, which vocabulary, model_type, tokenizer_config.json, other files)
FOLDERS = {
    "bert": ("vocab.txt", None, "electra", {}, {}),
    "bert-cased": ("vocab.txt", None, "bert", dict(tokenizer_class="BertTokenizerFast", do_lower_case=False, tokenize_chinese_chars=False,
                   strip_accents=True, mask_token=added("[MASK]", lstrip=True), additional_special_tokens=["<e1>", "</e1>"]), {}),
    "bert-older": ("vocab.txt", None, "bert", dict(tokenizer_class="BertTokenizer"), {
        "special_tokens_map.json": dict(mask_token=dict(content="[MASK]", lstrip=True, rstrip=False, normalized=False, single_word=False)),
        "added_tokens.json": {"<new>": 300}}),
    "mpnet": ("vocab.txt", None, "mpnet", {}, {}),
    "xlmr": ("sentencepiece.bpe.model", "xlmr", "xlm-roberta", dict(tokenizer_class="XLMRobertaTokenizer"), {}),
    "deberta": ("spm.model", "deberta", "deberta-v2", dict(tokenizer_class="DebertaV2Tokenizer"), {}),
    "deberta-lower": ("spm.model", "deberta", "deberta-v2", dict(do_lower_case=True, split_by_punct=True, add_prefix_space=False,
                      added_tokens_decoder={"220": added("[MASK]", lstrip=True), "221": added("<new>", normalized=True, special=False)}), {}),
    "albert": ("spiece.model", "albert", "albert", dict(tokenizer_class="AlbertTokenizer"), {}),
}


def main():
    out = pathlib.Path(sys.argv[1])
    rng = random.Random(1)
    corpus = make_model_goldens.texts(rng, 600)
    texts = TEXTS + make_model_goldens.texts(rng, 20)
    words = make_model_goldens.wordpiece(corpus).get_vocab()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "corpus.txt").write_text("\n".join(corpus))
        (scratch / "charsmap.tsv").write_text(CHARSMAP)
        for kind, settings in PIECES.items():
            sentencepiece.SentencePieceTrainer.train(
                input=str(scratch / "corpus.txt"), model_prefix=str(scratch / kind), vocab_size=220, model_type="unigram",
                normalization_rule_tsv=str(scratch / "charsmap.tsv"), minloglevel=2, num_threads=1, **settings)
        for name, (file, kind, model_type, config, others) in FOLDERS.items():
            folder = out / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            if kind is None:
                (folder / file).write_text("\n".join(sorted(words, key=words.get)) + "\n")
            else:
                shutil.copy(scratch / f"{kind}.model", folder / file)
            for other, content in {"tokenizer_config.json": config, "config.json": dict(model_type=model_type), **others}.items():
                (folder / other).write_text(json.dumps(content) + "\n")
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            lines = [dict(text=text, ids=tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
            pair = tokenizer("rain", "sunny weather")["input_ids"]
            (folder / "golden.jsonl").write_text("".join(
                json.dumps(line, ensure_ascii=False) + "\n" for line in [dict(pair=pair), *lines]))


if __name__ == "__main__":
    main()
