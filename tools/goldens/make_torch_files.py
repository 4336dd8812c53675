#!/usr/bin/env python3
"""Records small files of torch.save() for the reader of pytorch_model.bin: the zip form and the old one, of all types,
strides and shared storages that state dictionaries have.

Usage: make_torch_files.py OUT   (needs requirements/train.txt; `make reference` calls it)

Element k of tensor number n (from 1, in the order below) is n + k / 8 (row by row), which each type holds exactly.
"""
import collections
import pathlib
import sys

import torch


def values(number, *shape, dtype=torch.float32):
    count = 1
    for size in shape:
        count *= size
    return (number + torch.arange(count) / 8).reshape(shape).to(dtype)


def state():
    whole = values(5, 6, 4)
    tensors = collections.OrderedDict([
        ("plain", values(1, 3, 4)),
        ("half", values(2, 2, 3, dtype=torch.float16)),
        ("bfloat16", values(3, 5, dtype=torch.bfloat16)),
        ("double", values(4, 2, 2, dtype=torch.float64)),
        ("whole", whole),
        ("tied", whole),
        ("rows", whole[2:4]),
        ("columns", whole[:, 1]),
        ("transposed", values(9, 3, 2).t().contiguous().t()),
        ("parameter", torch.nn.Parameter(values(10, 2))),
        ("scalar", values(11)),
        ("empty", torch.zeros(0, 4)),
        ("position_ids", torch.arange(4)),
        ("flags", torch.tensor([True, False])),
    ])
    tensors._metadata = collections.OrderedDict([("", {"version": 1}), ("layer", {"version": 1})])
    return tensors


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    torch.save(state(), out / "zip.bin")
    torch.save(state(), out / "old.bin", _use_new_zipfile_serialization=False)
    torch.save({"model": dict(state()), "epoch": 3}, out / "checkpoint.bin")
    torch.save({"weights": torch.nn.Linear(2, 2)}, out / "module.bin")


if __name__ == "__main__":
    main()
