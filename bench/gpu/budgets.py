#!/usr/bin/env python3
"""Registers, memory and instructions of every kernel of librerank_cuda.so, from its machine code: no GPU is needed.

    budgets.py LIBRARY                    a table, by kernel and architecture
    budgets.py LIBRARY --check FILE.json  ends with 1 where a kernel has a stack, or needs more than the file allows
    budgets.py LIBRARY --write FILE.json  what there is becomes what is allowed

cuobjdump is the toolkit's, or PyPI's nvidia-cuda-cuobjdump (requirements/cuda.txt). A loop's instructions are those from
the target of its last backward branch on: all paths through it, of which a tile takes not every one.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

# What a processor of that architecture has: registers, threads, bytes of shared memory (and of one block), blocks.
LIMITS = {"sm_80": (65536, 2048, 164 << 10, 163 << 10, 32), "sm_89": (65536, 1536, 100 << 10, 99 << 10, 24),
          "sm_90": (65536, 2048, 228 << 10, 227 << 10, 32)}
SHARED = {False: lambda head: (4 * 64 if head <= 128 else 4 * 32 + 64) * (head + 8) * 2, True: lambda head: 4 * 64 * head * 2 + 1008}  # by wgmma or not
PRODUCTS = ("HMMA", "HGMMA")
THREADS = {"attention_kernel": 128}
ALLOWANCE = 1.03  # of instructions: compilers of one version vary less


def find_tool():
    places = [shutil.which("cuobjdump"), "/usr/local/cuda/bin/cuobjdump"]
    places += [str(p) for path in sys.path for p in pathlib.Path(path).glob("nvidia/cu1*/bin/cuobjdump")]
    root = pathlib.Path(__file__).resolve().parents[2]
    places += [str(p) for p in root.glob(".venv-cuda/lib/python3*/site-packages/nvidia/cu1*/bin/cuobjdump")]
    return next((place for place in places if place and pathlib.Path(place).exists()), None)


def short(name):
    """attention_kernel<64, plain, bf16> of a mangled name."""
    if match := re.search(r"attention_kernelI\w+?(Group|Warp)ProductsILi(\d+)E(6__half|13__nv_bfloat16)EELi\d+ELb([01])ELi(\d)", name):
        way, head, number, pattern, groups = match.groups()
        return (f"attention_kernel<{head}, {'general' if pattern == '1' else 'plain'}, {'fp16' if number == '6__half' else 'bf16'}"
                f"{', wgmma' if way == 'Group' else ''}{', 128 queries' if groups == '2' else ''}>")
    found = re.match(r"_ZN.*?\d+((?:[a-z]+_)+kernel)(I.*)?E(?:v|E)", name)
    base = re.search(r"(attend_all_kernel|attend_scored_kernel|[a-z_]+_kernel)", re.sub(r"_ZN6rerank6engine4cuda", "", name))
    base = re.sub(r"^\d*_?", "", base.group(1)) if base else name
    rest = name.split(base, 1)[-1]
    parts = [n for n in re.findall(r"Li(\d+)E", rest)]
    if "Lb" in rest:
        parts += ["general" if "Lb1E" in rest else "plain"]
    parts += [{"f": "fp32", "6__half": "fp16", "13__nv_bfloat16": "bf16", "j": "u32"}[t]
              for t in re.findall(r"(?:I|E)(f|6__half|13__nv_bfloat16|j)(?=f|6|1|E|S)", rest)]
    if not parts and (same := re.search(r"I(f|6__half|13__nv_bfloat16|j)", rest)):
        parts = [same.group(1)]
    return base + (f"<{', '.join(parts)}>" if parts else "")


def usage(tool, library):
    """{(kernel, architecture): dict of registers, stack, shared}"""
    found, architecture, kernel = {}, None, None
    for line in subprocess.run([tool, "--dump-resource-usage", library], capture_output=True, text=True, check=True).stdout.splitlines():
        if match := re.search(r"arch = (sm_\d+)", line):
            architecture = match.group(1)
        elif match := re.search(r"Function (\S+):", line):
            kernel = match.group(1)
        elif kernel and (match := re.search(r"REG:(\d+) STACK:(\d+) SHARED:(\d+)", line)):
            registers, stack, shared = map(int, match.groups())
            found[kernel, architecture] = dict(registers=registers, stack=stack, shared=shared)
            kernel = None
    return found


def instructions(tool, library):
    """{(kernel, architecture): [(address, opcode, target of a branch or None)]}"""
    found, architecture, code = {}, None, None
    beside = dict(os.environ, PATH=f"{pathlib.Path(tool).parent}:{os.environ['PATH']}")  # it calls nvdisasm
    for line in subprocess.run([tool, "-sass", library], capture_output=True, text=True, check=True, env=beside).stdout.splitlines():
        if match := re.search(r"arch = (sm_\d+)", line):
            architecture = match.group(1)
        elif match := re.search(r"Function : (\S+)", line):
            code = found.setdefault((match.group(1), architecture), [])
        elif match := re.match(r"\s+/\*([0-9a-f]{4,})\*/\s+(.*?);", line):
            text = re.sub(r"^@!?U?P\w+\s+", "", match.group(2))
            branch = re.search(r"\bBRA\S*\s.*?(0x[0-9a-f]+)", text)
            code.append((int(match.group(1), 16), text.split()[0], int(branch.group(1), 16) if branch else None))
    return found


def loop_of(code):
    """The instructions of the loop that has the most products, else of the longest loop."""
    loops = [(target, at) for at, _, target in code if target is not None and target < at]
    bodies = [[op for at, op, _ in code if first <= at <= last] for first, last in loops]
    return max(bodies, key=lambda body: (sum(op.startswith(PRODUCTS) for op in body), -len(body)), default=[])


def blocks(kernel, numbers, architecture):
    """How many of attention's blocks a processor holds, and what bounds them."""
    registers, threads, memory, _, most = LIMITS[architecture]
    head = int(re.search(r"<(\d+)", kernel).group(1))
    of = THREADS["attention_kernel"] * (2 if "128 queries" in kernel else 1)
    per_warp = (numbers["registers"] * 32 + 255) // 256 * 256
    bounds = {"registers": registers // per_warp * 32 // of, "memory": memory // (SHARED["wgmma" in kernel](head) + 1024),
              "threads": threads // of, "blocks": most}
    least = min(bounds, key=bounds.get)
    return bounds[least], least


def measure(tool, library):
    code, found = instructions(tool, library), {}
    for (name, architecture), numbers in usage(tool, library).items():
        body = loop_of(code[name, architecture])
        numbers |= dict(instructions=len(code[name, architecture]), loop=len(body), hmma=sum(op.startswith(PRODUCTS) for op in body),
                        mufu=sum(op.startswith("MUFU") for op in body),
                        spills=sum(op.startswith(("STL", "LDL")) for _, op, _ in code[name, architecture]))
        if "wgmma" in short(name) and architecture != "sm_90":
            continue  # a trap: only Hopper has it
        found[f"{short(name)} {architecture}"] = numbers
    return found


def show(found):
    print("| kernel | registers | stack, spills | instructions | of the loop, products, MUFU | blocks a processor |\n|---|---|---|---|---|---|")
    for name, n in sorted(found.items()):
        kernel, architecture = name.rsplit(" ", 1)
        held = "{} ({})".format(*blocks(kernel, n, architecture)) if kernel.startswith("attention_kernel") else ""
        loop = f"{n['loop']}, {n['hmma']}, {n['mufu']}" if n["loop"] else "-"
        print(f"| {name} | {n['registers']} | {n['stack']}, {n['spills']} | {n['instructions']} | {loop} | {held} |")


def check(found, allowed):
    """What is over its budget, by name."""
    wrong = [f"{name}: spills {n['spills']}, stack {n['stack']}" for name, n in found.items() if n["spills"]]
    for name, limit in allowed.items():
        if name not in found:
            wrong.append(f"{name}: is gone; --write")
            continue
        n = found[name]
        wrong += [f"{name}: {what} {n[what]}, allowed {limit[what]}" for what in ("registers", "loop")
                  if n[what] > limit[what] * (ALLOWANCE if what == "loop" else 1)]
    return wrong + [f"{name}: is new; --write" for name in found if name not in allowed]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library")
    parser.add_argument("--check", type=pathlib.Path)
    parser.add_argument("--write", type=pathlib.Path)
    arguments = parser.parse_args()
    tool = find_tool()
    if tool is None:
        print("budgets: skipped: there is no cuobjdump; pip install -r requirements/cuda.txt into .venv-cuda")
        return 0
    found = measure(tool, arguments.library)
    if arguments.write:
        kept = {name: {what: n[what] for what in ("registers", "loop")} for name, n in sorted(found.items())}
        arguments.write.write_text("{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(n)}" for name, n in kept.items()) + "\n}\n")
    elif arguments.check:
        architectures = {name.rsplit(" ", 1)[1] for name in found}
        allowed = {name: n for name, n in json.loads(arguments.check.read_text()).items() if name.rsplit(" ", 1)[1] in architectures}
        wrong = check(found, allowed)
        print(f"{len(found)} kernels, {len(wrong)} over their budget" + "".join("\n  " + line for line in wrong))
        return 1 if wrong else 0
    else:
        show(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
