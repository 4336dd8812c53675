#!/usr/bin/env python3
"""Exports recorded models as graphs, as their users do: ONNX by both exporters of torch.onnx, TorchScript by torch.jit.trace.

Usage: make_graph_fixtures.py MODELS OUT   (needs requirements/train.txt, onnx and onnxscript; `make reference` calls it)

MODELS is tests/data/models. OUT/<model>-<exporter>.onnx and OUT/<model>.torchscript compute what MODELS/<model>/golden.jsonl
records. OUT/{other-inputs,embedding,moody}.torchscript are what a reranker is not.
"""
import pathlib
import sys
import zipfile

import onnx
import torch
import transformers


class Logits(torch.nn.Module):
    def __init__(self, model, inputs):
        super().__init__()
        self.model, self.inputs = model, inputs

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        segments = {"token_type_ids": token_type_ids} if "token_type_ids" in self.inputs else {}
        return self.model(input_ids=input_ids, attention_mask=attention_mask, **segments).logits


class OtherInputs(torch.nn.Module):
    """Of another trade: what it takes is not tokens."""

    def forward(self, pixel_values, attention_mask):
        return (pixel_values * attention_mask).sum(1, keepdim=True).float()


class Embedding(torch.nn.Module):
    """A row of numbers for each text instead of a score."""

    def forward(self, input_ids, attention_mask):
        return (input_ids * attention_mask).sum(1, keepdim=True).float() * torch.ones(1, 32)


class Moody(torch.nn.Module):
    """A score, but not for long texts."""

    def forward(self, input_ids, attention_mask):
        if input_ids.size(1) > 16:
            raise RuntimeError("not enough memory")
        return {"logits": (input_ids * attention_mask).sum(1).float()}


def strip(path):
    """Takes out what the exporter notes about the machine it ran on: stack traces with paths."""
    model = onnx.load(path)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, *model.functions):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.save(model, path)


def strip_torchscript(path):
    """The same: debug information is in files of its own."""
    with zipfile.ZipFile(path) as whole:
        kept = [(name, whole.read(name)) for name in whole.namelist() if not name.endswith(".debug_pkl")]
    with zipfile.ZipFile(path, "w") as out:
        for name, content in kept:
            out.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_STORED)


def main():
    models, out = map(pathlib.Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    for name, inputs in (("bert-a", ["input_ids", "attention_mask", "token_type_ids"]), ("xlm-roberta-a", ["input_ids", "attention_mask"])):
        model = transformers.AutoModelForSequenceClassification.from_pretrained(models / name, attn_implementation="eager").eval()
        wrapped = Logits(model, inputs)
        ids = torch.randint(5, 200, (3, 17))
        mask = torch.ones_like(ids)
        mask[1, 9:] = 0
        example = tuple({"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}[i] for i in inputs)
        axes = {i: {0: "batch", 1: "sequence"} for i in inputs}
        with torch.no_grad():
            if name == "bert-a":
                torch.onnx.export(wrapped, example, str(out / f"{name}-torchscript.onnx"), dynamo=False, opset_version=14, input_names=inputs,
                                  output_names=["logits"], dynamic_axes={**axes, "logits": {0: "batch"}})
            elif name == "xlm-roberta-a":
                shapes = tuple({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC} for _ in inputs)
                torch.onnx.export(wrapped, example, str(out / f"{name}-dynamo.onnx"), dynamo=True, input_names=inputs, output_names=["logits"],
                                  dynamic_shapes=shapes, external_data=False, verbose=False)
            if name == "bert-a":
                torch.jit.trace(wrapped, example).save(str(out / f"{name}.torchscript"))
                strip_torchscript(out / f"{name}.torchscript")
        for path in out.glob(f"{name}-*.onnx"):
            strip(path)
        print(name)
    for name, wrong in (("other-inputs", OtherInputs()), ("embedding", Embedding()), ("moody", Moody())):
        torch.jit.script(wrong).save(str(out / f"{name}.torchscript"))
        strip_torchscript(out / f"{name}.torchscript")


if __name__ == "__main__":
    main()
