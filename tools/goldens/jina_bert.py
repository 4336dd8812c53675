"""JinaBERT v1 for reference logits; transformers has no class of it. BertForSequenceClassification with three changes: no positions, ALiBi
slopes as an additive mask, and a gated feed-forward in the place of BertIntermediate. Everything else is transformers' own code."""
import json

import safetensors.torch
import torch
import transformers


def slopes(heads):
    """ALiBi's: 2^(-8 (h + 1) / n) of n heads, a power of two; else those of the power below, then every other of the power above."""
    power = 2 ** (heads.bit_length() - 1)
    own = [2 ** (-8 * (h + 1) / power) for h in range(power)]
    return own if power == heads else own + [2 ** (-8 * (h + 1) / (2 * power)) for h in range(0, 2 * (heads - power), 2)]


class GatedIntermediate(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gated_layers = torch.nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)

    def forward(self, states):
        gate, up = self.gated_layers(states).chunk(2, dim=-1)
        return torch.nn.functional.gelu(gate) * up


class JinaBert(transformers.BertForSequenceClassification):
    def __init__(self, config):
        super().__init__(config)
        self.bert.embeddings.position_embeddings.weight.data.zero_()
        self.bert.embeddings.position_embeddings.weight.requires_grad = False
        for layer in self.bert.encoder.layer:
            layer.intermediate = GatedIntermediate(config)
            torch.nn.init.normal_(layer.intermediate.gated_layers.weight, std=config.initializer_range)

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        positions = torch.arange(input_ids.shape[1])
        distance = (positions[:, None] - positions[None, :]).abs().float()
        bias = -torch.tensor(slopes(self.config.num_attention_heads))[:, None, None] * distance
        return super().forward(input_ids=input_ids, attention_mask=bias[None], token_type_ids=token_type_ids)


def as_jina(folder):
    """Names and config.json as jina-reranker-v1-turbo-en has them."""
    tensors = {}
    for name, tensor in safetensors.torch.load_file(folder / "model.safetensors").items():
        if "position" in name:
            continue
        for old, new in ((".intermediate.gated_layers", ".mlp.gated_layers"), (".attention.output.", ".attention.output."),
                         (".output.dense", ".mlp.wo"), (".output.LayerNorm", ".mlp.layernorm")):
            if old in name:
                name = name.replace(old, new)
                break
        tensors[name] = tensor
    safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    for field in ("id2label", "label2id"):
        config.pop(field, None)
    config |= {"architectures": ["JinaBertForMaskedLM"], "position_embedding_type": "alibi", "feed_forward_type": "geglu"}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
