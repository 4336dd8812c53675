#!/usr/bin/env python3
"""How fast texts become ids, ours against the Python package `tokenizers`, one thread each, in turns, in
processor time.

    python bench/micro/tokenizer_speed.py --program build/release/tests/fuzz/tokenize_lines --folder DIR --text FILE

FILE holds one text per line; a .jsonl file, objects with a "text" or "contents" field. Both sides encode the same texts in batches
without special tokens; each round measures theirs, then ours. Prints the median of the rounds, and the ids' count as a check.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402


def read_texts(path, limit):
    texts, size = [], 0
    for line in open(path, encoding="utf-8"):
        line = line.rstrip("\n")
        if path.endswith(".jsonl"):
            fields = json.loads(line)
            line = fields.get("text") or fields.get("contents") or ""
        if line:
            texts.append(line)
            size += len(line.encode())
        if size > limit:
            break
    return texts, size


def theirs(tokenizer, texts, size, seconds):
    start, rounds = time.process_time(), 0
    while time.process_time() - start < seconds:
        encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        rounds += 1
    return size * rounds / (time.process_time() - start), sum(len(e.ids) for e in encodings)


def ours(program, folder, texts, seconds):
    lines = "".join(json.dumps(t) + "\n" for t in texts)
    out = subprocess.run([program, folder, "--time", str(seconds)], input=lines, capture_output=True, text=True, check=True)
    speed, tokens = out.stdout.split()
    return float(speed), int(tokens)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="tokenize_lines, built")
    parser.add_argument("--folder", required=True, help="folder with a tokenizer.json")
    parser.add_argument("--text", required=True, help="file of texts")
    parser.add_argument("--bytes", type=int, default=2_000_000, help="text to use at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="time of one measurement")
    args = parser.parse_args()

    tokenizer = Tokenizer.from_file(f"{args.folder}/tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    texts, size = read_texts(args.text, args.bytes)
    pairs = []
    for _ in range(args.rounds):
        their_speed, their_tokens = theirs(tokenizer, texts, size, args.seconds)
        our_speed, our_tokens = ours(args.program, args.folder, texts, args.seconds)
        if their_tokens != our_tokens:
            sys.exit(f"different: theirs {their_tokens} tokens, ours {our_tokens}")
        pairs.append((their_speed, our_speed))
    theirs_mb, ours_mb = (statistics.median(p[i] for p in pairs) / 1e6 for i in (0, 1))
    ratios = sorted(b / a for a, b in pairs)
    print(f"{args.folder}: {size} bytes, {our_tokens} tokens; theirs {theirs_mb:.2f} MB/s, ours {ours_mb:.1f} MB/s, ratio "
          f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})")


if __name__ == "__main__":
    main()
