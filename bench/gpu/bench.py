#!/usr/bin/env python3
"""The CUDA engine on one GPU (bench/gpu/run.sh): the same random weights and token ids in it and in PyTorch.

    bench.py --library librerank_cuda.so about               what it is made of; needs no GPU
    bench.py ... devices                                     the GPU, or why there is none (ends with 1)
    bench.py ... smoke [--shapes a,b] [--precisions p,q]     every path once, without PyTorch: for compute-sanitizer
    bench.py ... check [--shapes ...] [--precisions ...]     answers against PyTorch in fp32, or the engine's own fp32
    bench.py ... measure [--only a,b]                        times in turns; PyTorch and the card's floors where it is

What is found is printed, and appended to --results as it comes.
"""
import argparse
import ctypes
import json
import math
import pathlib
import statistics
import sys
import time

import plugin as rerank
import shapes

# Allowed of |logit - fp32|, as a part of what lies between the largest logit and the smallest, as rounding grows with them; and the
# least correlation with fp32, which a constant does not have. Two to three times the worst that the emulation shows over
# shapes.CHECKED: fp32 1e-6, fp16 1.1e-3, bf16 7e-3, fp8 0.12 and 0.991.
PRECISIONS = {"fp32": (rerank.F32, 2e-5, 0.9999), "fp16": (rerank.F16, 3e-3, 0.9995), "bf16": (rerank.BF16, 2e-2, 0.999),
              "fp8": (rerank.FP8, 0.25, 0.98)}


class Results:
    """Lines for people and for programs, on disk when they are printed."""

    def __init__(self, path):
        self.path = path

    def say(self, text, **data):
        print(text, flush=True)
        if self.path:
            with open(self.path.with_suffix(".md"), "a") as file:
                file.write(text + "\n")
            if data:
                with open(self.path.with_suffix(".jsonl"), "a") as file:
                    file.write(json.dumps(data) + "\n")


def import_peer():
    """PyTorch's side where there is PyTorch, else None."""
    try:
        import peer
        return peer
    except ImportError:
        return None


def pack(sequences):
    offsets = [0]
    for sequence in sequences:
        offsets.append(offsets[-1] + len(sequence))
    return rerank.pack([i for sequence in sequences for i in sequence], offsets)


def open_engine(library, weights, precision, arguments, wgmma=True):
    engine = rerank.Engine(library, weights, PRECISIONS[precision][0])
    if arguments.candidates:
        engine.limit_tuning(arguments.candidates)
    engine.attention = engine.use_wgmma(wgmma)
    return engine


def correlation(a, b):
    mean_a, mean_b = statistics.mean(a), statistics.mean(b)
    over = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b))
    under = math.sqrt(sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b))
    return over / under if under > 0 else 0.0


# smoke

def smoke(library, arguments, results):
    failed = []
    for name in arguments.shapes:
        weights, kept = shapes.Weights(shapes.SHAPES[name]), b""
        for precision in arguments.precisions:
            if rerank.unsupported_reason(library, PRECISIONS[precision][0]):
                continue
            try:
                kept += smoke_one(library, weights, precision, arguments, kept)
            except rerank.Failure as failure:
                failed.append(f"{precision}, {name}")
                results.say(f"smoke {precision}, {name}: FAIL: {failure}", step="smoke", shape=name, precision=precision, ok=False)
    results.say("smoke: " + ("PASS" if not failed else "FAIL: " + "; ".join(failed)), step="smoke", ok=not failed)
    return not failed


def smoke_one(library, weights, precision, arguments, kept):
    """Launched one by one, recorded, from the graph, with two batches in flight: the same logits."""
    engine = open_engine(library, weights, precision, arguments)
    shares = weights.shape.get("decoder") and not weights.shape.get("vector")
    keeps = shares and engine.keep_prefixes(1 << 20) >= 70
    if engine.batch_tokens() == 0:
        raise rerank.Failure("the device's memory is full")
    engine.recall(kept)
    for lengths in ([1, 15, 16, 17, 63, 64, 65, 130], [200]):
        sequences = shapes.random_sequences(weights.shape, lengths)
        logits = engine.score(sequences)
        if any(x != x for x in logits):
            raise rerank.Failure("a logit is not a number")
        for how in ("recorded as a graph", "from its graph"):
            if engine.score(sequences) != logits:
                raise rerank.Failure(f"the same batch, {how}, has other logits")
        packed = pack(sequences)
        if any(engine.score_often(packed, times, 2) != logits for times in (2, 5)):
            raise rerank.Failure("with two batches in flight they have other logits")
    if shares:
        prefix, *rests = shapes.random_sequences(weights.shape, [70, 1, 20, 64, 3])
        logits = engine.score([prefix + rest for rest in rests])
        ways = {"after a shared prefix": engine.score_behind(prefix, rests, keep=keeps)}
        if keeps:
            ways["after a prefix that was kept"] = engine.score_kept(len(prefix), rests)
        for how, found in ways.items():
            apart = max(abs(a - b) for a, b in zip(logits, found))
            if not apart <= 4 * PRECISIONS[precision][1] * (max(logits) - min(logits)):
                raise rerank.Failure(f"{how} they have other logits, up to {apart:.2g} apart")
    found = b"".join(bytes(product) for product in engine.learned())
    engine.close()
    return found


# check

def check(library, arguments, results):
    """PASS or FAIL for each precision and shape; goes on after a failure."""
    peer = import_peer()
    device = "cuda" if peer and peer.torch.cuda.is_available() else "cpu"
    against = f"PyTorch fp32 on {device}" if peer else "the engine's own fp32 (there is no PyTorch)"
    results.say(f"\nAnswers against {against}:\n| precision | shape | largest difference, allowed | correlation | |\n|---|---|---|---|---|")
    fine = True
    for name in arguments.shapes:
        weights = shapes.Weights(shapes.SHAPES[name])
        longest = weights.shape["positions"]
        lengths = shapes.EDGES if arguments.quick else shapes.EDGES + [n for n in (255, 256, 257, 511, 512) if n <= longest]
        sequences = shapes.random_sequences(weights.shape, lengths)
        expected = None
        if peer:
            with peer.torch.inference_mode():
                model = peer.Peer(weights, device, peer.torch.float32)
                expected = [model.score_all(model.rectangles([s], 1, False))[0] for s in sequences]
        for precision in arguments.precisions:
            fine &= check_one(library, weights, (name, precision), sequences, expected, arguments, results)
    return fine


def check_one(library, weights, named, sequences, expected, arguments, results, wgmma=True):
    """Where attention is by wgmma, the same by mma.sync, too."""
    name, precision = named
    _, part, least = PRECISIONS[precision]
    if weights.shape.get("experts") and precision != "fp32":  # where rounding turns a choice around, a logit takes a step
        part, least = 2 * part, 1 - 2 * (1 - least)
    way = ""
    say = lambda text, **data: results.say(f"| {precision} | {name}{way} | {text}", step="check", precision=precision, shape=name, **data)
    if reason := rerank.unsupported_reason(library, PRECISIONS[precision][0]):
        say(f"- | - | not here: {reason} |")
        return True
    try:
        if expected is None:
            exact = open_engine(library, weights, "fp32", arguments)
            expected = exact.score(sequences)
            exact.close()
        engine = open_engine(library, weights, precision, arguments, wgmma)
        by_wgmma = engine.attention == "wgmma"
        way = ", wgmma" if by_wgmma else "" if wgmma else ", mma.sync"
        found = engine.score(sequences)
        engine.close()
    except rerank.Failure as failure:
        say(f"- | - | FAIL: {failure} |", ok=False, error=str(failure))
        return False
    apart = [abs(a - b) for a, b in zip(found, expected)]
    tolerance = part * (max(expected) - min(expected))
    largest = max(apart) if all(x == x for x in apart) else math.nan
    close = correlation(found, expected)
    ok = largest <= tolerance and close >= least
    worst = [len(s) for s, x in zip(sequences, apart) if not x <= tolerance]
    say(f"{largest:.2g}, {tolerance:.2g} | {close:.4f} | {'PASS' if ok else f'FAIL at lengths {worst}'} |",
        ok=ok, largest=largest, correlation=close, wgmma=by_wgmma)
    return ok and (not by_wgmma or check_one(library, weights, named, sequences, expected, arguments, results, False))


# measure

class Tuning:
    """A file of tuned products, as --tuning-cache keeps them, but for this script: of one device and its versions."""

    def __init__(self, library, path):
        self.path, self.identity, self.known, self.new = path, rerank.identity(library), b"", []
        if path and path.exists():
            kept = json.loads(path.read_text())
            self.known = bytes.fromhex(kept["products"]) if kept["identity"] == self.identity else b""

    def learn(self, engine):
        size = ctypes.sizeof(rerank.TunedProduct)
        known = {self.known[i:i + size] for i in range(0, len(self.known), size)}
        fresh = [product for product in engine.learned() if bytes(product) not in known]
        self.new += fresh
        self.known += b"".join(map(bytes, fresh))
        if self.path:
            self.path.write_text(json.dumps({"identity": self.identity, "products": self.known.hex()}))

    def show(self):
        gains = sorted(((p.untuned_microseconds / p.microseconds, i) for i, p in enumerate(self.new) if p.microseconds > 0), reverse=True)
        lines = [f"\nTuning: {len(gains)} products tuned in this run, {sum(gain > 1 for gain, _ in gains)} of them by another "
                 "algorithm than cuBLASLt's first guess"]
        for gain, i in gains[:8]:
            p = self.new[i]
            lines.append(f"  {gain:.2f} times as fast: {p.m} x {p.n} x {p.k}, {p.microseconds:.1f} us, of {p.candidates}")
        return "\n".join(lines)


class Bench:
    """Models are opened when they are first measured, and stay open."""

    def __init__(self, library, arguments, results):
        self.library, self.arguments, self.results = library, arguments, results
        self.peer = import_peer()
        if self.peer and not self.peer.torch.cuda.is_available():
            self.peer = None
        self.runs = 3 if arguments.quick else 15
        self.tuning = Tuning(library, arguments.tuning)
        self.weights, self.engines, self.peers = {}, {}, {}
        self.rate = self.bandwidth = self.start = None

    def seconds(self, body):
        """Of the engine's calls, which wait for their results; of PyTorch's with its stream."""
        if self.peer:
            self.peer.torch.cuda.synchronize()
        begin = time.perf_counter()
        body()
        if self.peer:
            self.peer.torch.cuda.synchronize()
        return time.perf_counter() - begin

    def weights_of(self, name):
        if name not in self.weights:
            self.weights[name] = shapes.Weights(shapes.SHAPES[name])
        return self.weights[name]

    def engine(self, name, precision):
        key = name, precision
        if key not in self.engines:
            engine = open_engine(self.library, self.weights_of(name), precision, self.arguments)
            if self.weights_of(name).shape.get("decoder"):
                engine.keep_prefixes(64 << 20)
            self.results.say(f"{name} {precision}: a batch may have {engine.batch_tokens()} tokens", step="room", model=name,
                             precision=precision)
            engine.recall(self.tuning.known)
            self.results.say(f"{name} {precision}: attention by {engine.attention}", step="attention", model=name, precision=precision)
            self.engines[key] = engine
        return self.engines[key]

    def peer_of(self, name):
        if name not in self.peers:
            self.peers[name] = self.peer.Peer(self.weights_of(name), "cuda", self.peer.torch.float16)
        return self.peers[name]

    def floors(self):
        self.results.say(f"\n{rerank.describe(self.library)}; {rerank.about(self.library)}", step="device", identity=self.tuning.identity)
        if not self.peer:
            return self.results.say("floors: not measured, there is no PyTorch that sees a GPU")
        self.rate, self.bandwidth, self.start = self.peer.floors(self.seconds)
        self.results.say(f"floors: matrices {self.rate / 1e12:.0f} TFLOP/s bf16, copies {self.bandwidth / 1e9:.0f} GB/s, a launch "
                         f"{self.start * 1e6:.1f} us", step="floors", rate=self.rate, bandwidth=self.bandwidth, launch=self.start)

    # One shape in turns: bf16, fp8, and PyTorch fp16 in rectangles as they come and sorted by length.
    def pairs(self, name, title, lengths, against_peer=True):
        sequences = shapes.random_sequences(self.weights_of(name).shape, lengths)
        packed, bodies = pack(sequences), {}
        for precision in ("bf16", "fp8"):
            if not rerank.unsupported_reason(self.library, PRECISIONS[precision][0]):
                engine = self.engine(name, precision)
                bodies[precision] = lambda engine=engine: engine.score_packed(packed)
        if self.peer and against_peer:
            model = self.peer_of(name)
            for how, by_length in (("PyTorch", False), ("PyTorch sorted", True)):
                inputs = model.rectangles(sequences, 32, by_length)
                bodies[how] = lambda inputs=inputs: model.score_all(inputs)
        self.head()
        times = {how: [] for how in bodies}
        for _ in range(self.runs + 3):
            for how, body in bodies.items():
                times[how].append(self.seconds(body))
        times = {how: found[3:] for how, found in times.items()}
        middle = {how: statistics.median(found) for how, found in times.items()}
        for (_, precision), engine in self.engines.items():
            self.tuning.learn(engine)
        cells = [show(times["bf16"])]
        cells.append(f"{100 * shapes.operations(shapes.SHAPES[name], lengths) / middle['bf16'] / self.rate:.0f} %" if self.rate else "-")
        cells.append(f"{show(times['fp8'])} ({middle['bf16'] / middle['fp8']:.2f} times as fast)" if "fp8" in times else "not here")
        for how in ("PyTorch", "PyTorch sorted"):
            cells.append(f"{show(times[how])} ({middle[how] / middle['bf16']:.2f})" if how in times else "-")
        self.results.say(f"| {name}, {title} | " + " | ".join(cells) + " |", step="measure", model=name, batch=title, seconds=middle)

    def head(self):
        self.results.say("\n| model, batch | rerankd bf16, ms | of the matrix rate | fp8, ms | PyTorch fp16, ms (times ours) | the same "
                         "sorted by length |\n|---|---|---|---|---|---|")

    def profiles(self, name, lengths):
        packed = pack(shapes.random_sequences(self.weights_of(name).shape, lengths))
        for precision in ("bf16", "fp8"):
            if not self.peer or rerank.unsupported_reason(self.library, PRECISIONS[precision][0]):
                continue
            engine = self.engine(name, precision)
            text = self.peer.profile(lambda engine=engine: engine.score_packed(packed))
            self.results.say(f"\n{name}, {precision}, by kernel:\n{text}", step="profile", model=name, precision=precision)

    # What a request's pairs begin with: for each pair, once, and from an earlier batch.
    def shared(self, name, prefix, lengths):
        beginning, *rests = shapes.random_sequences(self.weights_of(name).shape, [prefix] + lengths)
        engine = self.engine(name, "bf16")
        packed, times = pack([beginning + rest for rest in rests]), {"alone": [], "shared": [], "kept": []}
        engine.score_behind(beginning, rests, keep=True)
        for _ in range(self.runs + 3):
            times["alone"].append(self.seconds(lambda: engine.score_packed(packed)))
            times["shared"].append(self.seconds(lambda: engine.score_behind(beginning, rests)))
            times["kept"].append(self.seconds(lambda: engine.score_kept(len(beginning), rests)))
        alone, shared, kept = (statistics.median(found[3:]) for found in times.values())
        self.results.say(f"{name}, {len(lengths)} pairs after {prefix} tokens: {show(times['alone'][3:])} ms; shared in the batch "
                         f"{show(times['shared'][3:])} ms, {alone / shared:.2f} times as fast; kept from an earlier one {show(times['kept'][3:])} ms, "
                         f"{alone / kept:.2f} times as fast", step="shared", model=name, pairs=len(lengths), gain=alone / shared, kept_gain=alone / kept)

    # Small batches, launched one kernel after another and as a graph, in turns.
    def graphs(self, name, batches):
        engine = self.engine(name, "bf16")
        self.results.say(f"\n| {name}, batch | launched one by one, ms | as a graph, ms | times as fast |\n|---|---|---|---|")
        for count, length in batches:
            packed, times = pack(shapes.random_sequences(shapes.SHAPES[name], [length] * count)), {False: [], True: []}
            for on in [False, True] * 3:
                engine.use_graphs(on)
                found = [self.seconds(lambda: engine.score_packed(packed)) for _ in range(self.runs)]
                times[on] += found[min(3, self.runs - 1):]  # the first is launched one by one, the second recorded
            gain = statistics.median(times[False]) / statistics.median(times[True])
            self.results.say(f"| {count} x {length} | {show(times[False])} | {show(times[True])} | {gain:.2f} |", step="graphs",
                             batch=f"{count} x {length}", gain=gain)

    # Attention by wgmma and by mma.sync, in turns.
    def wgmma(self, name, batches):
        engine = self.engine(name, "bf16")
        if (attention := engine.use_wgmma(True)) != "wgmma":
            return self.results.say(f"wgmma: not measured: {attention}")
        self.results.say(f"\n| {name}, batch | by mma.sync, ms | by wgmma, ms | times as fast |\n|---|---|---|---|")
        for count, length in batches:
            packed, times = pack(shapes.random_sequences(shapes.SHAPES[name], [length] * count)), {False: [], True: []}
            for on in [False, True] * 3:
                engine.use_wgmma(on)
                times[on] += [self.seconds(lambda: engine.score_packed(packed)) for _ in range(self.runs)][min(3, self.runs - 1):]
            gain = statistics.median(times[False]) / statistics.median(times[True])
            self.results.say(f"| {count} x {length} | {show(times[False])} | {show(times[True])} | {gain:.2f} |", step="wgmma",
                             batch=f"{count} x {length}", gain=gain)

    # Batch after batch, each begun when the one before has ended, and with a second one in flight, in turns.
    def overlap(self, name, batches):
        engine = self.engine(name, "bf16")
        engine.use_graphs(True)
        self.results.say(f"\n| {name}, batch | one in flight, ms each | two in flight, ms each | times as fast |\n|---|---|---|---|")
        for count, length in batches:
            packed, times = pack(shapes.random_sequences(shapes.SHAPES[name], [length] * count)), {1: [], 2: []}
            engine.score_often(packed, 6, 2)  # both slots have their graphs
            often = 4 if self.arguments.quick else 20
            for in_flight in [1, 2] * (2 if self.arguments.quick else 8):
                times[in_flight].append(self.seconds(lambda: engine.score_often(packed, often, in_flight)) / often)
            gain = statistics.median(times[1]) / statistics.median(times[2])
            self.results.say(f"| {count} x {length} | {show(times[1])} | {show(times[2])} | {gain:.2f} |", step="overlap",
                             batch=f"{count} x {length}", gain=gain)


def mixed(count):
    return [32 + (i * 193) % 481 for i in range(count)]


# What decides comes first: each line is there when the next one hangs.
def measure(library, arguments, results):
    bench = Bench(library, arguments, results)
    if arguments.quick:  # over an emulation: every line, no time that means anything
        large, small, decoder, work = "heads_of_64", "heads_of_32", "decoder", [("2 x 16", [16] * 2)]
        batches, mixture = [(1, 16)], [5, 33, 17]
        families = [("window_and_first", "2 x 70", [70] * 2), ("experts", "2 x 16", [16] * 2)]
    else:
        large, small, decoder, work = "XLM-R-large", "MiniLM-L6", "Qwen3-0.6B", [("32 x 512", [512] * 32)]
        batches, mixture = [(1, 32), (4, 128), (16, 128), (66, 128)], mixed(96)
        families = [("Longformer-base", "8 x 2048", [2048] * 8), ("NomicBERT-MoE", "32 x 512", [512] * 32)]
    pairs = 2 if arguments.quick else 66
    parts = {
        "floors": bench.floors,
        "large": lambda: [bench.pairs(large, *one) for one in work],
        "profile": lambda: bench.profiles(large, work[0][1]),
        "wgmma": lambda: bench.wgmma(large, [(len(one[1]), one[1][0]) for one in work]),
        "mixed": lambda: bench.pairs(large, f"{len(mixture)} of {min(mixture)}-{max(mixture)}", mixture),
        "small": lambda: bench.pairs(small, "2 x 16" if arguments.quick else "66 x 128", [16] * 2 if arguments.quick else [128] * 66),
        "decoder": lambda: (bench.pairs(decoder, f"{pairs} x 150", [150] * pairs),
                            *(bench.shared(decoder, 50, [100] * n) for n in ((2,) if arguments.quick else (66, 8, 1)))),
        # Ours alone: PyTorch's side of them is for checking, and computes all experts for all rows.
        "families": lambda: [bench.pairs(*one, against_peer=False) for one in families],
        "graphs": lambda: bench.graphs(small, batches),
        "overlap": lambda: bench.overlap(small, batches),
    }
    failed = []
    for part in arguments.only or parts:
        try:
            parts[part]()
        except (rerank.Failure, RuntimeError) as failure:  # PyTorch's errors are RuntimeErrors
            failed.append(part)
            results.say(f"measure {part}: FAIL: {failure}", step="measure", part=part, ok=False)
    results.say(bench.tuning.show())
    return not failed


def show(times):
    quartiles = statistics.quantiles(times, n=4) if len(times) > 1 else times * 3
    return f"{1e3 * statistics.median(times):.2f} ({1e3 * quartiles[0]:.2f}-{1e3 * quartiles[2]:.2f})"


def listed(known):
    def parse(text):
        names = [name.strip() for name in text.split(",")]
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]}: there are {', '.join(known)}")
        return names
    return parse


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True)
    parser.add_argument("--shapes", type=listed(list(shapes.SHAPES)), default=shapes.CHECKED)
    parser.add_argument("--precisions", type=listed(list(PRECISIONS)), default=list(PRECISIONS))
    parser.add_argument("--only", type=listed(["floors", "large", "profile", "wgmma", "mixed", "small", "decoder", "graphs", "overlap", "families"]),
                        help="of measure: these parts")
    parser.add_argument("--candidates", type=int, default=0, help="of cuBLASLt's algorithms, how many are tried; 1: no tuning")
    parser.add_argument("--quick", action="store_true", help="tiny shapes and few runs: for an emulation")
    parser.add_argument("--tuning", type=pathlib.Path, help="where measure keeps what it has tuned: a second run shows times without tuning")
    parser.add_argument("--results", type=pathlib.Path, help="FILE.md and FILE.jsonl get what is found, as it comes")
    parser.add_argument("what", choices=["about", "devices", "smoke", "check", "measure"])
    arguments = parser.parse_args()
    import_peer()  # before the library: PyTorch's own cuBLASLt is then the one in use
    library = rerank.load(arguments.library)
    results = Results(arguments.results)
    if arguments.what == "about":
        print(rerank.about(library))
        return 0
    count = ctypes.c_int()
    rerank.call(library.devices, count)
    if arguments.what == "devices":
        print(f"{count.value} GPU: {rerank.describe(library)}")
        return 0
    return 0 if {"smoke": smoke, "check": check, "measure": measure}[arguments.what](library, arguments, results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except rerank.Failure as failure:
        sys.exit(f"bench/gpu: {failure}")
