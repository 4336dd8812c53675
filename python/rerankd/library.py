"""librerank.so (include/rerank/c_api.h) through ctypes."""
import ctypes
import os
import pathlib
import threading

from .errors import RerankError

HERE = pathlib.Path(__file__).resolve().parent


class _Setting(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_char_p)]


class _Text(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("bytes", ctypes.c_size_t)]


def _load():
    places = [os.environ.get("RERANKD_LIBRARY"), HERE / "lib/librerank.so", "librerank.so"]
    for place in filter(None, places):
        try:
            library = ctypes.CDLL(str(place))
            break
        except OSError as error:
            problem = error
    else:
        raise RerankError(f"librerank.so cannot be loaded ({problem}): run `make build` before `pip install ./python`, "
                          "name it in RERANKD_LIBRARY, or give CrossEncoder the url of a server")
    message = ctypes.POINTER(ctypes.c_char_p)
    library.rerank_open.restype = ctypes.c_void_p
    library.rerank_open.argtypes = [ctypes.POINTER(_Setting), ctypes.c_size_t, message]
    library.rerank_close.argtypes = [ctypes.c_void_p]
    library.rerank_predict.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Text), ctypes.POINTER(_Text), ctypes.c_size_t,
                                       ctypes.POINTER(ctypes.c_float), message]
    library.rerank_free.argtypes = [ctypes.c_void_p]
    for name in ("rerank_name", "rerank_engine"):
        getattr(library, name).restype = ctypes.c_char_p
        getattr(library, name).argtypes = [ctypes.c_void_p]
    return library


def _hub_defaults():
    """What huggingface_hub would do: the library itself reads no environment."""
    home = os.environ.get("HF_HOME", os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "huggingface"))
    found = {"hub-cache": os.environ.get("HF_HUB_CACHE", os.path.join(home, "hub")), "hub-token": os.environ.get("HF_TOKEN", ""),
             "hub-endpoint": os.environ.get("HF_ENDPOINT", "")}
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        found["hub-offline"] = "true"
    return {name: value for name, value in found.items() if value}


class Library:
    def __init__(self, settings):
        self.model = None
        self.library = _load()
        settings = {**_hub_defaults(), **settings}
        own = HERE / "share/rerankd/models/rerankd-mini-en"
        if "model" not in settings and own.exists():
            settings["model"] = str(own)
        array = (_Setting * len(settings))(*(_Setting(n.encode(), v.encode()) for n, v in settings.items()))
        error = ctypes.c_char_p()
        self.model = self.library.rerank_open(array, len(settings), ctypes.byref(error))
        if not self.model:
            raise RerankError(self._message(error))

    def _message(self, error):
        text = error.value.decode("utf-8", "replace")
        self.library.rerank_free(ctypes.cast(error, ctypes.c_void_p))
        return text

    def predict(self, pairs, instruction=None):
        """Logits in the order of the pairs."""
        if instruction is not None:
            raise RerankError("in process the instruction is a setting: CrossEncoder(model, instruction=...)")
        texts = [[_bytes(pair[side]) for pair in pairs] for side in (0, 1)]
        arrays = [(_Text * len(pairs))(*(_Text(t, len(t)) for t in side)) for side in texts]
        logits = (ctypes.c_float * len(pairs))()
        self.predict_texts(*arrays, len(pairs), logits)
        return list(logits)

    def predict_texts(self, queries, documents, count, logits):
        """rerank_predict() over arrays of rerank_text, or their addresses. The call runs in a thread of its own, so that Ctrl-C ends
        the wait for it; the arrays live as long as the call."""
        done = []

        def run():
            error = ctypes.c_char_p()
            code = self.library.rerank_predict(self.model, ctypes.cast(queries, ctypes.POINTER(_Text)),
                                               ctypes.cast(documents, ctypes.POINTER(_Text)), count, logits, ctypes.byref(error))
            done.append((code, self._message(error) if code else None))

        worker = threading.Thread(target=run, daemon=True)
        worker.start()
        while worker.is_alive():
            worker.join(0.1)
        code, message = done[0]
        if code:
            raise RerankError(message, code)

    @property
    def engine(self):
        return self.library.rerank_engine(self.model).decode()

    def close(self):
        if self.model:
            self.library.rerank_close(self.model)
            self.model = None

    def __del__(self):
        if getattr(self, "model", None):
            self.close()


def _bytes(text):
    return text.encode("utf-8", "replace")  # lone surrogates become "?": there is no UTF-8 for them
