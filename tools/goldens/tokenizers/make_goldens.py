#!/usr/bin/env python3
"""Writes tests/data/tokenizers/*.json: small tokenizers and what the Python package `tokenizers` makes of texts with them.

    python tools/goldens/tokenizers/make_goldens.py tests/data/tokenizers

components.json   normalizers and pre-tokenizers alone, before a model that spells every piece out in bytes
<family>.json     small trained tokenizers of the shapes that real rerankers have, with texts, pairs and cut pairs
places.json       where the tokens of the families' cases stand (in bytes), and the cases' ids turned into texts again
"""
import json
import pathlib
import random
import struct
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tests" / "fuzz"))
from tokenizer_diff import SAMPLES, TRICKY, Generator  # noqa: E402

TEXTS = ["", " ", "Hello World!", "  two  blanks\n\ttab ", "I'll don't we've 'S", "Café naïve Å ﬁ ½ ™", "x" * 120, "a b c",
         "你好，世界 abc 日本語", "مرحبا بالعالم", "नमस्ते दुनिया", "한국어 각", "İstanbul ẞ ΟΔΟΣ", "👩‍👩‍👧 🇩🇪 ❤️",
         "e\u0301\u0327 a\u0345\u0301", "\x00\x07 \u200b\ufeff\u00ad", "1234 ٣٤ ½ Ⅷ x²", "a-b_c.d,e;(f)", "\u0600e\u0301",
         "Ａ\u0301 ｶﾞ \r\n \u0915\u094d\u0937\u0301", "▁under▁score", "<s> [SEP] </s> [CLS][MASK] <mask>  x", "a=b\u2028c\u3000d"]


def split_variants():
    for behavior in ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]:
        yield f"Split - {behavior}", pre_tokenizers.Split("-", behavior)
        yield f"Split regex {behavior}", pre_tokenizers.Split(Regex(r"\s+|[,.]"), behavior)
        yield f"Split regex inverted {behavior}", pre_tokenizers.Split(Regex(r"\p{L}+"), behavior, invert=True)
        yield f"Punctuation {behavior}", pre_tokenizers.Punctuation(behavior)


QWEN_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CL100K_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
                  r"|\s+(?!\S)|\s+")


def charsmap(rules):
    """A small precompiled_charsmap: a darts-clone double array whose nodes each have 256 units of their own."""
    trie = {}
    for key in rules:
        node = trie
        for byte in key.encode():
            node = node.setdefault(byte, {})
        node["value"] = key
    text, offsets = b"", {}
    for key, value in rules.items():
        offsets[key] = len(text)
        text += value.encode() + b"\0"
    units = [0] * 256
    queue = [(0, trie)]
    while queue:
        at, node = queue.pop(0)
        base = len(units)
        units += [0] * 256
        unit_offset = at ^ base
        assert unit_offset < 1 << 21
        units[at] |= unit_offset << 10
        for byte, child in node.items():
            if byte == "value":
                units[at] |= 1 << 8
                units[base] = 1 << 31 | offsets[child]
            else:
                units[base ^ byte] = byte
                queue.append((base ^ byte, child))
    return struct.pack("<I", 4 * len(units)) + struct.pack(f"<{len(units)}I", *units) + text


CHARSMAP = charsmap({"\t": " ", "\n": " ", "\r": " ", "\r\n": " ", "\u3000": " ", "\u00a0": " ", "ﬁ": "fi", "½": "1⁄2", "™": "TM",
                     "e\u0301": "é", "Ａ": "A", "ｶ": "カ", "ｶﾞ": "ガ", "\u200b": "", "\ufeff": "", "…": "...", "x\u0302": "X"})


def components():
    n, p = normalizers, pre_tokenizers
    for clean, ideographs, accents, lower in [(True, True, None, True), (True, True, None, False), (False, True, True, False),
                                              (True, False, False, True), (False, False, True, True)]:
        yield f"BertNormalizer {clean} {ideographs} {accents} {lower}", n.BertNormalizer(clean, ideographs, accents, lower), None
    for kind in [n.NFC, n.NFD, n.NFKC, n.NFKD, n.Lowercase, n.StripAccents, n.Nmt, n.ByteLevel]:
        yield kind.__name__, kind(), None
    yield "NFD StripAccents", n.Sequence([n.NFD(), n.StripAccents()]), None
    yield "Precompiled", n.Precompiled(CHARSMAP), None
    yield "Strip", n.Strip(), None
    yield "Strip left", n.Strip(True, False), None
    yield "Strip right", n.Strip(False, True), None
    yield "Replace", n.Replace("l", "<L>"), None
    yield "Replace regex", n.Replace(Regex(r"\s{2,}"), " "), None
    yield "Replace empty", n.Replace("", "_"), None
    yield "Prepend", n.Prepend("▁"), None
    yield "Sequence", n.Sequence([n.Sequence([n.Prepend("▁"), n.Replace(" ", "▁")]), n.NFKC(), n.Lowercase()]), None
    yield "BertPreTokenizer", None, p.BertPreTokenizer()
    yield "Whitespace", None, p.Whitespace()
    yield "WhitespaceSplit", None, p.WhitespaceSplit()
    yield "Digits", None, p.Digits(False)
    yield "Digits individual", None, p.Digits(True)
    yield "CharDelimiterSplit", None, p.CharDelimiterSplit(" ")
    for scheme in ["always", "first", "never"]:
        for split in [True, False]:
            yield f"Metaspace {scheme} {split}", None, p.Metaspace("▁", scheme, split)
    yield "Metaspace stripped first", n.Strip(), p.Metaspace("▁", "first")
    yield "Metaspace collapsed first", n.Replace(Regex(" {2,}"), " "), p.Metaspace("_", "first")
    yield "WhitespaceSplit Metaspace", None, p.Sequence([p.WhitespaceSplit(), p.Metaspace()])
    for prefix in [True, False]:
        for regex in [True, False]:
            yield f"ByteLevel {prefix} {regex}", None, p.ByteLevel(prefix, use_regex=regex)
    yield "ByteLevel Digits", None, p.Sequence([p.ByteLevel(False), p.Digits(True)])
    yield "Qwen pattern", None, p.Split(Regex(QWEN_PATTERN), "isolated")
    yield "cl100k pattern", None, p.Split(Regex(CL100K_PATTERN), "isolated")
    for name, split in split_variants():
        yield name, None, split


def write_components(folder):
    vocabulary = {f"<0x{b:02X}>": b for b in range(256)}
    model = models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, end_of_word_suffix="|")
    generator = Generator(11, ["[SEP]"], [])
    texts = TEXTS + [t for t in TRICKY if t and len(t) < 60] + [generator.text()[:40] for _ in range(25)]
    out = []
    for name, normalizer, pre_tokenizer in components():
        tokenizer = Tokenizer(model)
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        if pre_tokenizer is not None:
            tokenizer.pre_tokenizer = pre_tokenizer
        parts = json.loads(tokenizer.to_str())
        made = [bytes(tokenizer.encode(text, add_special_tokens=False).ids).decode("utf-8") for text in texts]
        out.append({"name": name, "normalizer": parts["normalizer"], "pre_tokenizer": parts["pre_tokenizer"], "made": made})
    document = {"model": json.loads(Tokenizer(model).to_str())["model"], "texts": texts, "components": out}
    write(folder / "components.json", document)


def write(path, document):
    path.write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def trained(model, trainer, normalizer=None, pre_tokenizer=None, specials=(), texts=SAMPLES + TEXTS):
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(texts * 3, trainer)
    tokenizer.add_special_tokens(list(specials))
    return tokenizer


def families():
    n, p = normalizers, pre_tokenizers
    bert = trained(models.WordPiece(unk_token="[UNK]"),
                   trainers.WordPieceTrainer(vocab_size=500, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
                                             show_progress=False), n.BertNormalizer(), p.BertPreTokenizer())
    bert.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1",
                                                        [("[CLS]", 2), ("[SEP]", 3)])
    bert.add_tokens([AddedToken("Café", normalized=True), AddedToken("fox", single_word=True, normalized=True)])
    yield "bert", bert

    bert_cased = trained(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=12),
                         trainers.WordPieceTrainer(vocab_size=400, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False),
                         n.BertNormalizer(lowercase=False), p.BertPreTokenizer())
    bert_cased.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    yield "bert_cased", bert_cased

    xlmr_specials = ["<s>", "<pad>", "</s>", "<unk>"]
    xlmr = trained(models.Unigram(), trainers.UnigramTrainer(vocab_size=500, special_tokens=xlmr_specials, unk_token="<unk>",
                                                             show_progress=False),
                   n.Precompiled(CHARSMAP), p.Sequence([p.WhitespaceSplit(), p.Metaspace()]), texts=SAMPLES[:3] + TEXTS[:6])
    xlmr.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    xlmr.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", [("<s>", 0), ("</s>", 2)])
    xlmr.enable_truncation(8)  # must not rule
    xlmr.enable_padding(pad_id=1, pad_token="<pad>", length=64)
    yield "xlmr", xlmr

    fallback = trained(models.Unigram(), trainers.UnigramTrainer(
        vocab_size=700, special_tokens=["<unk>"] + [f"<0x{b:02X}>" for b in range(256)], unk_token="<unk>", show_progress=False),
        n.NFKC(), p.Metaspace(prepend_scheme="first"), texts=SAMPLES[:3])
    data = json.loads(fallback.to_str())
    data["model"]["byte_fallback"] = True
    data["added_tokens"] = []
    fallback = Tokenizer.from_str(json.dumps(data))
    fallback.add_special_tokens(["<s>"])
    fallback.add_tokens([AddedToken("World", rstrip=True, lstrip=True, normalized=False)])
    yield "unigram_bytes", fallback

    roberta = trained(models.BPE(), trainers.BpeTrainer(vocab_size=600, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
                                                        initial_alphabet=p.ByteLevel.alphabet(), show_progress=False),
                      None, p.ByteLevel(add_prefix_space=True))
    roberta.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    yield "roberta", roberta

    modern = trained(models.BPE(), trainers.BpeTrainer(vocab_size=600, initial_alphabet=p.ByteLevel.alphabet(), show_progress=False),
                     n.NFC(), p.ByteLevel(add_prefix_space=False), ["[UNK]", "[CLS]", "[SEP]", "[PAD]"])
    modern.add_tokens([AddedToken("   ", normalized=True), AddedToken("  ", normalized=True)])
    modern.add_special_tokens([AddedToken("[MASK]", lstrip=True, normalized=False)])
    ids = {t: modern.token_to_id(t) for t in ["[CLS]", "[SEP]"]}
    modern.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", list(ids.items()))])
    yield "modernbert", modern

    qwen = trained(models.BPE(ignore_merges=True), trainers.BpeTrainer(vocab_size=600, initial_alphabet=p.ByteLevel.alphabet(),
                                                                       show_progress=False),
                   n.NFC(), p.Sequence([p.Split(Regex(QWEN_PATTERN), "isolated"), p.ByteLevel(False, use_regex=False)]),
                   ["<|endoftext|>", "<|im_start|>"])
    qwen.post_processor = processors.ByteLevel(trim_offsets=False)
    yield "qwen", qwen

    llama = trained(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True),
                    trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>", "<s>"] + [f"<0x{b:02X}>" for b in range(250)],
                                        limit_alphabet=120, show_progress=False),
                    n.Sequence([n.Prepend("▁"), n.Replace(" ", "▁")]))
    llama.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s>:1 $B:1", [("<s>", 1)])
    yield "llama", llama

    affixes = trained(models.BPE(unk_token="<unk>", continuing_subword_prefix="##", end_of_word_suffix="</w>"),
                      trainers.BpeTrainer(vocab_size=500, special_tokens=["<unk>"], continuing_subword_prefix="##",
                                          end_of_word_suffix="</w>", limit_alphabet=90, show_progress=False),
                      n.Sequence([n.NFD(), n.StripAccents(), n.Lowercase()]), p.Whitespace())
    yield "bpe_affixes", affixes

    words = trained(models.WordLevel(unk_token="[UNK]"), trainers.WordLevelTrainer(vocab_size=200, special_tokens=["[UNK]"],
                                                                                   show_progress=False), n.Lowercase(), p.Whitespace())
    words.decoder = decoders.WordPiece()
    yield "wordlevel", words


def pair_cases(tokenizer, generator):
    pick, cases = random.Random(5), []
    added = tokenizer.num_special_tokens_to_add(True)
    for _ in range(40):
        first, second = generator.text()[:60], " ".join(generator.text() for _ in range(2))[:120]
        limit, strategy, side = None, "longest_first", "right"
        tokenizer.no_truncation()
        if pick.random() < 0.85:
            limit = added + pick.choice([1, 2, 5, 10, 17, 30])
            strategy, side = pick.choice(["longest_first", "only_first", "only_second"]), pick.choice(["left", "right"])
            tokenizer.enable_truncation(limit, strategy=strategy, direction=side)
        try:
            encoding = tokenizer.encode(first, second)
        except Exception:  # cannot cut that one sequence enough
            continue
        cases.append([first, second, limit or 1 << 20, strategy, side, encoding.ids, encoding.type_ids])
    tokenizer.no_truncation()
    return cases


def write_families(folder):
    for name, tokenizer in families():
        document = {"tokenizer": json.loads(tokenizer.to_str())}
        tokenizer.no_truncation()
        tokenizer.no_padding()
        specials = [t.content for t in tokenizer.get_added_tokens_decoder().values()][:20]
        generator = Generator(7, specials, [])
        texts = TEXTS + [generator.text()[:80] for _ in range(100)]
        document["cases"] = [[t, tokenizer.encode(t, add_special_tokens=False).ids] for t in texts]
        document["singles"] = [[t, tokenizer.encode(t).ids] for t in TEXTS]
        document["pairs"] = pair_cases(tokenizer, generator)
        write(folder / f"{name}.json", document)


DECODERS = {
    "bert": decoders.WordPiece(), "bert_cased": decoders.WordPiece(cleanup=False), "xlmr": decoders.Metaspace(),
    "unigram_bytes": decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")]),
    "roberta": decoders.ByteLevel(), "modernbert": decoders.ByteLevel(), "qwen": decoders.ByteLevel(),
    "llama": decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]),
    "bpe_affixes": decoders.BPEDecoder(), "wordlevel": None,
}


def places(tokenizer, text):
    """Bytes, two numbers a token."""
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [at[i] for span in tokenizer.encode(text, add_special_tokens=False).offsets for i in span]


def write_places(folder):
    document = {}
    for name, decoder in DECODERS.items():
        family = json.loads((folder / f"{name}.json").read_text())
        tokenizer = Tokenizer.from_str(json.dumps(family["tokenizer"]))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        cases = [text for text, _ in family["cases"]]
        row = {"places": [places(tokenizer, text) for text in cases]}
        tokenizer.decoder = decoder
        row["decoder"] = json.loads(tokenizer.to_str())["decoder"]
        row["decoded"] = [[tokenizer.decode(ids, skip_special_tokens=skip) for skip in (True, False)] for _, ids in family["cases"]]
        document[name] = row
    write(folder / "places.json", document)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_components(folder)
    write_families(folder)
    write_places(folder)


if __name__ == "__main__":
    main()
