#!/usr/bin/env python3
"""What a layer should take on an H200, kernel by kernel, from counted instructions and bytes: estimates until a GPU has been met.

    roofline.py        the tables of docs/gpu.md
"""
MATRIX, COPY = 790e12, 4.3e12        # FLOP/s of bf16 products (cuBLASLt, large), bytes/s: reported for the card, not measured by us
MMA_SYNC, WGMMA = 0.62 * MATRIX, 0.9 * MATRIX  # what they reach of it: Hopper's full rate needs wgmma
ISSUE = 132 * 4 * 1.755e9            # instructions of warps a second
FULL = 0.8                           # of a bound that a kernel reaches
PRODUCTS = {"large": 0.82, "small": 0.55}  # of the matrix rate: XLM-R-large's products, MiniLM's

# Executed by a warp for a tile of 64 keys without an edge: the loop in machine code less what only edges run. And the queries
# of a block, for each of which all keys and values are read.
BEFORE = {64: (1080, MMA_SYNC, 64), 32: (1010, MMA_SYNC, 64)}
AFTER = {64: (417 - 95, WGMMA, 128), 32: (390 - 95, MMA_SYNC, 64)}


class Shape:
    def __init__(self, name, hidden, inner, heads, lengths, products):
        self.name, self.hidden, self.inner, self.heads = name, hidden, inner, heads
        self.lengths, self.efficiency, self.rows = lengths, PRODUCTS[products], sum(lengths)
        self.head = hidden // heads

    def products(self, out, inputs, rate=MATRIX):
        return 2 * self.rows * out * inputs / (rate * self.efficiency)

    def attention_operations(self):
        return sum(4 * n * n * self.hidden for n in self.lengths)

    def attention(self, instructions, rate, queries):
        warps = sum(4 * -(-n // 64) * -(-n // 64) for n in self.lengths) * self.heads
        read = sum((1 + -(-n // queries) * 2 + 1) * n * self.hidden * 2 for n in self.lengths)  # keys and values for each tile of queries
        return max(warps * instructions / ISSUE, self.attention_operations() / rate, read / (2 * COPY)) / FULL

    def passes(self, bytes_of_a_number, width=None):
        return self.rows * (width or self.hidden) * bytes_of_a_number / COPY


def bf16(s, after):
    h, i = s.hidden, s.inner
    return [("queries, keys, values", s.products(3 * h, h)),
            ("attention", s.attention(*(AFTER if after else BEFORE)[s.head])),
            ("attention's output", s.products(h, h)),
            ("sum and norm", s.passes(12) if after else s.passes(12) / 0.63),  # before: scalars, the row read again from cache
            ("up, GELU", s.products(i, h)),
            ("down", s.products(h, i)),
            ("sum and norm", s.passes(12) if after else s.passes(12) / 0.63)]


def fp8(s, after):
    h, i = s.hidden, s.inner
    rate = 2 * MATRIX * 0.85  # unscaled sums in fp32
    rows = [("queries, keys, values", s.products(3 * h, h, rate)),
            ("their scales and bias", 0 if after else s.passes(4, 3 * h)),
            ("attention", s.attention(*(AFTER if after else BEFORE)[s.head])),
            ("quantizing contexts", s.passes(3)),
            ("attention's output", s.products(h, h, rate)),
            ("sum, norm, quantizing", s.passes(7 if after else 11)),  # after: the stream is fp16
            ("up", s.products(i, h, rate)),
            ("GELU, quantizing", s.passes(3, i)),
            ("down", s.products(h, i, rate)),
            ("sum, norm, quantizing", s.passes(7 if after else 11))]
    return [row for row in rows]


def table(s, parts):
    before, after = parts(s, False), parts(s, True)
    print(f"| {s.name}, {parts.__name__} | before, us | after, us |\n|---|---|---|")
    for (name, old), (_, new) in zip(before, after):
        print(f"| {name} | {1e6 * old:.0f} | {1e6 * new:.0f} |")
    old, new = (sum(t for _, t in rows) for rows in (before, after))
    operations = 2 * s.rows * (4 * s.hidden ** 2 + 2 * s.hidden * s.inner) + s.attention_operations()
    share = ", ".join(f"{100 * operations / t / MATRIX:.0f} %" for t in (old, new))
    print(f"| **layer** ({share} of the bf16 matrix rate) | **{1e6 * old:.0f}** | **{1e6 * new:.0f}** |\n")
    return old, new


def main():
    for shape in (Shape("XLM-R-large, 32 x 512", 1024, 4096, 16, [512] * 32, "large"),
                  Shape("MiniLM-L6, 66 x 128", 384, 1536, 12, [128] * 66, "small")):
        wide, narrow = table(shape, bf16), table(shape, fp8)
        print(f"fp8 against bf16: {wide[0] / narrow[0]:.2f} times before, {wide[1] / narrow[1]:.2f} after\n")


if __name__ == "__main__":
    main()
