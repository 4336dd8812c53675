"""librerank_cuda.so from Python: the structs of src/engine/cuda/plugin.h, and an engine over them."""
import ctypes as c
import pathlib
import sys

MAJOR = 11
F32, F16, BF16, FP8 = 0, 1, 2, 3
GELU, RELU, SILU, TANH = 0, 2, 3, 4
FIRST, LAST, MARKED = 0, 2, 4


class Tensor(c.Structure):
    _fields_ = [("data", c.c_void_p), ("type", c.c_int), ("count", c.c_uint64)]


class Linear(c.Structure):
    _fields_ = [("weight", Tensor), ("bias", Tensor), ("out", c.c_uint32), ("inputs", c.c_uint32)]


class Norm(c.Structure):
    _fields_ = [("gamma", Tensor), ("beta", Tensor)]


class Pattern(c.Structure):
    _fields_ = [("window", c.c_uint32), ("causal", c.c_uint32), ("scale", c.c_float), ("softcap", c.c_float), ("slopes", Tensor),
                ("angles", Tensor)]


class Relative(c.Structure):
    _fields_ = [("keys", Tensor), ("queries", Tensor), ("bias", Tensor), ("reach", c.c_uint32)]


class Expert(c.Structure):
    _fields_ = [("gate", Linear), ("up", Linear), ("down", Linear)]


class Layer(c.Structure):
    _fields_ = [(name, Linear) for name in ("query", "key", "value", "attention_output", "gate", "up", "down")] + [
        ("attention_norm", Norm), ("output_norm", Norm), ("pattern", Pattern), ("pre_norm", c.c_uint32), ("relative", Relative)] + [
        (name, Norm) for name in ("query_norm", "key_norm", "attention_sum_norm", "output_sum_norm")] + [
        (name, Linear) for name in ("global_query", "global_key", "global_value", "router")] + [
        ("experts", c.POINTER(Expert)), ("experts_bias", Tensor)]


class Model(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("layer_size", c.c_size_t)] + [(name, c.c_uint32) for name in
                ("layers", "hidden", "heads", "kv_heads", "head_size", "intermediate", "embedding", "labels", "position_offset")] + [
        ("epsilon", c.c_float), ("activation", c.c_int), ("head_activation", c.c_int), ("gated", c.c_uint32), ("fast_accumulation", c.c_uint32), ("rms", c.c_uint32),
        ("words", Tensor), ("positions", Tensor), ("segments", Tensor),
        ("embedding_norm", Norm), ("final_norm", Norm), ("head_norm", Norm), ("head_epsilon", c.c_float), ("head_softcap", c.c_float),
        ("scored", c.c_uint32), ("projection", Linear), ("head_dense", Linear), ("head_output", Linear),
        ("first_output", c.c_uint32), ("outputs", c.POINTER(Linear)), ("layer", c.POINTER(Layer)),
        ("convolution", Linear), ("convolution_norm", Norm), ("convolution_width", c.c_uint32), ("convolution_activation", c.c_int)] + [
        (name, c.c_uint32) for name in ("experts", "chosen", "normalized_shares", "global_first")]


class Batch(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("ids", c.c_void_p), ("segments", c.c_void_p), ("offsets", c.c_void_p),
                ("queries", c.c_void_p), ("sequences", c.c_uint32), ("shared", c.c_uint32), ("behind", c.c_void_p),
                ("prefix_row_count", c.c_uint32), ("keep_count", c.c_uint32)] + [
        (name, c.c_void_p) for name in ("prefix_rows", "prefix_begins", "prefix_counts", "keep_rows", "keep_slots")] + [
        ("marked_count", c.c_uint32), ("marked_rows", c.c_void_p)]  # from minor 3 on


class TunedProduct(c.Structure):
    _fields_ = [("type", c.c_int32), ("epilogue", c.c_int32)] + [
        (name, c.c_uint32) for name in ("m", "n", "k", "alignment", "candidates")] + [
        ("microseconds", c.c_float), ("untuned_microseconds", c.c_float), ("reserved", c.c_uint32), ("algorithm", c.c_uint64 * 8)]


ERROR = [c.c_char_p, c.c_size_t]


class Plugin(c.Structure):
    _fields_ = [
        ("struct_size", c.c_size_t), ("major", c.c_uint32), ("minor", c.c_uint32),
        ("about", c.CFUNCTYPE(c.c_int, c.c_char_p, c.c_size_t, *ERROR)),
        ("devices", c.CFUNCTYPE(c.c_int, c.POINTER(c.c_int), *ERROR)),
        ("describe", c.CFUNCTYPE(c.c_int, c.c_int, c.c_int, c.c_char_p, c.c_size_t, *ERROR)),
        ("open", c.CFUNCTYPE(c.c_int, c.POINTER(Model), c.c_int, c.c_int, c.POINTER(c.c_void_p), *ERROR)),
        ("start", c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_uint32, c.POINTER(Batch), *ERROR)),
        ("step", c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, *ERROR)),
        ("keep", c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_uint32, *ERROR)),
        ("launch", c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_uint32, *ERROR)),
        ("finish", c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_uint32, c.c_void_p, *ERROR)),
        ("batch_tokens", c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(c.c_uint64), *ERROR)),
        ("identity", c.CFUNCTYPE(c.c_int, c.c_int, c.c_char_p, c.c_size_t, *ERROR)),
        ("recall", c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(TunedProduct), c.c_uint32, *ERROR)),
        ("learned", c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(c.POINTER(TunedProduct)), c.POINTER(c.c_uint32), *ERROR)),
        ("limit_tuning", c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_uint32, *ERROR)),
        ("use_graphs", c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_int, *ERROR)),
        ("use_wgmma", c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_int, c.c_char_p, c.c_size_t, *ERROR)),
        ("close", c.CFUNCTYPE(None, c.c_void_p)),
        ("keep_prefixes", c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_uint64, c.POINTER(c.c_uint32), *ERROR)),  # from minor 2 on
    ]


def torch_cublas():
    """The folders of cuBLASLt's wheel, which PyTorch brings, in this Python environment."""
    return [folder / "lib" for path in sys.path for folder in pathlib.Path(path).glob("nvidia/cu1*")
            if any((folder / "lib").glob("libcublasLt.so.*"))]


def open_library(path):
    """librerank_cuda.so; where its run path has no cuBLASLt, with that of PyTorch's wheels."""
    try:
        return c.CDLL(path)
    except OSError as error:
        for folder in torch_cublas():
            for file in folder.glob("libcublasLt.so.*"):
                c.CDLL(str(file), mode=c.RTLD_GLOBAL)
        if "libcublasLt" not in str(error):
            raise
        return c.CDLL(path)


def load(path):
    get = open_library(path).rerank_cuda_plugin
    get.restype = c.POINTER(Plugin)
    plugin = get().contents
    if plugin.major != MAJOR:
        raise Failure(f"{path} is version {plugin.major}.{plugin.minor} of the plugin, this script knows {MAJOR}")
    return plugin


class Failure(Exception):
    """What the library says, or what its answers show."""


def call(function, *arguments):
    message = c.create_string_buffer(512)
    if function(*arguments, message, 512) != 0:
        raise Failure("librerank_cuda.so: " + message.value.decode())


def about(plugin):
    """What the library is made of, and where cuBLASLt was found."""
    text = c.create_string_buffer(1024)
    call(plugin.about, text, 1024)
    return text.value.decode()


def describe(plugin, device=0):
    text = c.create_string_buffer(256)
    call(plugin.describe, device, F32, text, 256)
    return text.value.decode()


def identity(plugin, device=0):
    """What tuned products hold for."""
    text = c.create_string_buffer(512)
    call(plugin.identity, device, text, 512)
    return text.value.decode()


def unsupported_reason(plugin, precision, device=0):
    """Empty where the device computes in this precision."""
    text, message = c.create_string_buffer(256), c.create_string_buffer(512)
    return "" if plugin.describe(device, precision, text, 256, message, 512) == 0 else message.value.decode()


class Engine:
    """One model on one device. `weights` (shapes.py): .shape, .tensor(name) -> (address, count) of fp32, or None where there is
    no such tensor, .slopes() and .angles(), arrays of fp32 that may be empty."""

    def __init__(self, plugin, weights, precision, fast=False, device=0):
        shape, tensor = weights.shape, weights.tensor
        if plugin.minor < 1 and any(shape.get(part) for part in ("experts", "convolution", "global_first")):
            raise Failure("the library is older than experts, convolutions and global first tokens")
        if plugin.minor < 3 and shape.get("vector"):
            raise Failure("the library is older than vectors of marked tokens")
        self.plugin, self.layers, self.vector = plugin, shape["layers"], shape.get("vector")
        hidden, inner, decoder = shape["hidden"], shape["intermediate"], bool(shape.get("decoder"))
        size = shape.get("head_size", hidden // shape["heads"])
        queries, keys = size * shape["heads"], size * shape.get("kv_heads", shape["heads"])

        def get(name):
            found = tensor(name)
            return Tensor(found[0], F32, found[1]) if found else Tensor()

        def linear(name, out, inputs):
            weight = get(name + ".weight")
            return Linear(weight, get(name + ".bias"), out, inputs) if weight.count else Linear()

        def norm(name):
            return Norm(get(name + ".weight"), get(name + ".bias"))

        def floats(values):
            return Tensor(values.buffer_info()[0] if values else None, F32, len(values))

        slopes, angles = weights.slopes(), weights.angles()
        layers = (Layer * self.layers)()
        for i in range(self.layers):
            parts = {"query": (queries, hidden), "key": (keys, hidden), "value": (keys, hidden), "attention_output": (hidden, queries),
                     "gate": (inner, hidden), "up": (inner, hidden), "down": (hidden, inner), "router": (shape.get("experts", 0), hidden),
                     "global_query": (queries, hidden), "global_key": (keys, hidden), "global_value": (keys, hidden)}
            for name, (out, inputs) in parts.items():
                setattr(layers[i], name, linear(f"{i}.{name}", out, inputs))
            for name in ("attention_norm", "output_norm", "query_norm", "key_norm"):
                setattr(layers[i], name, norm(f"{i}.{name}"))
            experts = [Expert(*(linear(f"{i}.{e}.{name}", *parts[name]) for name in ("gate", "up", "down")))
                       for e in range(shape.get("experts", 0))]
            layers[i].experts = (Expert * len(experts))(*experts) if experts else None
            layers[i].pattern = Pattern(shape.get("window", 0), decoder, 0, 0, floats(slopes), floats(angles))
            layers[i].pre_norm = decoder
        model = Model(c.sizeof(Model), c.sizeof(Layer), self.layers, hidden, shape["heads"], keys // size, size, inner, hidden, self.vector or 1, 0,
                      weights.EPSILON, SILU if decoder else GELU, RELU if self.vector else TANH, decoder, fast, decoder, get("words"), get("positions"),
                      get("segments"), norm("embedding_norm"), norm("final_norm"), Norm(), 0, 0, MARKED if self.vector else LAST if decoder else FIRST, Linear(),
                      linear("head_dense", hidden, hidden), linear("head_output", self.vector or 1, hidden), 0, None, layers,
                      linear("convolution", hidden, shape.get("convolution", 0) * hidden), norm("convolution_norm"),
                      shape.get("convolution", 0), TANH, shape.get("experts", 0), shape.get("chosen", 0), decoder,
                      shape.get("global_first", False))
        self.engine = c.c_void_p()
        call(plugin.open, model, precision, device, self.engine)

    def batch_tokens(self):
        """How many tokens a batch may have by the device's free memory; before the first batch."""
        tokens = c.c_uint64()
        call(self.plugin.batch_tokens, self.engine, tokens)
        return tokens.value

    def limit_tuning(self, candidates):
        """How many of cuBLASLt's algorithms are tried; 1: its first guess is taken. Before the first batch."""
        call(self.plugin.limit_tuning, self.engine, candidates)

    def use_graphs(self, on):
        call(self.plugin.use_graphs, self.engine, int(on))

    def use_wgmma(self, on):
        """What attention multiplies with now, and why."""
        text = c.create_string_buffer(256)
        call(self.plugin.use_wgmma, self.engine, int(on), text, 256)
        return text.value.decode()

    def recall(self, products):
        """Bytes that learned() has given: nothing of them is tuned anew. Before the first batch."""
        count = len(products) // c.sizeof(TunedProduct)
        call(self.plugin.recall, self.engine, (TunedProduct * count).from_buffer_copy(products), count)

    def learned(self):
        """All tuned products where there are new ones, else none."""
        products, count = c.POINTER(TunedProduct)(), c.c_uint32()
        call(self.plugin.learned, self.engine, products, count)
        return list(products[:count.value])

    def close(self):
        self.plugin.close(self.engine)

    def score(self, sequences, segments=None):
        """Logits of lists of token ids; segments: lists of theirs, else 0."""
        ids = [i for sequence in sequences for i in sequence]
        offsets = [0]
        for sequence in sequences:
            offsets.append(offsets[-1] + len(sequence))
        return self.score_packed(pack(ids, offsets, [kind for kinds in segments or () for kind in kinds]))

    def score_packed(self, packed):
        self.launch(0, packed)
        return self.finish(0, packed)

    def score_often(self, packed, times, in_flight):
        """The same batch so many times, with one or two of them in flight: the logits of the last."""
        for i in range(times):
            self.launch(i % in_flight, packed)
            if i + 1 >= in_flight:
                logits = self.finish((i + 1) % in_flight, packed)
        return logits if in_flight == 1 else self.finish((times - 1) % in_flight, packed)

    def keep_prefixes(self, size):
        """Memory for what batches keep for later ones; before batch_tokens(). How many tokens it holds."""
        if self.plugin.minor < 2:
            raise Failure("the library is older than prefixes that are kept")
        slots = c.c_uint32()
        call(self.plugin.keep_prefixes, self.engine, size, slots)
        return slots.value

    def score_kept(self, count, rests):
        """Logits of sequences that begin with what the first slots keep."""
        ids, offsets = [i for rest in rests for i in rest], [0]
        for rest in rests:
            offsets.append(offsets[-1] + len(rest))
        packed, slots = pack(ids, offsets), (c.c_uint32 * count)(*range(count))
        begins, counts = (c.c_uint32 * len(rests))(), (c.c_uint32 * len(rests))(*[count] * len(rests))
        self.launch(0, packed, 0, None, prefix_row_count=count, prefix_rows=c.addressof(slots), prefix_begins=c.addressof(begins),
                    prefix_counts=c.addressof(counts))
        return self.finish(0, packed)

    def score_behind(self, prefix, rests, keep=False):
        """Logits of sequences that begin with the same ids, which are computed once; of causal models. keep: in the first slots."""
        ids, offsets = list(prefix), [0, len(prefix)]
        for rest in rests:
            ids += rest
            offsets.append(len(ids))
        packed = pack(ids, offsets)
        behind = (c.c_uint32 * len(rests))()
        rows = (c.c_uint32 * len(prefix))(*range(len(prefix)))
        kept = dict(keep_count=len(prefix), keep_rows=c.addressof(rows), keep_slots=c.addressof(rows)) if keep else {}
        self.launch(0, packed, 1, behind, **kept)
        return self.finish(0, packed)[:len(rests)]

    def launch(self, slot, packed, shared=0, behind=None, **prefixes):
        """Queues a batch after those of other slots."""
        ids, segments, offsets, count = packed
        queries = (c.c_uint32 * count)()
        marked = (c.c_uint32 * count)(*(end - 1 for end in offsets[1:])) if self.vector else None
        batch = Batch(c.sizeof(Batch), c.addressof(ids), c.addressof(segments), c.addressof(offsets), c.addressof(queries),
                      count - shared, shared, c.addressof(behind) if behind else None, marked_count=count if marked else 0,
                      marked_rows=c.addressof(marked) if marked else None, **prefixes)
        call(self.plugin.start, self.engine, slot, batch)
        call(self.plugin.launch, self.engine, self.layers)

    def finish(self, slot, packed):
        width = self.vector or 1
        logits = (c.c_float * (packed[-1] * width))()
        call(self.plugin.finish, self.engine, slot, c.addressof(logits))
        return list(logits)[::width]


def pack(ids, offsets, segments=()):
    return ((c.c_int32 * len(ids))(*ids), (c.c_int32 * len(ids))(*segments), (c.c_uint32 * len(offsets))(*offsets),
            len(offsets) - 1)
