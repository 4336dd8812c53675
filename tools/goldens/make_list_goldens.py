#!/usr/bin/env python3
"""Makes tiny random-weight models that read documents together (jina-reranker-v3 and v3.5), and records their scores.

Usage: make_list_goldens.py OUT   (needs requirements/train.txt; `make reference` calls it with tests/data/listwise)

`rerank` below is written after the code that comes with jina-reranker-v3, not after rerankd's: OUT/<name>/golden.jsonl has a request a
line with the token ids of its blocks, the scores within each block, and the scores of its documents.
"""
import json
import pathlib
import random
import sys

import safetensors.torch
import torch
import transformers

from make_decoder_goldens import QWEN_PATTERN, byte_bpe, rope
from make_model_goldens import WORDS

LIMIT = 8192
EMBED, RERANK = "<|embed_token|>", "<|rerank_token|>"


def tokenizer_of_qwen():
    return byte_bpe(QWEN_PATTERN, ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", EMBED, RERANK], False)


def prompt(query, documents, instruction):
    query, *documents = (text.replace(EMBED, "").replace(RERANK, "") for text in [query, *documents])
    text = ("<|im_start|>system\nYou are a search relevance expert who can determine a ranking of the passages based on how relevant they "
            "are to the query. If the query is a question, how relevant a passage is depends on how well it answers the question. If not, "
            "try to analyze the intent of the query and assess how well each passage satisfies the intent. If an instruction is provided, "
            "you should follow the instruction when determining the ranking.<|im_end|>\n<|im_start|>user\n")
    text += (f"I will provide you with {len(documents)} passages, each indicated by a numerical identifier. Rank the passages based on "
             f"their relevance to query: {query}\n")
    if instruction:
        text += f"<instruct>\n{instruction}\n</instruct>\n"
    text += "\n".join(f'<passage id="{i}">\n{document}{EMBED}\n</passage>' for i, document in enumerate(documents))
    text += f"\n<query>\n{query}{RERANK}\n</query>"
    return text + "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


class Model(torch.nn.Module):
    def __init__(self, config, width, outputs):
        super().__init__()
        self.model = transformers.Qwen3Model(config)
        self.projector = torch.nn.Sequential(torch.nn.Linear(config.hidden_size, width, bias=False), torch.nn.ReLU(),
                                             torch.nn.Linear(width, outputs, bias=False))

    def forward(self, ids, tokenizer):
        states = self.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        vectors = self.projector(states).double()
        at = torch.tensor(ids)
        return vectors[at == tokenizer.token_to_id(EMBED)], vectors[at == tokenizer.token_to_id(RERANK)][0]


def cosine(query, documents):
    return torch.nn.functional.cosine_similarity(query[None], documents, dim=1)


def rerank(model, tokenizer, query, documents, instruction=None, max_document=2048, max_query=512, most=125):
    def cut(text, limit):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        return (tokenizer.decode(ids[:limit], skip_special_tokens=False) if len(ids) > limit else text), min(len(ids), limit)

    query, query_length = cut(query, max_query)
    blocks, block, left = [], [], LIMIT - 2 * query_length
    for text in documents:
        document, length = cut(text, max_document)
        block.append(document)
        left -= length
        if len(block) >= most or left <= max_document:
            blocks.append(block)
            block, left = [], LIMIT - 2 * query_length
    blocks += [block] if block else []
    recorded, queries, vectors, weights = [], [], [], []
    for block in blocks:
        ids = tokenizer.encode(prompt(query, block, instruction), add_special_tokens=False).ids
        assert len(ids) <= LIMIT, len(ids)
        of_documents, of_query = model(ids, tokenizer)
        scores = cosine(of_query, of_documents)
        queries.append(of_query)
        vectors.append(of_documents)
        weights.append(((1 + scores) / 2).max())
        shown = dict(ids=ids, scores=[round(float(s), 7) for s in scores]) if len(ids) <= 1400 else {}  # a checkout should not grow
        recorded.append(dict(tokens=len(ids), count=len(block)) | shown)
    mean = sum(q * w for q, w in zip(queries, weights)) / sum(weights)
    return dict(blocks=recorded, scores=[round(float(s), 7) for s in cosine(mean, torch.cat(vectors))])


def requests(rng):
    def text(words):
        return " ".join(rng.choice(WORDS) for _ in range(words))

    yield dict(query="what is a panda?", documents=["The giant panda is a bear.", "Paris is the capital of France."])
    yield dict(query="", documents=[""])
    yield dict(query="one", documents=["\n\nbegins with line ends", "  blanks before", "ends with a line\n", ")?", "é\u0301 北京 🐼"])
    yield dict(query="why?\n", documents=[text(9) for _ in range(12)], instruction="find what\ncontradicts the query")
    yield dict(query="marks", documents=[f"a {EMBED} in a text", f"{RERANK}{RERANK}", "none"])
    yield dict(query=text(6), documents=[text(n) for n in (1, 40, 3, 80, 2)], max_document_tokens=30)
    yield dict(query=text(60), documents=[text(5), text(6)], max_query_tokens=20)
    yield dict(query=text(4), documents=[text(1 + i % 2) for i in range(130)])  # two blocks, by the number of documents
    yield dict(query=text(5), documents=[text(rng.randrange(40, 120)) for _ in range(40)], max_document_tokens=2000)  # ... by tokens


def main():
    sizes = dict(hidden_size=32, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                 rope_parameters=rope(1e6), tie_word_embeddings=True)
    windows = dict(use_sliding_window=True, sliding_window=24, layer_types=["sliding_attention", "full_attention", "sliding_attention"])
    for seed, (name, settings, width, outputs) in enumerate([
            ("jina-v3-a", sizes | dict(num_hidden_layers=2), 16, 16), ("jina-v3-b", sizes | windows | dict(num_hidden_layers=3), 24, 12)]):
        tokenizer = tokenizer_of_qwen()
        config = transformers.Qwen3Config(vocab_size=(tokenizer.get_vocab_size() + 7) // 8 * 8, max_position_embeddings=LIMIT,
                                          pad_token_id=0, bos_token_id=0, eos_token_id=1, **settings)
        model = Model(config, width, outputs).eval()
        generator = torch.Generator().manual_seed(seed)
        for key, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data = 0.1 * noise + 1 if parameter.dim() == 1 else noise * (0.3 if "embed" in key else parameter.shape[-1] ** -0.5)
            if name.endswith("-b"):
                parameter.data = parameter.data.to(torch.bfloat16).float()
        folder = pathlib.Path(sys.argv[1]) / name
        folder.mkdir(parents=True, exist_ok=True)
        dtype = torch.bfloat16 if name.endswith("-b") else torch.float32
        safetensors.torch.save_file({key: value.to(dtype).contiguous() for key, value in model.state_dict().items()},
                                    folder / "model.safetensors", metadata={"format": "pt"})
        saved = config.to_dict() | {"architectures": ["JinaForRanking"], "dtype": str(dtype).removeprefix("torch.")}
        (folder / "config.json").write_text(json.dumps(saved, indent=2) + "\n")
        tokenizer.save(str(folder / "tokenizer.json"))
        lines = []
        with torch.no_grad():
            for request in requests(random.Random(seed)):
                limits = dict(max_document=request.get("max_document_tokens", 2048), max_query=request.get("max_query_tokens", 512))
                lines.append(request | rerank(model, tokenizer, request["query"], request["documents"], request.get("instruction"), **limits))
        (folder / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        spread = [score for line in lines for score in line["scores"]]
        print(name, sum(f.stat().st_size for f in folder.iterdir()) // 1024, "KB, scores", min(spread), "to", max(spread),
              "blocks", [len(line["blocks"]) for line in lines], "lengths", [b["tokens"] for line in lines for b in line["blocks"]])


if __name__ == "__main__":
    main()
