#!/usr/bin/env python3
"""The CUDA engine against PyTorch (bench/gpu/run.sh): the same random weights and token ids in both.

    bench.py --library librerank_cuda.so check      answers against PyTorch in fp32
    bench.py --library librerank_cuda.so measure    times in turns, the card's limits, time of each kernel
    bench.py --library librerank_cuda.so smoke      without PyTorch: for compute-sanitizer
"""
import argparse
import ctypes
import json
import pathlib
import random
import statistics
import time
from array import array

import plugin as rerank

SHAPES = {
    "tiny": dict(layers=2, hidden=64, heads=2, intermediate=128, vocabulary=100, positions=512),
    "MiniLM-L6": dict(layers=6, hidden=384, heads=12, intermediate=1536, vocabulary=30522, positions=512),
    "XLM-R-large": dict(layers=24, hidden=1024, heads=16, intermediate=4096, vocabulary=250002, positions=514),
}
PRECISIONS = {"fp32": (rerank.F32, 2e-4), "fp16": (rerank.F16, 1e-2), "bf16": (rerank.BF16, 3e-2), "fp8": (rerank.FP8, 3e-1)}


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
    return (1.0 / columns ** 0.5 if name.endswith("weight") else 1.0 if columns else 0.02), 0.0


# PyTorch's side: post-norm BERT with scaled_dot_product_attention, as transformers computes it.
class Torch:
    def __init__(self, shape, seed=1):
        import torch
        self.torch, self.shape = torch, shape
        generator = torch.Generator().manual_seed(seed)
        self.exact = {}
        for name, (rows, columns) in names(shape).items():
            deviation, mean = spread(name, columns)
            size = (rows, columns) if columns else (rows,)
            self.exact[name] = torch.randn(size, generator=generator) * deviation + mean

    def tensor(self, name):
        tensor = self.exact[name]
        return tensor.data_ptr(), tensor.numel()

    def to(self, device, dtype):
        self.device = device
        self.w = {name: tensor.to(device, dtype) for name, tensor in self.exact.items()}
        return self

    def score(self, sequences):
        """Logits of one padded rectangle."""
        torch, f, w, shape = self.torch, self.torch.nn.functional, self.w, self.shape
        longest, heads = max(map(len, sequences)), shape["heads"]
        ids = torch.zeros(len(sequences), longest, dtype=torch.long)
        there = torch.zeros(len(sequences), longest, dtype=torch.bool)
        for i, sequence in enumerate(sequences):
            ids[i, :len(sequence)], there[i, :len(sequence)] = torch.tensor(sequence), True
        ids, there = ids.to(self.device), there.to(self.device)
        mask = None if bool(there.all()) else there[:, None, None, :]

        def linear(name, x):
            return f.linear(x, w[name + ".weight"], w[name + ".bias"])

        def norm(name, x):
            return f.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], 1e-12)

        def split(x):
            return x.view(*x.shape[:2], heads, -1).transpose(1, 2)

        x = norm("embedding_norm", w["words"][ids] + w["positions"][:longest] + w["segments"][0])
        for i in range(shape["layers"]):
            q, k, v = (split(linear(f"{i}.{part}", x)) for part in ("query", "key", "value"))
            context = f.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
            x = norm(f"{i}.attention_norm", x + linear(f"{i}.attention_output", context))
            x = norm(f"{i}.output_norm", x + linear(f"{i}.down", f.gelu(linear(f"{i}.up", x))))
        return linear("head_output", torch.tanh(linear("head_dense", x[:, 0])))[:, 0].float()

    def score_sorted(self, sequences, rows=32):
        """As a careful user does: sorted by length, in rectangles."""
        order = sorted(sequences, key=len)
        return [self.score(order[i:i + rows]) for i in range(0, len(order), rows)]


def random_sequences(shape, lengths, seed=2):
    rng = random.Random(seed)
    return [[rng.randrange(shape["vocabulary"]) for _ in range(length)] for length in lengths]


def check(library, device):
    shape = SHAPES["tiny"] if device == "cpu" else SHAPES["MiniLM-L6"]
    lengths = [1, 15, 16, 17, 63, 64, 65, 200, 3, 128] + ([] if device == "cpu" else [512, 511])
    sequences = random_sequences(shape, lengths)
    model = Torch(shape).to(device, None)
    with model.torch.inference_mode():
        expected = [float(model.score([sequence])[0]) for sequence in sequences]
    for precision, (code, tolerance) in PRECISIONS.items():
        if reason := rerank.unsupported_reason(library, code):
            print(f"check {precision}: not here: {reason}")
            continue
        engine = rerank.Engine(library, shape, model.tensor, code)
        largest = max(abs(a - b) for a, b in zip(engine.score(sequences), expected))
        engine.close()
        print(f"check {precision}: largest |logit - PyTorch fp32| {largest:.2g}, allowed {tolerance:g}")
        if not largest <= tolerance:
            raise SystemExit("wrong answers: nothing is measured")


def pack(sequences):
    offsets = [0]
    for sequence in sequences:
        offsets.append(offsets[-1] + len(sequence))
    return rerank.pack([i for sequence in sequences for i in sequence], offsets)


def smoke(library):
    shape, rng = SHAPES["tiny"], random.Random(1)
    kept, kept_products = {}, b""

    def tensor(name):
        rows, columns = names(shape)[name]
        deviation, mean = spread(name, columns)
        kept[name] = array("f", (rng.gauss(mean, deviation) for _ in range(rows * max(1, columns))))
        return kept[name].buffer_info()

    for code, _ in PRECISIONS.values():
        if rerank.unsupported_reason(library, code):
            continue
        engine = rerank.Engine(library, shape, tensor, code)
        if engine.batch_tokens() == 0:
            raise SystemExit("the device's memory is full")
        engine.recall(kept_products)
        for lengths in ([1, 15, 16, 17, 63, 64, 65, 130], [200]):
            logits = engine.score(random_sequences(shape, lengths))
            if any(x != x for x in logits):
                raise SystemExit("a logit is not a number")
            for how in ("recorded as a graph", "from its graph"):
                if engine.score(random_sequences(shape, lengths)) != logits:
                    raise SystemExit(f"the same batch, {how}, has other logits")
            packed = pack(random_sequences(shape, lengths))
            if any(engine.score_often(packed, times, 2) != logits for times in (2, 5)):
                raise SystemExit("with two batches in flight they have other logits")
        kept_products += b"".join(bytes(product) for product in engine.learned())
        engine.close()
    print("smoke: done")


def seconds(torch, body):
    torch.cuda.synchronize()
    begin = time.perf_counter()
    body()
    torch.cuda.synchronize()
    return time.perf_counter() - begin


def floors(torch):
    """Matrix products per second (bf16, large) and bytes copied per second: what nothing can beat."""
    n = 8192
    a, b = (torch.randn(n, n, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    products = [seconds(torch, lambda: torch.matmul(a, b)) for _ in range(12)][2:]
    x = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    y = torch.empty_like(x)
    copies = [seconds(torch, lambda: y.copy_(x)) for _ in range(12)][2:]
    return 2 * n ** 3 / statistics.median(products), 2 * x.numel() / statistics.median(copies)


def operations(shape, lengths):
    hidden, inner = shape["hidden"], shape["intermediate"]
    token = 2 * (4 * hidden * hidden + 2 * hidden * inner)
    return shape["layers"] * sum(n * token + 4 * n * n * hidden for n in lengths)


class Tuning:
    """A file of tuned products, as --tuning-cache keeps them, but for this script: of one device and its versions."""

    def __init__(self, library, path):
        self.path, self.identity, self.known, self.new = path, rerank.identity(library), b"", []
        if path.exists():
            kept = json.loads(path.read_text())
            self.known = bytes.fromhex(kept["products"]) if kept["identity"] == self.identity else b""
        print(f"\ntuning: {len(self.known) // ctypes.sizeof(rerank.TunedProduct)} products known from {path}")

    def learn(self, engine):
        known = {self.known[i:i + size] for size in [ctypes.sizeof(rerank.TunedProduct)]
                 for i in range(0, len(self.known), size)}
        fresh = [product for product in engine.learned() if bytes(product) not in known]
        self.new += fresh
        self.known += b"".join(map(bytes, fresh))
        self.path.write_text(json.dumps({"identity": self.identity, "products": self.known.hex()}))

    def show(self):
        gains = sorted((p.untuned_microseconds / p.microseconds, p) for p in self.new if p.microseconds > 0)
        print(f"\ntuning: {len(gains)} products tuned in this run, {sum(gain > 1 for gain, _ in gains)} of them by another "
              "algorithm than cuBLASLt's first guess")
        for gain, p in gains[::-1][:8]:
            print(f"  {gain:.2f} times faster: {p.m} x {p.n} x {p.k}, {p.microseconds:.1f} us, of {p.candidates}")


def measure(library, tuning_file):
    import torch
    tuning = Tuning(library, tuning_file)
    rate, bandwidth = floors(torch)
    print(f"\n{rerank.describe(library)}: matrices {rate / 1e12:.0f} TFLOP/s bf16, copies {bandwidth / 1e9:.0f} GB/s")
    fp8 = not rerank.unsupported_reason(library, rerank.FP8)
    print("| model, batch | PyTorch fp16, ms | rerankd bf16, ms | times faster | of the matrix rate | rerankd fp8, ms | "
          "bf16 / fp8 |\n|---|---|---|---|---|---|---|")
    rng = random.Random(3)
    work = [("MiniLM-L6", "66 x 128", [128] * 66), ("XLM-R-large", "32 x 512", [512] * 32),
            ("XLM-R-large", "96 x 32-512", [rng.randrange(32, 513) for _ in range(96)])]
    models, engines, budgets = {}, {}, {}
    for name, title, lengths in work:
        shape = SHAPES[name]
        if name not in models:
            models[name] = Torch(shape).to("cuda", torch.float16)
            engines[name] = [rerank.Engine(library, shape, models[name].tensor, code)
                             for code in [rerank.BF16] + [rerank.FP8] * fp8]
            budgets[name] = engines[name][0].batch_tokens()
            for engine in engines[name]:
                engine.recall(tuning.known)
        model, sequences = models[name], random_sequences(shape, lengths)
        engine, *eight = engines[name]
        packed = pack(sequences)
        theirs, ours, eights = [], [], []
        with torch.inference_mode():
            for _ in range(15):
                theirs.append(seconds(torch, lambda: model.score_sorted(sequences)))
                ours.append(seconds(torch, lambda: engine.score_packed(packed)))
                eights += [seconds(torch, lambda: other.score_packed(packed)) for other in eight]
        for other in engines[name]:
            tuning.learn(other)
        theirs, ours, eights = theirs[3:], ours[3:], eights[3:]
        a, b = statistics.median(theirs), statistics.median(ours)
        print(f"| {name}, {title} | {show(theirs)} | {show(ours)} | {a / b:.2f} | "
              f"{100 * operations(shape, lengths) / b / rate:.0f} % | " +
              (f"{show(eights)} | {b / statistics.median(eights):.2f} |" if eights else "not here | |"))
        if (name, title) == ("XLM-R-large", "32 x 512"):
            profiled = "\n\n".join(profile(torch, other, packed) for other in engines[name])
    tuning.show()
    show_graphs(torch, engines["MiniLM-L6"][0])
    show_overlap(torch, engines["MiniLM-L6"][0])
    print("\ntokens that a batch may have: " + ", ".join(f"{name} {tokens}" for name, tokens in budgets.items()))
    print("\nXLM-R-large, 32 x 512, by kernel, bf16 and fp8:\n" + profiled)


def show_graphs(torch, engine):
    """Small batches, launched one kernel after another and as a graph, in turns."""
    print("\n| MiniLM-L6, batch | launched one by one, ms | as a graph, ms | times faster |\n|---|---|---|---|")
    for count, length in ((1, 32), (4, 128), (16, 128)):
        packed, times = pack(random_sequences(SHAPES["MiniLM-L6"], [length] * count)), {False: [], True: []}
        for on in [False, True] * 3:
            engine.use_graphs(on)
            runs = [seconds(torch, lambda: engine.score_packed(packed)) for _ in range(15)]
            times[on] += runs[3:]  # the first is launched one by one, the second recorded
        gain = statistics.median(times[False]) / statistics.median(times[True])
        print(f"| {count} x {length} | {show(times[False])} | {show(times[True])} | {gain:.2f} |")


def show_overlap(torch, engine):
    """Batch after batch, each begun when the one before has ended, and with a second one in flight, in turns."""
    print("\n| MiniLM-L6, batch | one in flight, ms each | two in flight, ms each | times faster |\n|---|---|---|---|")
    engine.use_graphs(True)
    for count, length in ((1, 32), (4, 128), (16, 128), (66, 128)):
        packed, times = pack(random_sequences(SHAPES["MiniLM-L6"], [length] * count)), {1: [], 2: []}
        engine.score_often(packed, 6, 2)  # both slots have their graphs
        for in_flight in [1, 2] * 8:
            times[in_flight].append(seconds(torch, lambda: engine.score_often(packed, 20, in_flight)) / 20)
        gain = statistics.median(times[1]) / statistics.median(times[2])
        print(f"| {count} x {length} | {show(times[1])} | {show(times[2])} | {gain:.2f} |")


def show(times):
    quartiles = statistics.quantiles(times, n=4)
    return f"{1e3 * statistics.median(times):.2f} ({1e3 * quartiles[0]:.2f}-{1e3 * quartiles[2]:.2f})"


def profile(torch, engine, packed):
    from torch.profiler import ProfilerActivity
    with torch.profiler.profile(activities=[ProfilerActivity.CUDA]) as profiler:
        engine.score_packed(packed)
        torch.cuda.synchronize()
    rows = []
    for event in profiler.key_averages():
        total = getattr(event, "device_time_total", 0) or getattr(event, "cuda_time_total", 0)
        rows.append((total, event.count, event.key))
    everything = sum(row[0] for row in rows) or 1
    return "\n".join(f"  {100 * total / everything:5.1f} %  {total / 1e3:8.3f} ms  {count:4d} x  {key[:90]}"
                     for total, count, key in sorted(rows, reverse=True)[:12])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True)
    parser.add_argument("--torch-device", default="cuda", choices=["cuda", "cpu"],
                        help="where PyTorch computes for check; cpu goes with an emulated library")
    parser.add_argument("--tuning", type=pathlib.Path, default=pathlib.Path("tuning.json"),
                        help="where measure keeps what it has tuned: a second run shows times without tuning")
    parser.add_argument("what", choices=["check", "measure", "smoke"])
    arguments = parser.parse_args()
    library = rerank.load(arguments.library)
    count = ctypes.c_int()
    rerank.call(library.devices, count)
    {"check": lambda: check(library, arguments.torch_device), "measure": lambda: measure(library, arguments.tuning),
     "smoke": lambda: smoke(library)}[arguments.what]()


if __name__ == "__main__":
    main()
