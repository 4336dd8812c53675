"""Encoders with a head in modules of its own, as sentence-transformers saves them (Ettin's rerankers): Transformer, Pooling,
Dense, LayerNorm, Dense. The chain is written out in torch, so that sentence-transformers is not needed."""
import json
import types

import safetensors.torch
import torch
import transformers


class Chain(torch.nn.Module):
    """Ettin's: the first token, GELU, a norm with beta."""
    pooling, dense_bias, with_norm, older = "cls", False, True, False

    def __init__(self, config):
        super().__init__()
        self.encoder = transformers.AutoModel.from_config(config)
        self.dense = torch.nn.Linear(config.hidden_size, config.hidden_size, bias=self.dense_bias)
        self.norm = torch.nn.LayerNorm(config.hidden_size)
        self.output = torch.nn.Linear(config.hidden_size, 1)

    def forward(self, **inputs):
        rows = self.encoder(**inputs).last_hidden_state
        row = rows[:, 0] if self.pooling == "cls" else rows.mean(1)
        row = torch.nn.functional.gelu(self.dense(row))
        return types.SimpleNamespace(logits=self.output(self.norm(row) if self.with_norm else row))

    def save_pretrained(self, folder):
        self.encoder.save_pretrained(folder)
        kinds = ["Transformer", "Pooling", "Dense"] + ["LayerNorm"] * self.with_norm + ["Dense"]
        place = "sentence_transformers.models." if self.older else "sentence_transformers.base.modules."
        paths = ["" if i == 0 else f"{i}_{kind}" for i, kind in enumerate(kinds)]
        write(folder / "modules.json", [dict(idx=i, name=str(i), path=path, type=place + kind)
                                        for i, (kind, path) in enumerate(zip(kinds, paths))])
        width = self.dense.in_features
        gelu, identity = "torch.nn.modules.activation.GELU", "torch.nn.modules.linear.Identity"
        pooling = dict(word_embedding_dimension=width, pooling_mode_cls_token=self.pooling == "cls",
                       pooling_mode_mean_tokens=self.pooling == "mean") if self.older else dict(pooling_mode=self.pooling)
        write(folder / paths[1] / "config.json", pooling)
        write(folder / paths[2] / "config.json", dict(in_features=width, out_features=width, bias=self.dense_bias, activation_function=gelu))
        save(folder / paths[2], "linear", self.dense)
        if self.with_norm:
            write(folder / paths[3] / "config.json", dict(dimension=width))
            save(folder / paths[3], "norm", self.norm)
        write(folder / paths[-1] / "config.json", dict(in_features=width, out_features=1, bias=True, activation_function=identity,
                                                       module_output_name="scores"))
        save(folder / paths[-1], "linear", self.output)


class MeanChain(Chain):
    """A BERT's, with the older names of everything: the mean of all tokens, no norm."""
    pooling, dense_bias, with_norm, older = "mean", True, False, True


def write(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def save(folder, name, module):
    safetensors.torch.save_file({f"{name}.{key}": value for key, value in module.state_dict().items()}, folder / "model.safetensors")
