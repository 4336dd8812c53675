"""Scores of pairs in Arrow arrays: the engine reads their buffers as they are.

    from rerankd.arrow import Scorer
    Scorer("/models/bge", precision="int8", threads=8).score(table["query"], table["document"])      # -> pa.FloatArray

Needs pyarrow and numpy.
"""
from __future__ import annotations

import ctypes
from typing import Any

import numpy
import pyarrow

from .errors import RerankError
from .library import Library
from .pool import Pool

PORTION = 4096  # pairs of one call to the engine: between two of them Ctrl-C is seen


class Scorer:
    """One engine, opened at the first use; pickled as its settings, so that workers can be sent one.

    model, settings: as of docs/options.md with underscores: precision="bf16", threads=4, ... url, api_key, timeout: of a server, or of
    several with commas between, instead of a model. raw_scores: logits instead of sigmoids.
    A score is a function of its pair alone, bit for bit, whatever else is scored with it.
    """

    def __init__(self, model: str | None = None, *, url: str | None = None, api_key: str | None = None, timeout: float = 600.0,
                 raw_scores: bool = False, **settings: Any) -> None:
        if url and (model or settings):
            raise TypeError("a server has its own model and settings: give either a url, or a model and settings")
        self.raw_scores = raw_scores
        self._server = (url, api_key, timeout) if url else None
        self._settings = {name.replace("_", "-"): str(value).lower() if isinstance(value, bool) else str(value)
                          for name, value in {"model": model, **settings}.items() if value is not None}
        self._backend: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_backend": None}

    @property
    def backend(self) -> Any:
        if self._backend is None:
            self._backend = Pool(*self._server) if self._server else Library(self._settings)
        return self._backend

    def score(self, queries: Any, documents: Any) -> pyarrow.FloatArray:
        """Arrays of strings (also large, dictionary and chunked), of equal length and without nulls -> float32 in their order."""
        queries, documents = _strings(queries, "queries"), _strings(documents, "documents")
        if len(queries) != len(documents):
            raise ValueError(f"{len(queries)} queries and {len(documents)} documents: pairs are wanted")
        logits = numpy.empty(len(queries), numpy.float32)
        if len(queries):
            # Pairs of a query together: it is tokenized once. Of like length together: batches are even.
            of_query = _combined(queries.dictionary_encode()).indices.to_numpy(zero_copy_only=False)
            texts = _places(documents)
            order = numpy.lexsort((texts["bytes"], of_query))
            found = self._through_servers(queries, documents, order) if self._server else self._in_process(_places(queries), texts, order)
            logits[order] = found
        scores = logits if self.raw_scores else _sigmoid(logits)
        return pyarrow.array(scores, pyarrow.float32())

    def _in_process(self, queries: numpy.ndarray, documents: numpy.ndarray, order: numpy.ndarray) -> numpy.ndarray:
        logits = numpy.empty(len(order), numpy.float32)
        for begin in range(0, len(order), PORTION):
            part = order[begin:begin + PORTION]
            left, right, made = queries[part], documents[part], logits[begin:begin + PORTION]
            self.backend.predict_texts(left.ctypes.data, right.ctypes.data, len(part), made.ctypes.data_as(ctypes.POINTER(ctypes.c_float)))
        return logits

    def _through_servers(self, queries: Any, documents: Any, order: numpy.ndarray) -> numpy.ndarray:
        logits = []
        for begin in range(0, len(order), PORTION):
            part = pyarrow.array(order[begin:begin + PORTION])
            logits += self.backend.predict(list(zip(queries.take(part).to_pylist(), documents.take(part).to_pylist())))
        return numpy.array(logits, numpy.float32)

    def close(self) -> None:
        if self._backend is not None:
            self._backend.close()
            self._backend = None


def _sigmoid(logits: numpy.ndarray) -> numpy.ndarray:
    wide = logits.astype(numpy.float64)
    return (0.5 * (1 + numpy.tanh(0.5 * wide))).astype(numpy.float32)


def _combined(array: Any) -> Any:
    return array.combine_chunks() if isinstance(array, pyarrow.ChunkedArray) else array


def _strings(given: Any, name: str) -> Any:
    """As an array or a chunked array of strings; ValueError that says what is wrong, and in which row."""
    array = given if isinstance(given, (pyarrow.Array, pyarrow.ChunkedArray)) else pyarrow.array(given)
    kind = array.type
    if pyarrow.types.is_dictionary(kind):
        array = array.cast(kind.value_type) if pyarrow.types.is_string(kind.value_type) or pyarrow.types.is_large_string(kind.value_type) else array
        kind = array.type
    if pyarrow.types.is_string_view(kind):
        array = array.cast(pyarrow.large_string())
    elif len(array) and not pyarrow.types.is_string(kind) and not pyarrow.types.is_large_string(kind):
        raise ValueError(f"{name} are {kind}, not strings")
    if array.null_count:
        row = array.is_null().index(True).as_py()
        raise ValueError(f"{name}: row {row} is null ({array.null_count} of {len(array)} are); drop them or fill them first")
    return array.cast(pyarrow.string()) if not len(array) else array


TEXT = numpy.dtype([("data", numpy.uint64), ("bytes", numpy.uint64)])  # rerank_text of rerank/c_api.h


def _places(array: Any) -> numpy.ndarray:
    """Where each text lies in Arrow's buffers. The array must outlive what is made of it."""
    chunks = array.chunks if isinstance(array, pyarrow.ChunkedArray) else [array]
    parts = []
    for chunk in chunks:
        _, offsets, data = chunk.buffers()
        if not len(chunk):
            continue
        width = numpy.int64 if pyarrow.types.is_large_string(chunk.type) else numpy.int32
        ends = numpy.frombuffer(offsets, width)[chunk.offset:chunk.offset + len(chunk) + 1].astype(numpy.uint64)
        part = numpy.empty(len(chunk), TEXT)
        part["data"] = ends[:-1] + numpy.uint64(data.address if data is not None else 0)
        part["bytes"] = ends[1:] - ends[:-1]
        parts.append(part)
    return numpy.concatenate(parts) if parts else numpy.empty(0, TEXT)


__all__ = ["Scorer", "RerankError"]
