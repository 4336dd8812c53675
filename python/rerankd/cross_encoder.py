"""The face of sentence-transformers' CrossEncoder over a server or the library."""
import math

from .library import Library
from .server import Server


def _sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


class CrossEncoder:
    """CrossEncoder(url="http://...") asks a server; CrossEncoder("/models/x") computes in process.

    model: a folder or a hub id; None: the built-in English model.
    url, api_key, timeout: of a server (timeout in seconds, per request); model is then the server's own.
    settings: as of docs/options.md with underscores: max_length=512, precision="bf16", threads=4, ...
    """

    def __init__(self, model=None, *, url=None, api_key=None, timeout=60.0, **settings):
        if url:
            if model or settings:
                raise TypeError("a server has its own model and settings: give either a url, or a model and settings")
            self.backend = Server(url, api_key, timeout)
            return
        named = {name.replace("_", "-"): str(value).lower() if isinstance(value, bool) else str(value)
                 for name, value in settings.items() if value is not None}
        if model:
            named["model"] = str(model)
        self.backend = Library(named)

    def predict(self, sentences, batch_size=None, show_progress_bar=None, *, raw_scores=False, convert_to_numpy=True, **_):
        """Scores of pairs, in their order: sigmoids, or logits with raw_scores. One pair gives one number."""
        single = len(sentences) == 2 and isinstance(sentences[0], str) and isinstance(sentences[1], str)
        pairs = [tuple(sentences)] if single else [tuple(pair) for pair in sentences]
        for pair in pairs:
            if len(pair) != 2 or not all(isinstance(text, str) for text in pair):
                raise ValueError("expected pairs (query, document) of strings")
        scores = self.backend.predict(pairs) if pairs else []
        if not raw_scores:
            scores = [_sigmoid(score) for score in scores]
        if single:
            return scores[0]
        return _as_numpy(scores) if convert_to_numpy else scores

    def rank(self, query, documents, top_k=None, return_documents=False, batch_size=None, show_progress_bar=None, *,
             raw_scores=False, **_):
        """Documents best first, ties in their order: [{"corpus_id", "score", "text"?}], cut to top_k."""
        scores = self.predict([(query, document) for document in documents], raw_scores=True, convert_to_numpy=False)
        order = sorted(range(len(documents)), key=lambda i: -scores[i])[:top_k]
        return [{"corpus_id": i, "score": scores[i] if raw_scores else _sigmoid(scores[i]),
                 **({"text": documents[i]} if return_documents else {})} for i in order]

    def close(self):
        self.backend.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _as_numpy(scores):
    try:
        import numpy
    except ImportError:
        return scores
    return numpy.array(scores, dtype=numpy.float32)
