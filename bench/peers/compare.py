#!/usr/bin/env python3
"""rerankd's CPU engine against ONNX Runtime, PyTorch and OpenVINO, interleaved in one run on one model, answers checked first.

Usage: compare.py --engine build/release/engine_bench [--model FOLDER | --shape minilm|base|large|modernbert|deberta] [--documents 66]
                  [--lengths 128 | 32-512] [--threads 2] [--rounds 7] [--ours bf16,int8,fp32:avx512]
                  [--peers ort-fp32,ort-int8,ortplain-fp32,ortplain-int8,torch-fp32,torch-bf16,openvino-fp32,openvino-bf16,
                   openvino-int8,sentence-fp32,sentence-bf16]
                  [--batch 8] [--before OTHER/engine_bench]

--ours names precisions, each with a kernel tier after a colon if it is not to be picked; --before is engine_bench of another
commit: one more contender in each of them. Prints per contender the median time of the batch and pairs per second, and for each of
ours the median over rounds of the ratio other / ours with its smallest and largest value.

Peers get their best setting: sorted by length in batches of --batch; ONNX Runtime with its transformer optimizer's fused graph
(ortplain: as exported, which its session fuses less of), int8 per channel; OpenVINO with one stream a core where there is more than
one batch, int8 by NNCF's post-training quantization, the rest in bf16 where the CPU has it; sentence-transformers by
CrossEncoder.predict(), which sorts and tokenizes by itself. --padded adds each peer with all documents in one padded batch. Needs
requirements/peers.txt. Random weights of the true shape serve for speed (--shape). ONNX Runtime's optimizer knows neither modernbert
nor deberta: they are for ortplain, and for OpenVINO, which takes the same exported graph.

LD_PRELOAD=build/release/libhide_avx512.so in front of it makes rerankd and all peers choose their kernels as on a CPU with AVX2 only.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import tempfile
import time

import numpy as np
import torch
import transformers

SHAPES = {
    "minilm": ("bert", dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, vocab_size=30522)),
    "base": ("roberta", dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, vocab_size=50265)),
    "large": ("roberta", dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096, vocab_size=50265)),
    "modernbert": ("modernbert", {}),  # base, 149 M parameters
    "deberta": ("deberta-v2", dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, vocab_size=128100,
                                   relative_attention=True, position_buckets=256, max_relative_positions=-1, norm_rel_ebd="layer_norm",
                                   pos_att_type=["p2c", "c2p"], share_att_key=True, position_biased_input=False, type_vocab_size=0,
                                   pooler_hidden_size=768, pooler_hidden_act="gelu", layer_norm_eps=1e-7)),  # v3-base
    "xlmr-large": ("roberta", dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096, vocab_size=250002)),
}


def make_model(shape, folder, dtype=torch.float32):
    kind, settings = SHAPES[shape]
    torch.manual_seed(0)
    if kind in ("modernbert", "deberta-v2"):
        config = transformers.AutoConfig.for_model(kind, num_labels=1, **settings)
        model = transformers.AutoModelForSequenceClassification.from_config(config)
        for parameter in model.parameters():  # so that logits of documents differ
            if parameter.dim() > 1:
                parameter.data = torch.randn_like(parameter) * parameter.shape[-1] ** -0.5
    elif kind == "bert":
        config = transformers.BertConfig(num_labels=1, **settings)
        config.id2label = {0: "LABEL_0"}
        model = transformers.BertForSequenceClassification(config)
    else:
        config = transformers.RobertaConfig(num_labels=1, max_position_embeddings=514, type_vocab_size=1, **settings)
        config.id2label = {0: "LABEL_0"}
        model = transformers.RobertaForSequenceClassification(config)
    model.to(dtype).save_pretrained(folder)


def cpu_has(feature):
    hidden = "hide_avx512" in os.environ.get("LD_PRELOAD", "")
    return not hidden and feature in pathlib.Path("/proc/cpuinfo").read_text()


def load_model(folder, attention="sdpa"):
    if transformers.AutoConfig.from_pretrained(folder).model_type == "deberta-v2":
        attention = "eager"  # it has no other
    return transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention).eval()


def pad(rows, value):
    longest = max(map(len, rows))
    return np.array([r + [value] * (longest - len(r)) for r in rows], dtype=np.int64)


class Padded:
    """A peer that needs padding: sorted by length, `batch` rows at a time. `compute` takes all batches: [(ids, mask)]."""

    def __init__(self, name, compute, tolerance, sequences, batch, padding):
        self.name, self.compute, self.tolerance = name, compute, tolerance
        order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
        self.indices, self.inputs = [], []
        for i in range(0, len(order), batch):
            index = order[i:i + batch]
            self.indices.append(index)
            self.inputs.append((pad([sequences[j] for j in index], padding), pad([[1] * len(sequences[j]) for j in index], 0)))
        self.size = len(sequences)

    def run(self):
        logits = np.zeros(self.size)
        begin = time.perf_counter()
        results = self.compute(self.inputs)
        seconds = time.perf_counter() - begin
        for index, values in zip(self.indices, results):
            logits[index] = values
        return seconds, logits


class Texts:
    """A peer that takes texts, and sorts and batches by itself."""

    def __init__(self, name, compute, tolerance, sequences):
        self.name, self.compute, self.tolerance = name, compute, tolerance
        self.pairs = [(" ".join(map(str, s)), "") for s in sequences]

    def run(self):
        begin = time.perf_counter()
        logits = self.compute(self.pairs)
        return time.perf_counter() - begin, logits


class Rerankd:
    def __init__(self, engine, folder, batch_file, precision, threads, name="rerankd"):
        precision, _, kernel = precision.partition(":")
        self.process = subprocess.Popen([engine, folder, batch_file, precision, kernel or "auto", str(threads)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.name = f"{name} " + self.process.stdout.readline().strip()
        self.tolerance = TOLERANCES[precision]

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["seconds"], np.array(answer["logits"])


# Largest difference from rerankd fp32 that is taken for the same answer; where logits span more than 1, of that span. int8 on random weights
# is rough.
TOLERANCES = {"fp32": 2e-3, "bf16": 6e-2, "int8": 3e-1}


class Peers:
    """Makes compute functions, and the files they need, in a folder of its own."""

    def __init__(self, folder, scratch, threads, samples=(), batch=8):
        self.folder, self.scratch, self.threads = folder, pathlib.Path(scratch), threads
        self.samples, self.batch = samples, batch  # ids to calibrate by
        self.config = transformers.AutoConfig.from_pretrained(folder)
        self.with_segments = self.config.model_type == "bert"

    def onnx(self):
        path = self.scratch / "plain" / "model.onnx"
        if not path.exists():
            path.parent.mkdir()
            model = load_model(self.folder, "eager")
            ids = torch.ones(2, 16, dtype=torch.long)
            inputs = (ids, torch.ones_like(ids)) + ((torch.zeros_like(ids),) if self.with_segments else ())
            names = ["input_ids", "attention_mask"] + (["token_type_ids"] if self.with_segments else [])
            dynamic = {n: {0: "batch", 1: "sequence"} for n in names}
            torch.onnx.export(model, inputs, str(path), input_names=names, output_names=["logits"], dynamic_axes=dynamic,
                              opset_version=17, dynamo=False)
        return path

    def fused(self):
        path = self.scratch / "fused" / "model.onnx"
        if not path.exists():
            from onnxruntime.transformers import optimizer

            path.parent.mkdir()
            fused = optimizer.optimize_model(str(self.onnx()), model_type="bert", num_heads=self.config.num_attention_heads,
                                             hidden_size=self.config.hidden_size, opt_level=0, use_gpu=False)
            print("ONNX Runtime's optimizer fused:", {k: v for k, v in fused.get_fused_operator_statistics().items() if v})
            fused.save_model_to_file(str(path), use_external_data_format=True)
        return path

    def quantized(self, graph):
        # Without VNNI its products of bytes saturate unless the weights keep to 7 bits.
        vnni = cpu_has("vnni")
        path = graph.parent.with_name(("int8-" if vnni else "int8-of-7-bits-") + graph.parent.name) / "model.onnx"
        if not path.exists():
            import onnx
            from onnxruntime.quantization import QuantType, quantize_dynamic

            path.parent.mkdir()
            quantize_dynamic(str(graph), str(path), weight_type=QuantType.QInt8, per_channel=True, reduce_range=not vnni,
                             use_external_data_format=True, extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
        return path

    def feed(self, ids, mask):
        feed = {"input_ids": ids, "attention_mask": mask}
        if self.with_segments:
            feed["token_type_ids"] = np.zeros_like(ids)
        return feed

    def ort(self, precision):
        return self.session(precision, self.fused())

    def ortplain(self, precision):
        return self.session(precision, self.onnx())

    def session(self, precision, graph):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        path = graph if precision == "fp32" else self.quantized(graph)
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return lambda inputs: [session.run(["logits"], self.feed(*i))[0][:, 0] for i in inputs]

    def torch(self, precision):
        model = load_model(self.folder)
        if precision == "bf16":
            model = model.bfloat16()

        def compute(inputs):
            with torch.inference_mode():
                return [model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits[:, 0].float().numpy()
                        for ids, mask in inputs]

        return compute

    def openvino_int8(self):
        path = self.scratch / "openvino-int8" / "model.xml"
        if not path.exists():
            import nncf
            import openvino

            model = openvino.Core().read_model(str(self.onnx()))
            feeds = [self.feed(pad([s], 0), pad([[1] * len(s)], 0)) for s in self.samples[:8]]
            quantized = nncf.quantize(model, nncf.Dataset(feeds), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(feeds))
            openvino.save_model(quantized, str(path), compress_to_fp16=False)
        return path

    def sentence(self, precision):
        import sentence_transformers
        import tokenizers

        folder = self.scratch / "sentence"
        if not folder.exists():  # the same model with a tokenizer of numbers: the text "17 432" has the ids 17 and 432
            load_model(self.folder).save_pretrained(folder)
            words = tokenizers.Tokenizer(tokenizers.models.WordLevel({str(i): i for i in range(self.config.vocab_size)}, unk_token="0"))
            words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
            transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token=str(self.config.pad_token_id or 0),
                                                 unk_token="0", model_max_length=512).save_pretrained(folder)
        model = sentence_transformers.CrossEncoder(str(folder), device="cpu", activation_fn=torch.nn.Identity(),
                                                   model_kwargs={"dtype": {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]})
        return lambda pairs: model.predict(pairs, batch_size=self.batch, show_progress_bar=False).reshape(-1)

    def openvino(self, precision):
        import openvino

        core = openvino.Core()
        model = core.read_model(str(self.onnx() if precision != "int8" else self.openvino_int8()))
        bf16 = precision == "bf16" or (precision == "int8" and cpu_has("bf16"))
        compiled = {}

        def compute(inputs):
            hint = "LATENCY" if len(inputs) == 1 else "THROUGHPUT"
            if hint not in compiled:
                compiled[hint] = core.compile_model(model, "CPU", {
                    "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
                    "INFERENCE_NUM_THREADS": self.threads, "PERFORMANCE_HINT": hint})
            results = [None] * len(inputs)
            queue = openvino.AsyncInferQueue(compiled[hint])

            def keep(request, index):
                results[index] = request.get_output_tensor(0).data[:, 0].copy()

            queue.set_callback(keep)
            for index, i in enumerate(inputs):
                queue.start_async(self.feed(*i), index)
            queue.wait_all()
            return results

        return compute

    def make(self, peer):
        library, _, precision = peer.partition("-")
        name = {"ort": "ONNX Runtime", "ortplain": "ONNX Runtime, plain graph,", "torch": "PyTorch", "openvino": "OpenVINO",
                "sentence": "sentence-transformers"}[library]
        return f"{name} {precision}", getattr(self, library)(precision), TOLERANCES[precision]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--model")
    parser.add_argument("--shape", choices=SHAPES, default="minilm")
    parser.add_argument("--documents", type=int, default=66)
    parser.add_argument("--lengths", default="128")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--ours", default="bf16")
    parser.add_argument("--peers", default="ort-fp32,ort-int8,torch-bf16,openvino-bf16")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--padded", action="store_true")
    parser.add_argument("--before", help="engine_bench of another commit, to compare with")
    parser.add_argument("--scratch", help="folder for exported graphs, kept; default: a temporary one")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    low, _, high = arguments.lengths.partition("-")
    rng = random.Random(1)

    with tempfile.TemporaryDirectory() as temporary:
        scratch = pathlib.Path(arguments.scratch or temporary)
        scratch.mkdir(parents=True, exist_ok=True)
        folder = arguments.model or str(scratch)
        if not arguments.model and not (scratch / "config.json").exists():
            make_model(arguments.shape, folder)
        peers = Peers(folder, scratch, arguments.threads, batch=arguments.batch)
        vocabulary = peers.config.vocab_size
        sequences = [[101 % vocabulary if peers.with_segments else 0] +
                     [rng.randrange(10, vocabulary) for _ in range(rng.randint(int(low), int(high or low)) - 1)]
                     for _ in range(arguments.documents)]
        peers.samples = sequences
        batch_file = str(scratch / "batch.json")
        pathlib.Path(batch_file).write_text(json.dumps(dict(ids=sequences, segments=[[0] * len(s) for s in sequences])))

        ours = [Rerankd(arguments.engine, folder, batch_file, p, arguments.threads) for p in arguments.ours.split(",")]
        contenders = list(ours)
        if arguments.before:
            contenders += [Rerankd(arguments.before, folder, batch_file, p, arguments.threads, "before:") for p in arguments.ours.split(",")]
        for peer in filter(None, arguments.peers.split(",")):
            name, compute, tolerance = peers.make(peer)
            if peer.startswith("sentence"):
                contenders.append(Texts(f"{name}, batches of {arguments.batch}", compute, tolerance, sequences))
                continue
            padding = peers.config.pad_token_id or 0
            contenders.append(Padded(f"{name}, batches of {arguments.batch}", compute, tolerance, sequences, arguments.batch, padding))
            if arguments.padded:
                contenders.append(Padded(f"{name}, one padded batch", compute, tolerance, sequences, len(sequences), padding))
        judge = Rerankd(arguments.engine, folder, batch_file, "fp32", arguments.threads)
        expected = judge.run()[1]
        judge.process.kill()
        span = max(1, np.ptp(expected))
        for c in contenders:
            difference = np.abs(c.run()[1] - expected).max()
            print(f"check: {c.name}: largest difference from rerankd fp32 {difference:.2g}, where logits span {np.ptp(expected):.2g}", flush=True)
            if not difference < c.tolerance * span:
                raise SystemExit(f"{c.name} computes something else")
        times = {c.name: [] for c in contenders}
        for _ in range(arguments.rounds):
            for c in contenders:
                times[c.name].append(c.run()[0])
        report(arguments, contenders, ours, times, sum(map(len, sequences)))


def report(arguments, contenders, ours, times, tokens):
    pairs = arguments.documents
    print(f"\n{arguments.model or arguments.shape}, {pairs} pairs, {tokens} tokens, {arguments.threads} threads, {arguments.rounds} rounds")
    for c in contenders:
        t = times[c.name]
        line = f"{c.name:40} {statistics.median(t) * 1e3:9.1f} ms {pairs / statistics.median(t):8.1f} pairs/s"
        for mine in ours:
            ratios = [a / b for a, b in zip(t, times[mine.name])]
            line += f"   x{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        print(line)


if __name__ == "__main__":
    main()
