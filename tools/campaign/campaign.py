#!/usr/bin/env python3
"""Fuzzes the parsers of untrusted bytes with libFuzzer under AddressSanitizer and UndefinedBehaviorSanitizer.

Usage: campaign.py fuzz [--seconds N] [--until N] [--jobs N] [TARGET ...]
                                                       runs each target for N seconds (60) at most, only until its count of
                                                       executions is N where --until says so, --jobs targets (1) at a time
       campaign.py pack [TARGET ...]                   the smallest inputs that reach the same code, into corpus/TARGET.corpus
       campaign.py report                              the table of docs/campaign.md

Needs Debian's clang and `cmake --preset fuzz && cmake --build --preset fuzz`. Can be stopped and started again: inputs grow in
build/campaign, executions are added up in executions.json. Inputs that end a target are kept in build/campaign/findings, and the
exit status is 1.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD, WORK = ROOT / "build/fuzz/tools/campaign", ROOT / "build/campaign"
COUNTS, REPORT = HERE / "executions.json", ROOT / "docs/campaign.md"
TARGETS = {  # what each reads, and the longest input that is tried
    "http_request": ("heads, framing and bodies of HTTP/1", 2048),
    "http_body": ("gzip and deflate, Accept-Encoding", 2048),
    "dialect": ("paths, headers and JSON of every dialect", 2048),
    "grpc_message": ("messages of every gRPC method, plain and gzip", 2048),
    "safetensors": ("safetensors", 4096),
    "gguf": ("GGUF files and the tokenizers in them", 4096),
    "torch_file": ("pytorch_model.bin", 6144),
    "sentencepiece": ("models of SentencePiece", 6144),
    "config": ("config.json", 4096),
    "tokenizer": ("tokenizer.json, and texts", 6144),
    "chat_template": ("chat templates (Jinja)", 4096),
    "onnx_graph": ("ONNX graphs, as `inspect` reads them", 4096),
    "collection": ("corpora, queries, qrels, runs, kept scores", 4096),
    "redis_reply": ("Redis replies and values; URLs, key files, traceparent", 2048),
    "exits": ("exits.json", 4096),
    "engine_file": ("files of packed weights and of tuning", 2048),
}
COUNTING = threading.Lock()
KEPT_BYTES = 60_000  # of one corpus in the repository
TURN = 150  # seconds
# A finding is run again by hand, where all of a stack is of use; here short ones, and little that is freed is kept, save time.
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=0:handle_sigbus=0:malloc_context_size=0:quarantine_size_mb=4",
              "UBSAN_OPTIONS": "print_stacktrace=1"}


def read_packed(path):
    data, at = path.read_bytes() if path.exists() else b"", 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from("<I", data, at)
        yield data[at + 4 : at + 4 + length]
        at += 4 + length


def write_packed(path, inputs):
    path.write_bytes(b"".join(struct.pack("<I", len(i)) + i for i in inputs))


def unpack(target):
    """The folder in which the target's corpus grows; what the repository has is put there."""
    folder = WORK / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(read_packed(HERE / "corpus" / f"{target}.corpus")):
        seed = folder / f"seed-{number:04}"
        if not seed.exists():
            seed.write_bytes(data)
    return folder


def load_counts():
    return json.loads(COUNTS.read_text()) if COUNTS.exists() else {}


def run(target, arguments, seconds):
    """libFuzzer's output."""
    findings = WORK / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    # Without entropic schedules: their bookkeeping is half of the time where an input reaches some thousand edges.
    command = [BUILD / f"fuzz_{target}", f"-artifact_prefix={findings}/{target}-", "-rss_limit_mb=2048", "-timeout=25", "-entropic=0",
               "-detect_leaks=0", *arguments]
    done = subprocess.run(command, capture_output=True, env={**os.environ, **SANITIZERS}, timeout=seconds + 300, check=False)
    return done.returncode, done.stderr.decode(errors="replace")


def shrink(target):
    """The folder of the target's corpus with the smallest inputs that reach the same code, and no others."""
    folder, small = unpack(target), WORK / f"{target}.small"
    shutil.rmtree(small, ignore_errors=True)
    small.mkdir()
    run(target, ["-merge=1", small, folder], 1800)
    shutil.rmtree(folder)
    return small.rename(folder)


def fuzz_one(target, seconds, until):
    """Whether it found nothing. In turns: inputs grow, and with them the time of those that are made of them."""
    begin = time.monotonic()
    while (left := seconds - (time.monotonic() - begin)) > 0:
        if until and load_counts().get(target, {}).get("executions", 0) >= until:
            return True
        if not fuzz_turn(target, max(1, round(min(left, TURN))), until):
            return False
        if left > TURN:
            shrink(target)
    return True


def fuzz_turn(target, seconds, until):
    done = load_counts().get(target, {}).get("executions", 0)
    limits = [f"-max_total_time={seconds}", f"-runs={until - done if until else -1}", f"-max_len={TARGETS[target][1]}"]
    begin = time.monotonic()
    code, output = run(target, [*limits, "-print_final_stats=1", "-reload=0", "-use_value_profile=0", unpack(target)], seconds)
    took = time.monotonic() - begin
    executed = [int(n) for n in re.findall(r"number_of_executed_units:\s*(\d+)", output)]
    edges = [int(n) for n in re.findall(r"cov: (\d+)", output)]
    last = [int(n) for n in re.findall(r"^#(\d+)\s", output, re.M)]
    executions = executed[-1] if executed else last[-1] if last else 0
    with COUNTING:
        counts = load_counts()
        entry = counts.setdefault(target, {"executions": 0, "seconds": 0, "edges": 0, "findings": 0})
        entry["executions"] += executions
        entry["seconds"] += round(took)
        entry["edges"] = max([entry["edges"], *edges])
        entry["findings"] += code != 0
        COUNTS.write_text(json.dumps(counts, indent=1, sort_keys=True) + "\n")
    print(f"{target}: {executions / took:,.0f} a second, {entry['executions']:,} executions in all, {entry['edges']} edges", flush=True)
    if code != 0:
        log = WORK / "findings" / f"{target}-{entry['findings']}.log"
        log.write_text(output)
        print(f"{target}: FINDING, see {log}", flush=True)
    return code == 0


def fuzz(targets, seconds, until, jobs):
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return 0 if all(list(pool.map(lambda target: fuzz_one(target, seconds, until), targets))) else 1


def pack(targets):
    for target in targets:
        inputs, total = [], 0
        for data in sorted((f.read_bytes() for f in shrink(target).iterdir()), key=lambda d: (len(d), d)):
            total += len(data) + 4
            if total > KEPT_BYTES:
                break
            inputs.append(data)
        write_packed(HERE / "corpus" / f"{target}.corpus", inputs)
        print(f"{target}: {len(inputs)} inputs")
    return 0


def report():
    counts = load_counts()
    rows = ["| target | what it reads | executions | edges reached | findings so far |", "|---|---|--:|--:|--:|"]
    for target, (what, _) in TARGETS.items():
        c = counts.get(target, {"executions": 0, "edges": 0, "findings": 0})
        rows.append(f"| `{target}` | {what} | {c['executions']:,} | {c['edges']:,} | {c['findings']} |")
    total = sum(c["executions"] for c in counts.values())
    rows.append(f"| all | | {total:,} | | {sum(c['findings'] for c in counts.values())} |")
    text = REPORT.read_text()
    begin, end = "<!-- executions -->", "<!-- end of executions -->"
    before, rest = text.split(begin)
    REPORT.write_text(before + begin + "\n" + "\n".join(rows) + "\n" + end + rest.split(end)[1])
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["fuzz", "pack", "report"])
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--until", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_intermixed_args()
    targets = arguments.targets or list(TARGETS)
    if unknown := [t for t in targets if t not in TARGETS]:
        sys.exit(f"no such target: {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    if arguments.command != "report" and not (BUILD / f"fuzz_{targets[0]}").exists():
        sys.exit("the targets are not built: cmake --preset fuzz && cmake --build --preset fuzz (needs Debian's clang)")
    if arguments.command == "fuzz":
        sys.exit(fuzz(targets, arguments.seconds, arguments.until, arguments.jobs))
    sys.exit(pack(targets) if arguments.command == "pack" else report())


if __name__ == "__main__":
    main()
