#!/usr/bin/env python3
"""Ways to say int8 in an ONNX graph, as ONNX Runtime runs them: time and distance from fp32, interleaved in one run.

Usage: int8_graphs.py [--program build/release/rerankd] [--model models/rerankd-mini-en] --texts PAIRS.jsonl
                      [--rows 32] [--length 128] [--threads 2] [--rounds 11]

PAIRS.jsonl: {"query", "document"} lines. The first half calibrates what needs ranges, the second half is measured. fp32 and both
ways of `rerankd convert` are its graphs; static QDQ (QuantizeLinear and DequantizeLinear of opset 13 around every product, ranges by
calibration) and MatMulNBits (8 bits, blocks of 128 inputs, ONNX Runtime's own operator) are made of the fp32 graph here. Weights are
int8 with a scale for each column in all but the last. Needs requirements/peers.txt.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper


class Rewriter:
    """Replaces the products of activations and weights of a graph."""

    def __init__(self, path):
        self.model = onnx.load(path)
        self.values = {i.name: numpy_helper.to_array(i) for i in self.model.graph.initializer}
        self.nodes, self.made = [], set()

    def products(self):
        return [n for n in self.model.graph.node if n.op_type == "MatMul" and self.values.get(n.input[1], np.zeros(1)).ndim == 2]

    def constant(self, name, value):
        if name not in self.made:
            self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
            self.made.add(name)
        return name

    def node(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def rewrite(self, replace, out):
        products = {n.name for n in self.products()}
        for node in list(self.model.graph.node):
            if node.name in products:
                replace(self, node)
            else:
                self.nodes.append(node)
        graph = self.model.graph
        used = {name for node in self.nodes for name in node.input}
        kept = [i for i in graph.initializer if i.name in used]
        del graph.node[:], graph.initializer[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend(kept)
        onnx.save(self.model, out)
        return out


def static_qdq(source, ranges, out):
    rewriter = Rewriter(source)
    del rewriter.model.opset_import[:]
    rewriter.model.opset_import.append(helper.make_opsetid("", 13))  # the first with a scale for each column
    for node in rewriter.model.graph.node:
        if node.op_type == "Unsqueeze":
            axes = list(node.attribute[0].ints)
            del node.attribute[:]
            node.input.append(rewriter.constant(f"{node.output[0]}_axes", np.array(axes, np.int64)))

    def replace(r, node):
        x, w = node.input
        low, high = ranges[x]
        scale = (high - low) / 255
        names = [r.constant(f"{x}_s", np.float32(scale)), r.constant(f"{x}_z", np.uint8(np.clip(round(-low / scale), 0, 255)))]
        if f"{x}_dq" not in {n.output[0] for n in r.nodes}:
            r.node("DequantizeLinear", [r.node("QuantizeLinear", [x, *names], f"{x}_q"), *names], f"{x}_dq")
        scales = np.maximum(np.abs(r.values[w]).max(0), 1e-30).astype(np.float32) / 127
        weights = [r.constant(f"{w}_q", np.rint(r.values[w] / scales).astype(np.int8)), r.constant(f"{w}_s", scales),
                   r.constant(f"{w}_z", np.zeros(len(scales), np.int8))]
        r.node("MatMul", [f"{x}_dq", r.node("DequantizeLinear", weights, f"{w}_dq", axis=1)], node.output[0])
    return rewriter.rewrite(replace, out)


def n_bits(source, block, out):
    rewriter = Rewriter(source)
    rewriter.model.opset_import.append(helper.make_opsetid("com.microsoft", 1))

    def replace(r, node):
        x, w = node.input
        inputs, outputs = r.values[w].shape
        blocks = r.values[w].T.reshape(outputs, inputs // block, block)
        scales = np.maximum(np.abs(blocks).max(2), 1e-30) / 127
        whole = np.clip(np.rint(blocks / scales[:, :, None]) + 128, 0, 255).astype(np.uint8)
        r.nodes.append(helper.make_node("MatMulNBits", [x, r.constant(f"{w}_q", whole), r.constant(f"{w}_s", scales.astype(np.float32).ravel())],
                                        [node.output[0]], domain="com.microsoft", K=inputs, N=outputs, bits=8, block_size=block,
                                        accuracy_level=4))
    return rewriter.rewrite(replace, out)


def session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it would be the next contender's loss
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feed_of(session_, pairs):
    ids = np.array(pairs, np.int64)
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    return {i.name: feed[i.name] for i in session_.get_inputs()}


def ranges_of(source, pairs, scratch):
    """Least and largest value of what products read."""
    rewriter = Rewriter(source)
    names = sorted({n.input[0] for n in rewriter.products()})
    for name in names:
        rewriter.model.graph.output.append(helper.make_empty_tensor_value_info(name))
    onnx.save(rewriter.model, scratch)
    taps, ranges = session(scratch, 0), {}
    for pair in pairs:
        for name, value in zip(names, taps.run(names, feed_of(taps, [pair]))):
            low, high = ranges.get(name, (0, 0))
            ranges[name] = min(low, float(value.min())), max(high, float(value.max()))
    return ranges


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/rerankd")
    parser.add_argument("--model", default="models/rerankd-mini-en")
    parser.add_argument("--texts", required=True)
    for name, default in (("rows", 32), ("length", 128), ("threads", 2), ("rounds", 11)):
        parser.add_argument(f"--{name}", type=int, default=default)
    a = parser.parse_args()
    lines = [json.loads(line) for line in pathlib.Path(a.texts).read_text().splitlines()]
    flat = "".join(" ".join(x["query"].split()) + "\t" + " ".join(x["document"].split()) + "\n" for x in lines)
    tokenized = subprocess.run([a.program, "tokenize", "--pair", "--model", a.model], input=flat, capture_output=True, text=True, check=True)
    ids = [json.loads(line) for line in tokenized.stdout.splitlines()]
    long = [pair[:a.length] for pair in ids[len(ids) // 2:] if len(pair) >= a.length][:a.rows]
    if len(long) < a.rows:
        raise SystemExit(f"--texts: only {len(long)} pairs of {a.length} tokens and more in its second half")
    with tempfile.TemporaryDirectory() as scratch:
        def convert(*more):
            out = f"{scratch}/{len(list(pathlib.Path(scratch).iterdir()))}"
            subprocess.run([a.program, "convert", a.model, out, "--to", "onnx", "--no-verify", *more], check=True, stdout=subprocess.DEVNULL)
            return f"{out}/model.onnx"

        plain = convert("--precision", "fp32")
        ranges = ranges_of(plain, ids[:len(ids) // 2], f"{scratch}/taps.onnx")
        graphs = {"fp32": plain,
                  "DynamicQuantizeLinear (--activations batch)": convert("--precision", "int8", "--activations", "batch"),
                  "a scale for each token (--activations token)": convert("--precision", "int8"),
                  "static QDQ": static_qdq(plain, ranges, f"{scratch}/static.onnx"),
                  "MatMulNBits, 8 bits": n_bits(plain, 128, f"{scratch}/bits.onnx")}
        sessions = [session(path, a.threads) for path in graphs.values()]
        feed = feed_of(sessions[0], long)
        logits = [s.run(["logits"], feed)[0][:, 0] for s in sessions]
        times = [[] for _ in sessions]
        for _ in range(a.rounds):
            for seconds, contender in zip(times, sessions):
                begin = time.perf_counter()
                contender.run(["logits"], feed)
                seconds.append(time.perf_counter() - begin)
    print(f"ONNX Runtime {onnxruntime.__version__}, {a.rows} x {a.length} tokens, {a.threads} threads, {a.rounds} rounds; logits span "
          f"{np.ptp(logits[0]):.2f}")
    for name, seconds, found in zip(graphs, times, logits):
        ratios = sorted(own / usual for own, usual in zip(seconds, times[0]))
        off = np.abs(found - logits[0])
        print(f"  {name:46s} {statistics.median(seconds) * 1e3:7.1f} ms   {statistics.median(ratios):.3f} ({ratios[0]:.3f}-{ratios[-1]:.3f})"
              f"   |logit - fp32| {off.max():.3f} at most, {off.mean():.3f} in the mean")


if __name__ == "__main__":
    main()
