#!/usr/bin/env python3
"""A model folder of a true shape with random weights and a tokenizer of another model: for measuring speed.

Usage: random_model.py --out FOLDER [--shape minilm|base|large|xlmr-large] [--dtype float32|bfloat16]
                       [--tokenizer models/rerankd-mini-en]. Needs requirements/peers.txt.
"""
import argparse
import pathlib
import shutil

import torch

import compare

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--out", required=True)
parser.add_argument("--shape", choices=compare.SHAPES, default="minilm")
parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
parser.add_argument("--tokenizer", default="models/rerankd-mini-en")
arguments = parser.parse_args()
compare.make_model(arguments.shape, arguments.out, getattr(torch, arguments.dtype))
for path in pathlib.Path(arguments.tokenizer).glob("tokenizer*.json"):  # a configuration is not always there
    shutil.copy(path, arguments.out)
