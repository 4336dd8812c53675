#!/usr/bin/env python3
"""What `rerankd fit` promises against what the server then does: the same configurations with random weights of their true shape, served.

Usage: .venv-train/bin/python bench/fit_check.py [--models MiniLM,bge-reranker-base,...] [--precisions bf16,fp32,int8] [--requests 3]
           [--program build/release/rerankd]

For each model (of tools/docs/fit_table.py, those that transformers has a class for) and precision: fit, then `rerankd serve` without caches and
requests of 64 documents, each pair cut at 512 tokens. Seconds are the median over requests after a first one; memory is the server's resident set
after them, and the 96 MiB that its two caches would fill and fit counts. fit counts the whole table of words; the server
holds the rows of those that occur, 4,000 here. A ratio above 1 says that fit promised more time or memory than was taken. fit runs again after the server and the mean of
both counts: machines change their rate in between. Needs requirements/train.txt, and a machine where nothing else runs.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import sys
import tempfile
import time

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault("RERANKD", str(ROOT / "build/release/rerankd"))
sys.path[:0] = [str(ROOT / "tests/support"), str(ROOT / "tools/docs")]
import fit_table  # noqa: E402
from rerankd_server import Server  # noqa: E402

DOCUMENTS, TOKENS, WORDS = 64, 512, 4000
CACHES = 96 << 20  # the defaults of --cache-bytes and --token-cache-bytes
MODELS = ["cross-encoder/ms-marco-MiniLM-L6-v2", "BAAI/bge-reranker-base", "Alibaba-NLP/gte-reranker-modernbert-base",
          "mixedbread-ai/mxbai-rerank-base-v1", "BAAI/bge-reranker-v2-m3", "Qwen/Qwen3-Reranker-0.6B"]


def write_weights(folder, dtype, decoder):
    """Random numbers where the folder has a file of the weights' size without them."""
    torch.manual_seed(0)
    kind = transformers.AutoModelForCausalLM if decoder else transformers.AutoModelForSequenceClassification
    model = kind.from_config(transformers.AutoConfig.from_pretrained(folder), dtype=getattr(torch, dtype))
    kept = (folder / "config.json").read_text()
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="100GB")
    (folder / "config.json").write_text(kept)


def write_tokenizer(folder, decoder):
    """Words w0, w1 ... and the two answers of a decoder; between a query and a document of an encoder stands [SEP]."""
    words = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "?": 3} | {f"w{i}": 4 + i for i in range(WORDS)}
    if decoder:
        words |= {"yes": 9693, "no": 2152}
        words = {word: i for word, i in words.items() if i != 2152 or word == "no"}
    special = [dict(id=i, content=word, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
               for word, i in list(words.items())[:3]]
    joint = [dict(SpecialToken=dict(id="[CLS]", type_id=0)), dict(Sequence=dict(id="A", type_id=0)), dict(SpecialToken=dict(id="[SEP]", type_id=0))]
    pair = [*joint, dict(Sequence=dict(id="B", type_id=0)), dict(SpecialToken=dict(id="[SEP]", type_id=0))]
    template = dict(type="TemplateProcessing", single=joint, pair=pair,
                    special_tokens={word: dict(id=word, ids=[words[word]], tokens=[word]) for word in ("[CLS]", "[SEP]")})
    (folder / "tokenizer.json").write_text(json.dumps(dict(
        version="1.0", truncation=None, padding=None, added_tokens=[] if decoder else special, normalizer=None,
        pre_tokenizer=dict(type="Whitespace"), post_processor=None if decoder else template, decoder=None,
        model=dict(type="WordLevel", vocab=words, unk_token="?"))))


def question(number):
    """Documents longer than a pair may be; no two begin alike."""
    documents = [" ".join(f"w{(number * 997 + i * 31 + at * 7) % WORDS}" for at in range(TOKENS + 40)) for i in range(DOCUMENTS)]
    return {"query": f"what is w{number} of w{number + 9} ?", "documents": documents, "top_n": DOCUMENTS}


def resident(process):
    return 1024 * int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{process.pid}/status").read_text())[1])


def served(folder, precision, requests):
    """Seconds of a question, and bytes of the server."""
    with Server("--model", folder, "--engine", "cpu", "--precision", precision, "--max-length", TOKENS, "--cache-bytes", 0,
                "--token-cache-bytes", 0) as server:
        seconds = []
        server.wait_until_ready(300)
        for number in range(requests + 1):
            begin = time.monotonic()
            answer = server.post("/v1/rerank", question(number), timeout=300)
            seconds.append(time.monotonic() - begin)
            if not isinstance(answer, dict) or len(answer["results"]) != DOCUMENTS:
                sys.exit(f"{folder}: {answer}")
            if answer["usage"]["total_tokens"] != DOCUMENTS * TOKENS:
                sys.exit(f"{folder}: {answer['usage']} instead of {DOCUMENTS} pairs of {TOKENS} tokens")
        return statistics.median(seconds[1:]), resident(server.process) + CACHES


def promised(program, folder, precision):
    row, = fit_table.fit(program, folder, "--precision", precision)["rows"]
    at = row["lengths"][0]
    assert at["tokens"] == TOKENS, at
    return at["question_seconds"], row["memory_bytes"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", help="parts of names, by commas")
    parser.add_argument("--precisions", default="bf16,fp32,int8")
    parser.add_argument("--requests", type=int, default=3)
    parser.add_argument("--program", default=os.environ["RERANKD"])
    arguments = parser.parse_args()
    wanted = (arguments.models or "").split(",")
    print("| model | precision | fit, s | served, s | ratio | fit, GB | served, GB | ratio |\n|---|---|--:|--:|--:|--:|--:|--:|")
    for name in (name for name in MODELS if any(part in name for part in wanted)):
        with tempfile.TemporaryDirectory() as scratch:
            folder = fit_table.lay_out(arguments.program, name, scratch)
            dtype, _, config = fit_table.MODELS[name]
            decoder = "CausalLM" in config["architectures"][0]
            write_weights(folder, dtype, decoder)
            write_tokenizer(folder, decoder)
            for precision in arguments.precisions.split(","):
                before, memory = promised(arguments.program, folder, precision)
                seconds, bytes_held = served(folder, precision, arguments.requests)
                after, _ = promised(arguments.program, folder, precision)
                said = (before + after) / 2
                print(f"| {name} | {precision} | {said:.2f} | {seconds:.2f} | {said / seconds:.2f} | {memory / 1e9:.2f} | {bytes_held / 1e9:.2f} | "
                      f"{memory / bytes_held:.2f} |", flush=True)


if __name__ == "__main__":
    main()
