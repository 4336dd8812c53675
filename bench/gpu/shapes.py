"""Shapes of models and their random weights, the same for the CUDA engine and for PyTorch. Needs nothing but Python."""
import math
import random
from array import array

TINY = dict(layers=2, hidden=64, heads=2, intermediate=128, vocabulary=100, positions=512)
SHAPES = {
    "MiniLM-L6": dict(layers=6, hidden=384, heads=12, intermediate=1536, vocabulary=30522, positions=512),
    "XLM-R-large": dict(layers=24, hidden=1024, heads=16, intermediate=4096, vocabulary=250002, positions=514),
    # What check runs: each size of heads that has a kernel of its own and one that has not, and each pattern.
    "heads_of_32": TINY,
    "heads_of_40": TINY | dict(hidden=80),
    "heads_of_48": TINY | dict(hidden=96),
    "heads_of_64": TINY | dict(hidden=128),
    "heads_of_96": TINY | dict(hidden=192),
    "heads_of_128": TINY | dict(hidden=256),
    "window": TINY | dict(window=7),
    "window_of_a_tile": TINY | dict(hidden=128, window=64),
    "ALiBi": TINY | dict(hidden=128, alibi=True),
    "RoPE": TINY | dict(hidden=192, rope=10000.0),
    "RoPE_in_a_window": TINY | dict(hidden=128, rope=160000.0, window=33),
    "widths_of_312": TINY | dict(hidden=312, heads=3, intermediate=200),
}
CHECKED = [name for name in SHAPES if name not in ("MiniLM-L6", "XLM-R-large")]
# At the edges of attention's tiles of 64 and of the products' rows.
EDGES = [1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200, 3]
EPSILON = 1e-12


def names(shape):
    """name -> rows, columns of every tensor; columns 0: a vector."""
    hidden, inner = shape["hidden"], shape["intermediate"]
    found = {"words": (shape["vocabulary"], hidden), "positions": (shape["positions"], hidden), "segments": (2, hidden)}
    linears = {"head_dense": (hidden, hidden), "head_output": (1, hidden)}
    norms = ["embedding_norm"]
    for i in range(shape["layers"]):
        linears |= {f"{i}.{part}": (hidden, hidden) for part in ("query", "key", "value", "attention_output")}
        linears |= {f"{i}.up": (inner, hidden), f"{i}.down": (hidden, inner)}
        norms += [f"{i}.attention_norm", f"{i}.output_norm"]
    for name, (out, inputs) in linears.items():
        found[name + ".weight"], found[name + ".bias"] = (out, inputs), (out, 0)
    for name in norms:
        found[name + ".weight"], found[name + ".bias"] = (hidden, 0), (hidden, 0)
    return found


def spread(name, columns):
    """Standard deviation and mean: activations stay about 1, logits about 1 apart."""
    if "norm" in name:
        return 0.02, 1.0 if name.endswith("weight") else 0.0
    if name.startswith("head_output"):
        return 3.0 / max(1, columns) ** 0.5, 0.0
    return (1.0 / columns ** 0.5 if name.endswith("weight") else 1.0 if columns else 0.02), 0.0


class Weights:
    """Random numbers for every tensor. Large ones repeat a block whose length is prime, so that no two rows are alike:
    half a billion numbers take a second instead of minutes."""

    BLOCK = 65521

    def __init__(self, shape, seed=1):
        self.shape, self.tensors = shape, {}
        rng = random.Random(seed)
        normal = array("f", (rng.gauss(0, 1) for _ in range(self.BLOCK)))
        for name, (rows, columns) in names(shape).items():
            deviation, mean = spread(name, columns)
            count, begin = rows * max(1, columns), rng.randrange(self.BLOCK)
            block = array("f", (x * deviation + mean for x in (normal[begin:] + normal[:begin])[:count]))
            self.tensors[name] = (block * (count // len(block) + 1))[:count]

    def tensor(self, name):
        """Address and count."""
        return self.tensors[name].buffer_info()

    def slopes(self):
        """ALiBi's of each head (Press et al. 2022), for numbers of heads that are powers of two."""
        heads = self.shape["heads"]
        return array("f", (2.0 ** (-8.0 * (i + 1) / heads) for i in range(heads))) if self.shape.get("alibi") else array("f")

    def angles(self):
        """RoPE's cosines and sines: [positions][2][head size / 2]."""
        if not self.shape.get("rope"):
            return array("f")
        half = self.shape["hidden"] // self.shape["heads"] // 2
        turns = [self.shape["rope"] ** (-i / half) for i in range(half)]
        return array("f", (f(position * turn) for position in range(self.shape["positions"])
                           for f in (math.cos, math.sin) for turn in turns))


def random_sequences(shape, lengths, seed=2):
    rng = random.Random(seed)
    return [[rng.randrange(shape["vocabulary"]) for _ in range(length)] for length in lengths]


def operations(shape, lengths):
    """Multiplications and additions of a pass, twice counted; of the last block only those that the head needs."""
    hidden, inner, layers = shape["hidden"], shape["intermediate"], shape["layers"]
    token = 2 * (4 * hidden * hidden + 2 * hidden * inner)
    keys = 2 * 2 * hidden * hidden
    whole = sum(n * token + 4 * n * n * hidden for n in lengths)
    last = sum(n * keys + token - keys + 4 * n * hidden for n in lengths)
    return (layers - 1) * whole + last
