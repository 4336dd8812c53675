"""Loading, batching and scoring shared by training, evaluation and export."""
import pathlib

import numpy
import torch
from tokenizers import Tokenizer
from transformers import BertForSequenceClassification


def load(folder, dropout=None, attention="sdpa"):
    extra = {} if dropout is None else dict(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    model = BertForSequenceClassification.from_pretrained(folder, attn_implementation=attention, dtype=torch.float32, **extra)
    return model, Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json"))


def encode(tokenizer, pairs, cap):
    """[(ids, type ids)]; the passage is cut so that the pair fits, as at most half of a long query."""
    tokenizer.enable_truncation(cap, strategy="longest_first")
    return [(item.ids, item.type_ids) for item in tokenizer.encode_batch(pairs)]


def collate(encoded):
    # Few different shapes: the matrix library writes and keeps one kernel for each.
    longest = -(-max(len(ids) for ids, _ in encoded) // 16) * 16
    ids, kinds, mask = (torch.zeros(len(encoded), longest, dtype=torch.long) for _ in range(3))
    for row, (tokens, types) in enumerate(encoded):
        ids[row, :len(tokens)] = torch.tensor(tokens)
        kinds[row, :len(tokens)] = torch.tensor(types)
        mask[row, :len(tokens)] = 1
    return dict(input_ids=ids, token_type_ids=kinds, attention_mask=mask)


def pooled(states, inputs):
    """What exits read after a layer (src/engine/depth/pooling.h): first token, means of the query's and the document's tokens."""
    document = (inputs["token_type_ids"] * inputs["attention_mask"]).to(states.dtype)
    query = inputs["attention_mask"].to(states.dtype) - document
    query[:, 0] = 0
    means = [(states * part[..., None]).sum(1) / part.sum(1, keepdim=True).clamp(min=1) for part in (query, document)]
    return torch.cat([states[:, 0], *means], -1)


def logits(model, encoded, chunk=24):
    """Logits of all pairs, computed in chunks of like length, in the order given. A model with `probes` (one
    per layer but the last, while it is trained) gives [pairs, layers]: what each probe reads, then the logit."""
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i][0]))
    probes = getattr(model, "probes", ())
    parts = []
    for start in range(0, len(order), chunk):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=next(model.parameters()).dtype == torch.float32):
            inputs = collate([encoded[i] for i in order[start:start + chunk]])
            found = model(**inputs, output_hidden_states=bool(probes))
            read = [probe(pooled(state, inputs))[:, 0] for probe, state in zip(probes, (found.hidden_states or ())[1:])]
            parts.append(torch.stack([*read, found.logits[:, 0]], -1).float() if read else found.logits[:, 0].float())
    back = torch.empty(len(order), dtype=torch.long)
    back[order] = torch.arange(len(order))
    return torch.cat(parts)[back]


def score(model, tokenizer, pairs, cap=256, chunk=32, progress=None):
    """Scores (logits) of (query, passage) pairs as a numpy array."""
    model.eval()
    found = numpy.zeros(len(pairs), dtype=numpy.float32)
    encoded = encode(tokenizer, pairs, cap)
    order = sorted(range(len(pairs)), key=lambda i: len(encoded[i][0]))
    steps = range(0, len(order), chunk)
    with torch.inference_mode():
        for start in progress(steps) if progress else steps:
            part = order[start:start + chunk]
            found[part] = logits(model, [encoded[i] for i in part], chunk).numpy()
    return found
