#!/usr/bin/env python3
"""Writes src/text/unicode/unicode_tables.inc: the character data that Hugging Face `tokenizers` acts on, as observed.

`tokenizers` mixes several Unicode versions (its normalization and category tables are older than the tables of the Rust
standard library and of Oniguruma), so no single library agrees with it on every code point. This script asks the pinned
Python package about each of the 1,112,064 code points and writes down the answers.

    python tools/goldens/tokenizers/make_unicode_table.py src/text/unicode/unicode_tables.inc
"""
import bisect
import struct
import sys
import unicodedata

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
CHUNK = 4096

# Bits of a code point's properties; src/text/unicode/unicode.h names them the same way.
SPACE, NUMERIC, PUNCTUATION, WORD, BERT_REMOVED, BERT_MARK, MARK, LETTER, NUMBER = (1 << i for i in range(9))
EXTEND, SPACING, PREPEND, CONTROL, PICTOGRAPH, CONSONANT, LINKER = (1 << i for i in range(9, 16))  # of graphemes
CLASS_SHIFT = 16  # canonical combining class
HANGUL_FIRST, HANGUL_LAST = 0xAC00, 0xD7A3


def chunks():
    for i in range(0, len(CODE_POINTS), CHUNK):
        yield CODE_POINTS[i:i + CHUNK]


def normalized(normalizer, bar="\ue000"):
    """What `normalizer` makes of each code point standing alone between two bars."""
    out = {}
    for part in chunks():
        part = [c for c in part if c != ord(bar)]
        pieces = normalizer.normalize_str(bar + bar.join(map(chr, part)) + bar).split(bar)
        assert len(pieces) == len(part) + 2
        out.update(zip(part, pieces[1:]))
    out[ord(bar)] = normalizer.normalize_str(bar)
    return out


def isolated(pre_tokenizer, between):
    """The code points that `pre_tokenizer` splits off from `between` on both sides, and those it removes."""
    alone, removed = set(), set()
    for part in chunks():
        text = between + between.join(map(chr, part)) + between
        spans = set()
        covered = bytearray(len(text))
        for _, (start, end) in pre_tokenizer.pre_tokenize_str(text):
            spans.add((start, end))
            covered[start:end] = b"\1" * (end - start)
        for i, c in enumerate(part):
            if (2 * i + 1, 2 * i + 2) in spans:
                alone.add(c)
            if not covered[2 * i + 1]:
                removed.add(c)
    return alone, removed


def combining_classes(nfd):
    """Canonical combining classes, found by where a mark is sorted to among marks of known class."""
    def swaps(first, second):
        return first != second and nfd.normalize_str("a" + first + second) == "a" + second + first

    low, high = "\u0334", "\u0345"  # classes 1 and 240, the ends of the scale
    references = {1: low, 240: high}
    for c in range(0x300, 0x1F000):
        k = unicodedata.combining(chr(c))
        if k not in (0, 1, 240) and k not in references and swaps(chr(c), low) and swaps(high, chr(c)):
            references[k] = chr(c)
    keys = sorted(references)
    classes = {}
    for c in CODE_POINTS:
        s = chr(c)
        if c < 0x300 or HANGUL_FIRST <= c <= HANGUL_LAST or nfd.normalize_str(s) != s:
            continue
        if not (swaps(s, low) or swaps(high, s)):
            continue
        found = [k for k in keys if not swaps(s, references[k]) and not swaps(references[k], s)]
        assert len(found) == 1, (hex(c), found)
        classes[c] = found[0]
    # The references of the lowest and the highest class do not swap with themselves.
    assert classes.get(ord(low)) == keys[0] and classes.get(ord(high)) == keys[-1]
    return classes


def grapheme_counter():
    """A function from texts to the number of pieces that Precompiled treats as one.

    The character map here replaces every grapheme of fewer than 6 bytes by one Z, longer ones character by character: it
    maps each byte to Z, and Precompiled looks only at the shortest prefix of such a grapheme.
    """
    units = [0] * 1024
    units[0] = 256 << 10
    for byte in range(1, 256):
        leaf = 512 + byte
        units[256 ^ byte] = byte | 1 << 8 | ((256 ^ byte) ^ leaf) << 10
        units[leaf] = 1 << 31
    blob = struct.pack("<I", 4 * len(units)) + struct.pack(f"<{len(units)}I", *units) + b"Z\0"
    charsmap = normalizers.Precompiled(blob)

    def count(texts):
        # U+0001 is a control: nothing joins it. It becomes a Z too, hence the 1.
        out = []
        for text in texts:
            out.append(len(charsmap.normalize_str("\1" + text + "\1")) - 2)
        return out

    return count


def grapheme_properties():
    """The grapheme properties that can change what Precompiled does; see https://unicode.org/reports/tr29/."""
    count = grapheme_counter()
    chars = [chr(c) for c in CODE_POINTS]
    accent, joiner = "\u0301", "\u200d"
    values = dict.fromkeys(CODE_POINTS, 0)

    def mark(bit, candidates, make, joined):
        hits = [x for x, n in zip(candidates, count([make(x) for x in candidates])) if n == joined(x)]
        for x in hits:
            values[ord(x)] |= bit
        return hits

    size = {x: len(x.encode()) for x in chars}
    controls = mark(CONTROL, chars, lambda x: x + accent + accent, lambda x: 2)
    controls = set(controls)
    joining = mark(EXTEND, [x for x in chars if x not in controls], lambda x: "A" + x, lambda x: 1)
    rest = [x for x in chars if x not in controls and x not in set(joining)]
    mark(PREPEND, rest, lambda x: x + "A" + accent, lambda x: 3 if size[x] > 2 else 1)
    prepends = {x for x in rest if values[ord(x)] & PREPEND}
    mark(PICTOGRAPH, [x for x in rest if x not in prepends], lambda x: "\u00a9" + joiner + x, lambda x: 3)
    mark(CONSONANT, [x for x in rest if x not in prepends], lambda x: x + "\u094d\u0915" + accent, lambda x: 4)
    mark(LINKER, joining, lambda x: "\u0915" + x + "\u0915" + accent, lambda x: 4)
    # A spacing mark joins its base but does not count among the extenders between a pictograph and its joiner.
    for x, n in zip(joining, count(["\u00a9" + x + joiner + "\u00a9" + accent for x in joining])):
        if n != 5:
            values[ord(x)] ^= EXTEND | SPACING
    return values


CATEGORIES = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn").split()


def regex_proxies():
    """Code points that Oniguruma puts into another general category than Unicode 14 (PCRE2 10.42) does, as runs of (first,
    last, proxy): a code point of the same UTF-8 length that both put into that category, the nearest one, so that it mostly
    is of the same script."""
    assert unicodedata.unidata_version == "14.0.0", "needs a Python with Unicode 14 (3.11)"
    category = {}
    for name in CATEGORIES:
        hits, _ = isolated(pre_tokenizers.Split(Regex(rf"\p{{{name}}}"), "isolated"), "1" if name == "Ll" else "a")
        category.update(dict.fromkeys(hits, name))
    differing = [c for c in CODE_POINTS if category[c] != unicodedata.category(chr(c))]
    # PCRE2's \s takes the Mongolian vowel separator for white space, as Perl once did.
    differing = sorted({*differing, 0x180E})
    same = {}
    for c in CODE_POINTS:
        if c != 0x180E and category[c] == unicodedata.category(chr(c)):
            same.setdefault((category[c], len(chr(c).encode())), []).append(c)
    out = []
    for c in differing:
        candidates = same[category[c], len(chr(c).encode())]
        at = bisect.bisect_left(candidates, c)
        proxy = min(candidates[max(0, at - 1):at + 1], key=lambda p: abs(p - c))
        if out and out[-1][1] == c - 1 and out[-1][3] == category[c]:
            out[-1][1] = c
        else:
            out.append([c, c, proxy, category[c]])
    return [run[:3] for run in out]


def runs(values):
    """(first code point, value) wherever the value changes."""
    last = None
    for c in range(0x110000):
        v = values.get(c, 0)
        if v != last:
            yield c, v
            last = v


def write_mapping(out, name, comment, mapping):
    out.write(f"// {comment}\ninline constexpr char32_t {name}[] =\n")
    line = "   "
    for c, s in sorted(mapping.items()):
        item = [c, len(s)] + [ord(x) for x in s]
        text = "".join(f"\\x{x:x}" for x in item)
        if len(line) + len(text) > 112:
            out.write(f'    U"{line.strip()}"\n')
            line = ""
        line += text
    out.write(f'    U"{line.strip()}";\n\n')


def main():
    nfd, nfc = normalizers.NFD(), normalizers.NFC()
    nfkd = normalizers.NFKD()
    print("normal forms", file=sys.stderr)
    d, kd, c_of = normalized(nfd), normalized(nfkd), normalized(nfc)
    hangul = range(HANGUL_FIRST, HANGUL_LAST + 1)
    canonical = {c: s for c, s in d.items() if s != chr(c) and c not in hangul}
    compatible = {c: s for c, s in kd.items() if s != d[c] and c not in hangul}
    # A code point that normal form C keeps although it decomposes is the composition of a pair.
    pairs = {}
    for c, s in canonical.items():
        if c_of[c] == chr(c) and len(s) > 1:
            head = nfc.normalize_str(s[:-1])
            assert len(head) == 1, hex(c)
            pairs[c] = head + s[-1]

    print("lower case", file=sys.stderr)
    lower = {c: s for c, s in normalized(normalizers.Lowercase()).items() if s != chr(c)}
    bert_clean = normalized(normalizers.BertNormalizer(True, False, False, False), "|")
    bert_strip = normalized(normalizers.BertNormalizer(False, False, True, False))
    stripped = normalized(normalizers.StripAccents())

    print("pre-tokenizers", file=sys.stderr)
    _, space = isolated(pre_tokenizers.WhitespaceSplit(), "a")
    numeric, _ = isolated(pre_tokenizers.Digits(individual_digits=True), "a")
    punctuation, _ = isolated(pre_tokenizers.Punctuation("isolated"), "a")
    not_word, space2 = isolated(pre_tokenizers.Whitespace(), "a")
    letter, _ = isolated(pre_tokenizers.Split(Regex(r"\p{L}"), "isolated"), "-")
    number, _ = isolated(pre_tokenizers.Split(Regex(r"\p{N}"), "isolated"), "-")
    onig_space, _ = isolated(pre_tokenizers.Split(Regex(r"\s"), "isolated"), "-")
    letter.discard(ord("-"))
    assert space == space2 == onig_space, (space ^ space2, space ^ onig_space)

    print("combining classes", file=sys.stderr)
    classes = combining_classes(nfd)

    print("regular expressions", file=sys.stderr)
    proxies = regex_proxies()
    print("graphemes", file=sys.stderr)
    values = grapheme_properties()
    for c in CODE_POINTS:
        v = values[c]
        v |= SPACE * (c in space)
        v |= NUMERIC * (c in numeric)
        v |= PUNCTUATION * (c in punctuation)
        v |= WORD * (c not in not_word and c not in space)
        v |= BERT_REMOVED * (bert_clean[c] == "")
        v |= BERT_MARK * (bert_strip[c] == "" and c not in canonical)
        v |= MARK * (stripped[c] == "")
        v |= LETTER * (c in letter)
        v |= NUMBER * (c in number)
        v |= classes.get(c, 0) << CLASS_SHIFT
        values[c] = v
        # BERT's cleaning maps exactly the white space to a blank; its accent stripping is NFD without marks.
        assert (bert_clean[c] == " ") == (c in space and bert_clean[c] != ""), hex(c)
    for c in CODE_POINTS:
        want = "".join(x for x in d[c] if not values[ord(x)] & BERT_MARK)
        assert bert_strip[c] == want, hex(c)

    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.write(f"""// Character data as Hugging Face tokenizers {tokenizers.__version__} acts on it, observed code point by code point.
// Generated by tools/goldens/tokenizers/make_unicode_table.py; do not edit.

// Properties: {{first code point, properties}} for each run of equal properties.
inline constexpr PropertyRun kPropertyRuns[] = {{
""")
        line = ""
        for c, v in runs(values):
            item = f"{{0x{c:x},0x{v:x}}},"
            if len(line) + len(item) > 116:
                out.write(line + "\n")
                line = ""
            line += item
        out.write(line + "\n};\n\n")
        out.write("// Code points whose category PCRE2 10.42 does not know as Oniguruma does: first, last, one of that category.\n"
                  "inline constexpr ProxyRun kProxyRuns[] = {\n")
        for i in range(0, len(proxies), 4):
            out.write("".join(f"{{0x{a:x},0x{b:x},0x{c:x}}}," for a, b, c in proxies[i:i + 4]) + "\n")
        out.write("};\n\n")
        write_mapping(out, "kCanonicalDecompositions", "Full canonical decompositions without Hangul: code point, length, text.",
                      canonical)
        write_mapping(out, "kCompatibleDecompositions",
                      "Full compatibility decompositions where they differ from the canonical ones.", compatible)
        write_mapping(out, "kCompositions", "Primary composites without Hangul: code point, 2, the pair.", pairs)
        write_mapping(out, "kLowercase", "Lower case mappings (Rust's char::to_lowercase).", lower)


if __name__ == "__main__":
    main()
