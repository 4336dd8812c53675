#!/usr/bin/env python3
"""Differential fuzz: our tokenizer against the Python package `tokenizers`, on random Unicode.

    python tests/fuzz/tokenizer_diff.py --program build/release/tests/fuzz/tokenize_lines --folder DIR --count 1000000

DIR holds a tokenizer.json. `--corpus FILE` (may be repeated) gives real text to cut fragments from. With `--pairs`, pairs of
texts are joined under random limits, strategies and sides and compared as ids and segment ids. With `--components FILE`
(tests/data/tokenizers/components.json), each normalizer and pre-tokenizer there is compared alone, and no folder is needed.
Exit status 1 when anything differs; the shortest differing string found is printed.
"""
import argparse
import json
import random
import subprocess
import sys
import tempfile
import time

from tokenizers import Tokenizer

CHUNK = 20000

SAMPLES = """The quick brown fox doesn't jump over the lazy dog's 1234.56 e-mails, www.example.com/a?b=c&d=e_f (2021-03-04)!
Œuvre naïve, coöperate, Ångström, façade; Çelik İstanbul'da ışık Iğdır, Straße GROẞ, ﬁne ﬂuﬀy oﬃce, ½ ¼ x² H₂O №5 ™ © ®
Съешь же ещё этих мягких французских булок, да выпей чаю. Ђ ѓ є ї й. Ελληνικά: Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία ΟΔΟΣ ς.
敏捷的棕色狐狸跳过了懒狗。漢字繁體字、中文標點：「引號」；日本語のテキスト、カタカナとﾊﾝｶｸｶﾅ、ひらがな。がぎぐ ㍿ ㌔ ㋿ ①②③
다람쥐 헌 쳇바퀴에 타고파. 한글 자모 ㄱㄴㄷ ᄀ ᅡ ᆨ 힣. ภาษาไทยไม่มีช่องว่าง น้ำ กำ. ພາສາລາວ. မြန်မာဘာသာ. ភាសាខ្មែរ. བོད་སྐད།
صِف خَلقَ خَودِ كَمِثلِ الشَمسِ ﷺ ﷲ لا إله. اردو: ٹھیک ہے ۱۲۳. فارسی می‌خواهم. עברית: שָׁלוֹם ﬠ ײַ. ܫܠܡܐ. ދިވެހި
हिन्दी: क्षत्रिय ज़्यादा क़ किताब १२३। বাংলা: ক্ষ ড় য়। தமிழ் கொ. తెలుగు. ಕನ್ನಡ ಕೊ. മലയാളം ന്‍. ਪੰਜਾਬੀ ਖ਼. ગુજરાતી. සිංහල ශ්‍රී
👩‍👩‍👧‍👦 👍🏽 🇩🇪🇫🇷 ❤️‍🔥 ☺︎ ☺️ 1️⃣ #️⃣ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🤷🏿‍♀️ © ™️ 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚 𠀀𪜀 ＡＢＣ１２３ ｡ﾟ
Tiếng Việt: Trăm năm trong cõi người ta ậ ỗ ợ. Yorùbá ẹ́ ọ̀ ṣ. Lietuvių i̇́ ė̃. Zalgo: h̵̡̢̛̛e̷͎̿l̴̙̚l̵̰͝o̸͚͆. ქართული ᲥᲐᲠ. Հայերեն և""".split("\n")

BLOCKS = [(0x20, 0x7F), (0x20, 0x7F), (0x20, 0x7F), (0x0, 0x20), (0x80, 0x100), (0x100, 0x250), (0x250, 0x300), (0x300, 0x370),
          (0x370, 0x400), (0x400, 0x530), (0x530, 0x590), (0x590, 0x600), (0x600, 0x700), (0x700, 0x8FF), (0x900, 0x980),
          (0x980, 0xE00), (0xE00, 0x1000), (0x1000, 0x10A0), (0x1100, 0x1200), (0x1200, 0x1700), (0x1700, 0x1AB0),
          (0x1AB0, 0x1B00), (0x1B00, 0x1D00), (0x1D00, 0x1E00), (0x1E00, 0x2000), (0x2000, 0x2070), (0x2070, 0x2150),
          (0x2150, 0x2600), (0x2600, 0x2C00), (0x2C00, 0x2E80), (0x2E80, 0x3100), (0x3040, 0x3100), (0x3100, 0x3400),
          (0x3400, 0x4E00), (0x4E00, 0xA000), (0x4E00, 0xA000), (0xA000, 0xA800), (0xA800, 0xAC00), (0xAC00, 0xD7B0),
          (0xD7B0, 0xD800), (0xE000, 0xF900), (0xF900, 0xFB00), (0xFB00, 0xFE00), (0xFE00, 0x10000), (0x10000, 0x10800),
          (0x10800, 0x11000), (0x11000, 0x12000), (0x12000, 0x16000), (0x16000, 0x1B000), (0x1B000, 0x1D000),
          (0x1D000, 0x1D200), (0x1D400, 0x1D800), (0x1D800, 0x1F000), (0x1F000, 0x1FB00), (0x1FB00, 0x20000),
          (0x20000, 0x2A6E0), (0x2A700, 0x2FA20), (0x30000, 0x32400), (0xE0000, 0xE0200), (0xF0000, 0x110000), (0, 0x110000)]
SPACES = list(" \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u180e\u2000\u2003\u2009\u200a\u200b\u200c\u200d\u2028\u2029\u202f"
              "\u205f\u2060\u2581\u3000\ufeff")
MARKS = [chr(c) for c in [*range(0x300, 0x370), *range(0x483, 0x488), *range(0x591, 0x5BE), *range(0x610, 0x61B),
                          *range(0x64B, 0x660), 0x670, 0x93C, 0x94D, 0x9BC, 0xE38, 0xE48, 0xF71, 0xF72, 0xF74, 0xF80, 0x1039,
                          0x1DC0, 0x1DCA, 0x1DFA, 0x20D0, 0x20DD, 0x302A, 0x3099, 0x309A, 0xFB1E, 0xFE20, 0x1D165, 0x1D16D]]
JOINERS = ["\u200d", "\ufe0f", "\ufe0e", "\U0001f3fd", "\U000e0067", "\u20e3", "\u200c"]
TRICKY = ["", "'s", "'re", "''", "don't", "I'LL", "##", "##ing", "▁", "▁▁the", "Ġ", "Ċ", "<0x41>", "...", "--", "$1,000.00",
          "http://", "\r\n", "\n\n", "  ", "a" * 101, "x" * 40, "\ufffd", "\x00", "\u0345", "ß", "ſ", "K", "Å", "ǆ", "ﬃ", "İ",
          "\u1e9b\u0323", "\u0344", "\u212b", "각", "ᄀ\u1161\u11a8", "\uac00\u11a8", "\u0915\u094d\u0937", "\u0600a\u0301"]


class Generator:
    """Random texts: real fragments, random characters by block, combining sequences, emoji, white space, special tokens."""

    def __init__(self, seed, specials, corpus):
        self.random = random.Random(seed)
        self.specials = specials or ["[SEP]"]
        self.lines = SAMPLES + corpus

    def char(self):
        low, high = self.random.choice(BLOCKS)
        while True:
            c = self.random.randrange(low, high)
            if not 0xD800 <= c <= 0xDFFF:
                return chr(c)

    def block(self):
        low, high = self.random.choice(BLOCKS)
        out = []
        for _ in range(self.random.randint(1, 12)):
            c = self.random.randrange(low, high)
            out.append(chr(c) if not 0xD800 <= c <= 0xDFFF else "\ufffd")
        return "".join(out)

    def fragment(self):
        line = self.random.choice(self.lines)
        start = self.random.randrange(len(line) + 1)
        return line[start:start + self.random.randint(1, 30)]

    def marks(self):
        base = self.char()
        return base + "".join(self.random.choice(MARKS) for _ in range(self.random.randint(1, 6)))

    def emoji(self):
        out = chr(self.random.choice([0xA9, 0x2122, 0x2139, 0x2764, 0x1F1E6 + self.random.randrange(26),
                                      self.random.randrange(0x1F300, 0x1FB00)]))
        for _ in range(self.random.randint(0, 4)):
            out += self.random.choice(JOINERS)
            if self.random.random() < 0.5:
                out += chr(self.random.choice([0xAE, 0x2122, 0x2640, 0x1F1E6 + self.random.randrange(26), 0x1F466]))
        return out

    def special(self):
        token = self.random.choice(self.specials)
        if self.random.random() < 0.3:
            token = token[:self.random.randrange(len(token) + 1)]
        return token

    def run(self):
        return self.random.choice([self.char(), self.fragment(), self.random.choice(SPACES)]) * self.random.randint(2, 60)

    def text(self):
        if self.random.random() < 0.005:
            return ""
        parts = []
        for _ in range(self.random.randint(1, 5)):
            kind = self.random.random()
            if kind < 0.35:
                parts.append(self.fragment())
            elif kind < 0.55:
                parts.append(self.block())
            elif kind < 0.67:
                parts.append(self.marks())
            elif kind < 0.74:
                parts.append(self.emoji())
            elif kind < 0.82:
                parts.append(self.special())
            elif kind < 0.92:
                parts.append(self.random.choice(TRICKY))
            elif kind < 0.94:
                parts.append(self.run())
            else:
                parts.append("".join(self.char() for _ in range(self.random.randint(1, 8))))
            if self.random.random() < 0.4:
                parts.append(self.random.choice(SPACES) if self.random.random() < 0.3 else " ")
        return "".join(parts)


def ours(program, folder, lines, *flags):
    result = subprocess.run([program, folder, *flags], input="".join(json.dumps(x) + "\n" for x in lines), capture_output=True,
                            text=True)
    if result.returncode != 0:
        sys.exit(f"{program} failed with {result.returncode}: {result.stderr}")
    return [json.loads(line) for line in result.stdout.splitlines()]


def theirs(tokenizer, texts):
    return [e.ids for e in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def shrink(text, differs):
    """A short text that still differs: drops ever smaller parts."""
    size = max(1, len(text) // 2)
    while True:
        for start in range(0, len(text), size):
            shorter = text[:start] + text[start + size:]
            if differs(shorter):
                text = shorter
                break
        else:
            if size == 1:
                return text
            size = max(1, size // 2)


def compare_texts(args, tokenizer, generator):
    differences, done, start = 0, 0, time.time()
    while done < args.count:
        texts = [generator.text() for _ in range(min(CHUNK, args.count - done))]
        want, got = theirs(tokenizer, texts), ours(args.program, args.folder, texts)
        bad = [t for t, w, g in zip(texts, want, got) if w != g]
        for text in bad[:max(0, args.show - differences)]:
            text = shrink(text, lambda t: theirs(tokenizer, [t]) != ours(args.program, args.folder, [t]))
            print(f"\ndiffers: {ascii(text)}\n  theirs {theirs(tokenizer, [text])[0]}"
                  f"\n  ours   {ours(args.program, args.folder, [text])[0]}")
        differences += len(bad)
        done += len(texts)
        print(f"\r{done} strings, {differences} differences, {time.time() - start:.0f} s", end="", flush=True)
    return done, differences


def their_pair(tokenizer, first, second, limit, strategy, side):
    tokenizer.enable_truncation(limit, strategy=strategy, direction=side)
    encoding = tokenizer.encode(first, second)
    tokenizer.no_truncation()
    return [encoding.ids, encoding.type_ids]


def compare_pairs(args, tokenizer, generator):
    differences, done, refused, start = 0, 0, 0, time.time()
    added = tokenizer.num_special_tokens_to_add(True)
    pick = generator.random
    while done < args.count:
        lines, want = [], []
        for _ in range(min(CHUNK, args.count - done)):
            texts = [" ".join(generator.text() for _ in range(pick.choice([1, 1, 2]))) for _ in range(2)]
            limit = added + pick.choice([1, pick.randint(1, 40), pick.randint(1, 40), pick.randint(1, 200)])
            line = [*texts, limit, pick.choice(["longest_first", "only_first", "only_second"]), pick.choice(["left", "right"])]
            try:
                want.append(their_pair(tokenizer, *line))
            except Exception:  # they refuse to cut the one sequence to nothing; we cut both instead
                want.append(None)
                refused += 1
            lines.append(line)
        for line, w, g in zip(lines, want, ours(args.program, args.folder, lines, "--pairs")):
            good = w == g[:2] if w is not None else len(g[0]) <= line[2] and len(g[0]) == len(g[1]) and g[2]
            if not good:
                differences += 1
                if differences <= args.show:
                    print(f"\ndiffers: {ascii(line)}\n  theirs {w}\n  ours   {g}")
        done += len(lines)
        print(f"\r{done} pairs ({refused} refused by theirs), {differences} differences, {time.time() - start:.0f} s", end="",
              flush=True)
    return done, differences


def run(args, corpus):
    tokenizer = Tokenizer.from_file(f"{args.folder}/tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    specials = [t.content for t in tokenizer.get_added_tokens_decoder().values()][:64]
    generator = Generator(args.seed, specials, corpus)
    done, differences = (compare_pairs if args.pairs else compare_texts)(args, tokenizer, generator)
    print(f"\n{args.folder}: {done} compared, {differences} differences, seed {args.seed}")
    return differences


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="tokenize_lines, built")
    parser.add_argument("--folder", help="folder with a tokenizer.json")
    parser.add_argument("--components", help="file of tokenizer parts to compare one by one, --count texts each")
    parser.add_argument("--count", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", action="append", default=[], help="text file to cut fragments from")
    parser.add_argument("--pairs", action="store_true", help="compare joined pairs instead of texts")
    parser.add_argument("--show", type=int, default=5, help="differences to shrink and print")
    args = parser.parse_args()

    corpus = [line for path in args.corpus for line in open(path, encoding="utf-8").read().split("\n") if line]
    if not args.components:
        sys.exit(1 if run(args, corpus) else 0)
    failed = 0
    document = json.load(open(args.components, encoding="utf-8"))
    for part in document["components"]:
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/tokenizer.json", "w", encoding="utf-8") as out:
                json.dump({"version": "1.0", "added_tokens": [], "normalizer": part["normalizer"],
                           "pre_tokenizer": part["pre_tokenizer"], "model": document["model"]}, out)
            args.folder = folder
            print(part["name"])
            failed += run(args, corpus) > 0
    print(f"{len(document['components'])} components, {failed} with differences")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
