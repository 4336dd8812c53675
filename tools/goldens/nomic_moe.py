"""NomicBERT with experts for reference logits; transformers has no class of it. Its makers' form: biases, a feed-forward without a gate,
and in some blocks experts, of which a token goes through a few. Embeddings, rotations and pooler are transformers' own code."""
import json

import safetensors.torch
import torch
import transformers

# Experts, how many of them a token goes through, every how many blocks there are some, whether the weights of the chosen sum to 1.
USUAL = (6, 2, 2, False)


def moe_of(config):
    return getattr(config, "moe", USUAL)


class FeedForward(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.fc1 = torch.nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = torch.nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x):
        return self.fc2(torch.nn.functional.gelu(self.fc1(x)))


class Experts(torch.nn.Module):
    """y = sum of p_e gelu(x w1_e^T) w2_e, + bias; p of all experts, normalized anew among the chosen only where config.json says so."""
    def __init__(self, config):
        super().__init__()
        self.width = config.intermediate_size
        self.count, self.chosen, _, self.normalized = moe_of(config)
        self.router = torch.nn.Module()
        self.router.layer = torch.nn.Linear(config.hidden_size, self.count, bias=False)
        self.experts = torch.nn.Module()
        self.experts.mlp = torch.nn.Module()
        for name in ("w1", "w2"):
            setattr(self.experts.mlp, name, torch.nn.Parameter(torch.empty(self.count * self.width, config.hidden_size)))
        self.experts.bias = torch.nn.Parameter(torch.zeros(config.hidden_size))

    def forward(self, x):
        shares = self.router.layer(x).softmax(dim=-1, dtype=torch.float32)
        kept = torch.zeros_like(shares).scatter(-1, shares.topk(self.chosen, dim=-1).indices, 1) * shares
        if self.normalized:
            kept = kept / kept.sum(dim=-1, keepdim=True)
        total = torch.zeros_like(x)
        for e in range(self.count):
            own = slice(e * self.width, (e + 1) * self.width)
            total += kept[..., e:e + 1] * (torch.nn.functional.gelu(x @ self.experts.mlp.w1[own].T) @ self.experts.mlp.w2[own])
        return total + self.experts.bias


class NomicMoe(transformers.NomicBertForSequenceClassification):
    def __init__(self, config):
        super().__init__(config)
        for number, layer in enumerate(self.nomic_bert.layers):
            layer.mlp = Experts(config) if number % moe_of(config)[2] == 1 else FeedForward(config)
            for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
                linear = getattr(layer.self_attn, name)
                linear.bias = torch.nn.Parameter(torch.zeros(linear.out_features))
        for key, parameter in self.named_parameters():
            if parameter.dim() == 2:
                scale = 6 if "router" in key else 1  # so that rounding seldom turns a choice around
                parameter.data = torch.randn_like(parameter) * scale * parameter.shape[-1] ** -0.5


    def save_pretrained(self, folder):
        save_as_own_code(folder, self)


def save_as_own_code(folder, model):
    """Names and config.json as nomic-embed-text-v2-moe has them."""
    c = model.config
    tensors = {}
    for name, tensor in model.state_dict().items():
        name = name.replace("nomic_bert.layers.", "encoder.layers.").replace("nomic_bert.", "")
        for old, new in (("self_attn.o_proj", "attn.out_proj"), ("embeddings.LayerNorm", "emb_ln"), ("post_attention_layernorm", "norm1"),
                         ("post_mlp_layernorm", "norm2")):
            name = name.replace(old, new)
        tensors["bert." * (not name.startswith("classifier")) + name] = tensor.contiguous()
    for number in range(c.num_hidden_layers):
        layer = f"bert.encoder.layers.{number}."
        for kind in ("weight", "bias"):
            parts = [tensors.pop(f"{layer}self_attn.{part}_proj.{kind}") for part in "qkv"]
            tensors[f"{layer}attn.Wqkv.{kind}"] = torch.cat(parts)
    safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    experts, chosen, every, normalized = moe_of(c)
    config = dict(architectures=["NomicBertForSequenceClassification"], model_type="nomic_bert", n_embd=c.hidden_size,
                  n_layer=c.num_hidden_layers, n_head=c.num_attention_heads, n_inner=c.intermediate_size,
                  n_positions=c.max_position_embeddings, max_trained_positions=2048, activation_function="gelu",
                  layer_norm_epsilon=c.layer_norm_eps, rotary_emb_base=c.rope_parameters["rope_theta"], rotary_emb_fraction=1.0,
                  rotary_emb_interleaved=False, rotary_emb_scale_base=None, rotary_scaling_factor=None, qkv_proj_bias=True,
                  mlp_fc1_bias=True, mlp_fc2_bias=True, prenorm=False, parallel_block=False, use_rms_norm=False, causal=False,
                  num_experts=experts, moe_top_k=chosen, moe_every_n_layers=every, moe_normalize_expert_weights=normalized, num_shared_experts=0,
                  expert_choice_router=False, type_vocab_size=c.type_vocab_size, vocab_size=c.vocab_size, pad_token_id=c.pad_token_id,
                  id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0})
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
