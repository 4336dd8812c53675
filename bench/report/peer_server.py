#!/usr/bin/env python3
"""PyTorch or ONNX Runtime behind POST /rerank, so that `rerankd bench` measures them as it measures rerankd.

Usage: peer_server.py --model FOLDER --kind torch-fp32|torch-bf16|torch-bf16-batched|ort-fp32 [--threads 2] [--max-length 192]
                      [--port 0] [--scratch FOLDER]

One thread computes, one request at a time, the documents of a request as one padded batch, as people write it. `batched` takes all
requests that wait, up to 64 pairs, sorted by length in batches of 16: what a dynamic batcher does. Prints "listening on URL".
Needs requirements/peers.txt.
"""
import argparse
import json
import pathlib
import queue
import sys
import threading
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "peers"))
import compare  # noqa: E402  the exported and fused graph

MAX_PAIRS, BATCH = 64, 16


class Model:
    def __init__(self, arguments):
        self.max_length = arguments.max_length
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.model)
        kind = arguments.kind.removesuffix("-batched")
        self.compute = self.onnx_runtime(arguments) if kind == "ort-fp32" else self.pytorch(arguments.model, kind == "torch-bf16")

    @staticmethod
    def pytorch(folder, half):
        model = compare.load_model(folder)
        if half:
            model = model.bfloat16()

        def compute(inputs):
            with torch.inference_mode():
                return model(**{name: torch.from_numpy(rows) for name, rows in inputs.items()}).logits[:, 0].float().numpy()

        return compute

    @staticmethod
    def onnx_runtime(arguments):
        import onnxruntime

        scratch = pathlib.Path(arguments.scratch)
        scratch.mkdir(parents=True, exist_ok=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = arguments.threads
        graph = compare.Peers(arguments.model, scratch, arguments.threads).fused()  # its best: the transformer optimizer's graph
        session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        return lambda inputs: session.run(["logits"], inputs)[0][:, 0]

    def logits(self, pairs, batch):
        """One logit a pair; batches of `batch`, sorted by length when there are several."""
        ids = self.tokenizer([q for q, _ in pairs], [d for _, d in pairs], truncation="only_second", max_length=self.max_length)
        order = range(len(pairs)) if batch >= len(pairs) else sorted(range(len(pairs)), key=lambda i: len(ids["input_ids"][i]))
        scores = np.zeros(len(pairs))
        for first in range(0, len(pairs), batch):
            rows = list(order)[first:first + batch]
            scores[rows] = self.compute({name: compare.pad([ids[name][i] for i in rows], 0)
                                         for name in ("input_ids", "attention_mask", "token_type_ids")})
        return scores


class Worker(threading.Thread):
    def __init__(self, model, batched):
        super().__init__(daemon=True)
        self.model, self.batched, self.waiting = model, batched, queue.Queue()

    def submit(self, query, documents):
        future = Future()
        self.waiting.put(([(query, d) for d in documents], future))
        return future

    def run(self):
        while True:
            work = [self.waiting.get()]
            while self.batched and sum(len(p) for p, _ in work) < MAX_PAIRS and not self.waiting.empty():
                work.append(self.waiting.get())
            pairs = [p for some, _ in work for p in some]
            scores = self.model.logits(pairs, BATCH if self.batched else len(pairs))
            for some, future in work:
                future.set_result(scores[:len(some)])
                scores = scores[len(some):]


def handler_for(worker):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # one write an answer

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            logits = worker.submit(body["query"], body["documents"]).result()
            scores = 1 / (1 + np.exp(-logits))
            results = [{"index": int(i), "relevance_score": float(scores[i]), "logit": float(logits[i])} for i in np.argsort(-logits, kind="stable")]
            self.answer({"results": results[:body.get("top_n") or None]})

        def do_GET(self):
            self.answer({"status": "ok"})

        def answer(self, value):
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    return Handler


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--kind", required=True, choices=["torch-fp32", "torch-bf16", "torch-bf16-batched", "ort-fp32"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--max-length", type=int, default=192)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--scratch", default="build/report/scratch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    worker = Worker(Model(arguments), arguments.kind.endswith("-batched"))
    worker.start()
    worker.submit("warm", ["up"] * 4).result()
    server = Server(("127.0.0.1", arguments.port), handler_for(worker))
    print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
