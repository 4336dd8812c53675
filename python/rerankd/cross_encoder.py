"""sentence-transformers' CrossEncoder over a server or the library."""
from __future__ import annotations

import math
from typing import Any, Callable, Iterable, Sequence

from .library import Library
from .server import Server

PORTION = 256  # pairs of one call to the engine: between two of them the bar moves and Ctrl-C is seen


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


class CrossEncoder:
    """CrossEncoder(url="http://...") asks a server; CrossEncoder("/models/x") computes in process.

    The named arguments up to `backend` are sentence-transformers' own. `device` and `batch_size` are taken and not needed: the engine
    uses all cores (threads=N) and batches by itself. What would change scores and cannot be done is a ValueError.

    url, api_key, timeout: of a server (timeout in seconds, per request); model and settings are then the server's own.
    beside: another model in this process, whose threads and caches this one has, too; the two take turns.
    settings: as of docs/options.md with underscores: precision="bf16", threads=4, ...
    """

    def __init__(self, model_name_or_path: Any = None, num_labels: int | None = None, max_length: int | None = None,
                 activation_fn: Callable | None = None, device: Any = None, cache_folder: Any = None, trust_remote_code: bool = False,
                 revision: str | None = None, local_files_only: bool = False, token: bool | str | None = None,
                 model_kwargs: dict | None = None, tokenizer_kwargs: dict | None = None, config_kwargs: dict | None = None,
                 model_card_data: Any = None, backend: str = "torch", *, model: Any = None, url: str | None = None,
                 api_key: str | None = None, timeout: float = 60.0, beside: "CrossEncoder | None" = None, **settings: Any) -> None:
        if num_labels not in (None, 1):
            raise ValueError("num_labels: a reranker has one score")
        if trust_remote_code:
            raise ValueError("trust_remote_code: code of a model's folder is never run")
        for name, value in (("model_kwargs", model_kwargs), ("tokenizer_kwargs", tokenizer_kwargs), ("config_kwargs", config_kwargs)):
            if value:
                raise ValueError(f"{name}: there is no PyTorch to give them to; see precision, max_length, engine")
        if backend not in ("torch", "onnx"):
            raise ValueError(f"backend {backend!r}: name an engine instead, engine=\"onnx\" or none")
        self.activation_fn = activation_fn
        self._name = str(url or model or model_name_or_path or "the built-in model")
        own = {"model": model or model_name_or_path, "max_length": max_length, "hub_cache": cache_folder, "revision": revision,
               "hub_offline": local_files_only or None, "hub_token": token if isinstance(token, str) else None,
               "engine": "onnx" if backend == "onnx" else None}
        settings = {**{name: value for name, value in own.items() if value is not None}, **settings}
        if beside is not None and (url or not isinstance(beside.backend, Library)):
            raise TypeError("beside: goes with models in this process")
        if url:
            if settings:
                raise TypeError("a server has its own model and settings: give either a url, or a model and settings")
            self.backend: Any = Server(url, api_key, timeout)
            return
        self.backend = Library({name.replace("_", "-"): str(value).lower() if isinstance(value, bool) else str(value)
                                for name, value in settings.items() if value is not None}, beside and beside.backend)

    def __repr__(self) -> str:
        return f"CrossEncoder({self._name!r})"

    def predict(self, sentences: Iterable | None = None, batch_size: int = 32, show_progress_bar: bool | None = None,
                activation_fn: Callable | None = None, apply_softmax: bool | None = False, convert_to_numpy: bool = True,
                convert_to_tensor: bool = False, *, inputs: Iterable | None = None, raw_scores: bool = False,
                instruction: str | None = None) -> Any:
        """Scores of pairs, in their order: sigmoids, logits with raw_scores, or what activation_fn makes of logits.

        sentences: one pair, which gives one number; or pairs in a list, a generator, a zip or a DataFrame's first two columns.
        apply_softmax changes nothing for one score. instruction: what the queries are for, of decoders that take one.
        """
        given = sentences if sentences is not None else inputs
        if given is None:
            raise TypeError("predict() needs pairs")
        single = isinstance(given, (tuple, list)) and len(given) == 2 and all(isinstance(text, str) for text in given)
        pairs = _checked([given] if single else _rows(given))
        scores = _activated(self._logits(pairs, show_progress_bar, instruction), activation_fn or self.activation_fn, raw_scores)
        if convert_to_tensor:
            import torch
            return torch.tensor(scores[0] if single else scores)
        if single:
            return scores[0]
        return _as_numpy(scores) if convert_to_numpy else scores

    def rank(self, query: str, documents: Sequence[str], top_k: int | None = None, return_documents: bool = False, batch_size: int = 32,
             show_progress_bar: bool | None = None, activation_fn: Callable | None = None, apply_softmax: bool | None = False,
             convert_to_numpy: bool = True, convert_to_tensor: bool = False, *, raw_scores: bool = False,
             instruction: str | None = None) -> list[dict[str, Any]]:
        """Documents best first, ties in their order: [{"corpus_id", "score", "text"?}], cut to top_k."""
        documents = list(documents)
        logits = self._logits(_checked([(query, document) for document in documents]), show_progress_bar, instruction)
        scores = _activated(logits, activation_fn or self.activation_fn, raw_scores)
        order = sorted(range(len(documents)), key=lambda i: -logits[i])[:top_k]
        return [{"corpus_id": i, "score": scores[i], **({"text": documents[i]} if return_documents else {})} for i in order]

    def _logits(self, pairs: list[tuple[str, str]], show_progress_bar: bool | None, instruction: str | None) -> list[float]:
        logits: list[float] = []
        with _bar(len(pairs), show_progress_bar) as bar:
            for begin in range(0, len(pairs), PORTION):
                logits += self.backend.predict(pairs[begin:begin + PORTION], instruction)
                bar.update(len(logits) - begin)
        return logits

    def close(self) -> None:
        self.backend.close()

    def __enter__(self) -> CrossEncoder:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _rows(given: Any) -> Iterable:
    return given.itertuples(index=False, name=None) if hasattr(given, "itertuples") else given


def _checked(rows: Iterable) -> list[tuple[str, str]]:
    """The rows as pairs; ValueError that names the first that is none."""
    pairs = []
    for place, row in enumerate(rows):
        pair = () if isinstance(row, str) else tuple(row)
        if len(pair) != 2:
            raise ValueError(f"pair {place}: expected (query, document), not {type(row).__name__} of {len(row)}")
        for side, text in zip(("query", "document"), pair):
            if not isinstance(text, str):
                raise ValueError(f"pair {place}: {side} is {'None' if text is None else type(text).__name__}, not a string")
        pairs.append(pair)
    return pairs


def _activated(logits: list[float], activation: Callable | None, raw: bool) -> list[float]:
    kind = type(activation).__name__
    if raw or kind == "Identity":
        return logits
    if activation is None or kind == "Sigmoid":
        return [_sigmoid(logit) for logit in logits]
    try:
        import torch
        made = activation(torch.tensor(logits))
    except ImportError:
        made = activation(_as_numpy(logits))
    return [float(score) for score in made]


def _as_numpy(scores: list[float]) -> Any:
    try:
        import numpy
    except ImportError:
        return scores
    return numpy.array(scores, dtype=numpy.float32)


class _NoBar:
    def update(self, _: int) -> None:
        pass

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *_: Any) -> None:
        pass


def _bar(total: int, wanted: bool | None) -> Any:
    """tqdm's, where it is installed and wanted."""
    if not wanted:
        return _NoBar()
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _NoBar()
    return tqdm(total=total, unit="pair", desc="rerankd")
