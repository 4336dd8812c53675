"""Shapes of models and their random weights, the same for the CUDA engine and for PyTorch. Needs nothing but Python."""
import math
import random
from array import array

TINY = dict(layers=2, hidden=64, heads=2, intermediate=128, vocabulary=100, positions=512)
SHAPES = {
    "MiniLM-L6": dict(layers=6, hidden=384, heads=12, intermediate=1536, vocabulary=30522, positions=512),
    "XLM-R-large": dict(layers=24, hidden=1024, heads=16, intermediate=4096, vocabulary=250002, positions=514),
    "Qwen3-0.6B": dict(layers=28, hidden=1024, heads=16, kv_heads=8, head_size=128, intermediate=3072, vocabulary=151669,
                       positions=2048, rope=1e6, decoder=True),
    "Longformer-base": dict(layers=12, hidden=768, heads=12, intermediate=3072, vocabulary=50265, positions=4098, window=256, global_first=True),
    "NomicBERT-MoE": dict(layers=12, hidden=768, heads=12, intermediate=3072, vocabulary=250048, positions=2048, experts=8, chosen=2),
    # What check runs: each size of heads that has a kernel of its own and one that has not, and each pattern.
    "heads_of_32": TINY,
    "heads_of_40": TINY | dict(hidden=80),
    "heads_of_48": TINY | dict(hidden=96),
    "heads_of_64": TINY | dict(hidden=128),
    "heads_of_96": TINY | dict(hidden=192),
    "heads_of_128": TINY | dict(hidden=256),
    "heads_of_256": TINY | dict(hidden=256, heads=1),
    "window": TINY | dict(window=7),
    "window_of_a_tile": TINY | dict(hidden=128, window=64),
    "ALiBi": TINY | dict(hidden=128, alibi=True),
    "RoPE": TINY | dict(hidden=192, rope=10000.0),
    "RoPE_in_a_window": TINY | dict(hidden=128, rope=160000.0, window=33),
    "decoder": dict(layers=2, hidden=96, heads=4, kv_heads=2, head_size=64, intermediate=160, vocabulary=100, positions=512,
                    rope=1e6, decoder=True),
    # Enough for tiles of 128 queries on every processor of an H200 (src/engine/cuda/kernels/tiles.h).
    "decoder_of_16_heads": dict(layers=2, hidden=64, heads=16, kv_heads=4, head_size=64, intermediate=160, vocabulary=100, positions=512,
                                rope=1e6, decoder=True),
    "decoder_of_128": dict(layers=2, hidden=64, heads=4, kv_heads=1, head_size=128, intermediate=160, vocabulary=100, positions=512,
                           rope=1e6, decoder=True),
    "decoder_in_a_window": dict(layers=2, hidden=96, heads=4, kv_heads=4, head_size=32, intermediate=160, vocabulary=100,
                                positions=512, rope=1e4, decoder=True, window=40),
    # What few families have: Longformer's windows on tensor cores and without, DeBERTa-v2's convolution, experts.
    "window_and_first": TINY | dict(hidden=128, window=40, global_first=True),
    "window_and_first_of_40": TINY | dict(hidden=80, window=64, global_first=True),
    "convolution": TINY | dict(convolution=3),
    "experts": TINY | dict(experts=4, chosen=2),
    "decoder_of_experts": dict(layers=2, hidden=96, heads=4, kv_heads=2, head_size=32, intermediate=80, vocabulary=100, positions=512,
                               rope=1e6, decoder=True, experts=8, chosen=2),
    # Documents that are scored together: a vector of each sequence's last token, whose first number is compared.
    "vectors": dict(layers=2, hidden=96, heads=4, kv_heads=2, head_size=64, intermediate=160, vocabulary=100, positions=512,
                    rope=1e6, decoder=True, vector=24),
    "widths_of_312": TINY | dict(hidden=312, heads=3, intermediate=200),
}
CHECKED = [name for name in SHAPES if name not in ("MiniLM-L6", "XLM-R-large", "Qwen3-0.6B", "Longformer-base", "NomicBERT-MoE")]
# At the edges of attention's tiles of 64 and of the products' rows.
EDGES = [1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200, 3]


def names(shape):
    """name -> rows, columns of every tensor; columns 0: a vector."""
    hidden, inner = shape["hidden"], shape["intermediate"]
    if shape.get("decoder"):
        return decoder_names(shape)
    found = {"words": (shape["vocabulary"], hidden), "positions": (shape["positions"], hidden), "segments": (2, hidden)}
    linears = {"head_dense": (hidden, hidden), "head_output": (1, hidden)}
    norms = ["embedding_norm"]
    if shape.get("convolution"):
        linears["convolution"] = (hidden, shape["convolution"] * hidden)
        norms.append("convolution_norm")
    for i in range(shape["layers"]):
        parts = ("query", "key", "value", "attention_output") + (("global_query", "global_key", "global_value") if shape.get("global_first") else ())
        linears |= {f"{i}.{part}": (hidden, hidden) for part in parts}
        if shape.get("experts"):
            found |= expert_names(shape, i, ("up", "down"))
        else:
            linears |= {f"{i}.up": (inner, hidden), f"{i}.down": (hidden, inner)}
        norms += [f"{i}.attention_norm", f"{i}.output_norm"]
    for name, (out, inputs) in linears.items():
        found[name + ".weight"], found[name + ".bias"] = (out, inputs), (out, 0)
    for name in norms:
        found[name + ".weight"], found[name + ".bias"] = (hidden, 0), (hidden, 0)
    return found


def expert_names(shape, layer, parts):
    """Without biases."""
    hidden, inner, count = shape["hidden"], shape["intermediate"], shape["experts"]
    sizes = {"gate": (inner, hidden), "up": (inner, hidden), "down": (hidden, inner)}
    found = {f"{layer}.{e}.{part}.weight": sizes[part] for e in range(count) for part in parts}
    return found | {f"{layer}.router.weight": (count, hidden)}


def decoder_names(shape):
    """Of Qwen3: pre-norm with RMS norms, of queries and keys too, no biases, a head of one linear layer."""
    hidden, inner, size = shape["hidden"], shape["intermediate"], shape["head_size"]
    queries, keys = size * shape["heads"], size * shape["kv_heads"]
    found = {"words.": (shape["vocabulary"], hidden), "head_output.weight": (shape.get("vector", 1), hidden), "final_norm.weight": (hidden, 0)}
    if shape.get("vector"):
        found["head_dense.weight"] = (hidden, hidden)
    for i in range(shape["layers"]):
        parts = {"query": (queries, hidden), "key": (keys, hidden), "value": (keys, hidden), "attention_output": (hidden, queries),
                 "gate": (inner, hidden), "up": (inner, hidden), "down": (hidden, inner), "attention_norm": (hidden, 0),
                 "output_norm": (hidden, 0), "query_norm": (size, 0), "key_norm": (size, 0)}
        if shape.get("experts"):
            parts = {name: rows for name, rows in parts.items() if name not in ("gate", "up", "down")}
            found |= expert_names(shape, i, ("gate", "up", "down"))
        found |= {f"{i}.{name}.weight": rows for name, rows in parts.items()}
    return {name.rstrip("."): rows for name, rows in found.items()}


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
    EPSILON = 1e-6

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
        """Address and count; None where there is no such tensor."""
        return self.tensors[name].buffer_info() if name in self.tensors else None

    def slopes(self):
        """ALiBi's of each head (Press et al. 2022), for numbers of heads that are powers of two."""
        heads = self.shape["heads"]
        return array("f", (2.0 ** (-8.0 * (i + 1) / heads) for i in range(heads))) if self.shape.get("alibi") else array("f")

    def angles(self):
        """RoPE's cosines and sines: [positions][2][head size / 2]."""
        if not self.shape.get("rope"):
            return array("f")
        half = self.shape.get("head_size", self.shape["hidden"] // self.shape["heads"]) // 2
        turns = [self.shape["rope"] ** (-i / half) for i in range(half)]
        return array("f", (f(position * turn) for position in range(self.shape["positions"])
                           for f in (math.cos, math.sin) for turn in turns))


def random_sequences(shape, lengths, seed=2):
    rng = random.Random(seed)
    return [[rng.randrange(shape["vocabulary"]) for _ in range(length)] for length in lengths]


def operations(shape, lengths):
    """Multiplications and additions of a pass, twice counted; of the last block only those that the head needs."""
    hidden, inner, layers = shape["hidden"], shape["intermediate"], shape["layers"]
    size = shape.get("head_size", hidden // shape["heads"])
    queries, kv = size * shape["heads"], size * shape.get("kv_heads", shape["heads"])
    keys = 2 * 2 * hidden * kv
    experts = 2 * hidden * shape["experts"] if shape.get("experts") else 0  # of the router
    token = 2 * 2 * hidden * queries + keys + 2 * hidden * inner * (3 if shape.get("decoder") else 2) * shape.get("chosen", 1) + experts

    def seen(n):  # keys, of all queries of a sequence together
        if shape.get("window") and not shape.get("decoder"):
            return n * min(n, 2 * shape["window"] + 1 + shape.get("global_first", False))
        return n * min(n, shape["window"]) if shape.get("window") else n * n * (0.5 if shape.get("decoder") else 1)

    more = keys if shape.get("global_first") else 0  # those that the first query sees
    whole = sum(n * (token + more) + 4 * seen(n) * queries for n in lengths)
    last = sum(n * keys + token - keys + 4 * n * queries for n in lengths)
    return (layers - 1) * whole + last
