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
    problem = None
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
    library.rerank_open_beside.restype = ctypes.c_void_p
    library.rerank_open_beside.argtypes = [ctypes.c_void_p, *library.rerank_open.argtypes]
    library.rerank_close.argtypes = [ctypes.c_void_p]
    library.rerank_predict_with.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Text), ctypes.POINTER(_Text), ctypes.c_size_t,
                                            ctypes.POINTER(ctypes.c_float), ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, message]
    library.rerank_stop_new.restype = ctypes.c_void_p
    library.rerank_stop_now.argtypes = [ctypes.c_void_p]
    library.rerank_stop_free.argtypes = [ctypes.c_void_p]
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


def _apart(call, give_up=None):
    """call(), in a thread of its own, so that Ctrl-C is seen while it runs: give_up() is then called, and nobody waits for the rest."""
    # Events, not join(): Python 3.11 takes a thread for ended when Ctrl-C comes within its join().
    done, begun, abandoned, ended = [], threading.Event(), threading.Event(), threading.Event()

    def work():
        begun.set()
        try:
            if not abandoned.is_set():  # by a Ctrl-C while this thread was started
                done.append((call(), None))
        except BaseException as error:  # of the caller, who is told below
            done.append((None, error))
        finally:
            ended.set()
    try:
        threading.Thread(target=work, daemon=True).start()
        while not ended.wait(0.1):
            pass
    except BaseException:
        abandoned.set()
        if give_up:
            give_up()
            if begun.is_set():
                ended.wait(2.0)  # it takes less than a batch
        raise
    result, error = done[0]
    if error:
        raise error
    return result


class Library:
    def __init__(self, settings, beside=None):
        """beside: another Library, whose threads and caches this model has, too."""
        self.model = None
        self.calls = 0  # under way: a model that one still reads is not closed
        self.library = _load()
        settings = {**_hub_defaults(), **settings}
        own = HERE / "share/rerankd/models/rerankd-mini-en"
        if "model" not in settings and own.exists():
            settings["model"] = str(own)
        array = (_Setting * len(settings))(*(_Setting(n.encode(), v.encode()) for n, v in settings.items()))
        self.model, problem = _apart(lambda: self._open(array, beside))
        if not self.model:
            raise RerankError(problem)

    def _open(self, array, beside):
        error = ctypes.c_char_p()
        if beside is None:
            model = self.library.rerank_open(array, len(array), ctypes.byref(error))
        else:
            model = self.library.rerank_open_beside(beside.model, array, len(array), ctypes.byref(error))
        return model, None if model else self._message(error)

    def _message(self, error):
        text = error.value.decode("utf-8", "replace")
        self.library.rerank_free(ctypes.cast(error, ctypes.c_void_p))
        return text

    def predict(self, pairs, instruction=None):
        """Logits in the order of the pairs. Ctrl-C gives up what is not computed yet."""
        if instruction is not None:
            raise RerankError("in process the instruction is a setting: CrossEncoder(model, instruction=...)")
        texts = [[_bytes(pair[side]) for pair in pairs] for side in (0, 1)]
        queries, documents = [(_Text * len(pairs))(*(_Text(t, len(t)) for t in side)) for side in texts]
        logits = (ctypes.c_float * len(pairs))()
        self.predict_texts(queries, documents, len(pairs), logits)
        return list(logits)

    def predict_texts(self, queries, documents, count, logits):
        """The same over arrays of rerank_text (rerank/c_api.h), into `logits`; all of them live until the call has ended."""
        stop = self.library.rerank_stop_new()
        code, message = _apart(lambda: self._counted(queries, documents, count, logits, stop),
                               lambda: self.library.rerank_stop_now(stop))
        self.library.rerank_stop_free(stop)  # not after Ctrl-C: the call may still look at these few bytes
        if code:
            raise RerankError(message, code)

    def _counted(self, queries, documents, count, logits, stop):
        error = ctypes.c_char_p()
        self.calls += 1
        try:
            code = self.library.rerank_predict_with(self.model, ctypes.cast(queries, ctypes.POINTER(_Text)),
                                                    ctypes.cast(documents, ctypes.POINTER(_Text)), count, logits, stop, None, None,
                                                    ctypes.byref(error))
            return code, self._message(error) if code else None
        finally:
            self.calls -= 1

    @property
    def engine(self):
        return self.library.rerank_engine(self.model).decode()

    def close(self):
        if self.model and self.calls == 0:
            self.library.rerank_close(self.model)
        self.model = None

    def __del__(self):
        if getattr(self, "model", None):
            self.close()


def _bytes(text):
    return text.encode("utf-8", "replace")  # lone surrogates become "?": there is no UTF-8 for them
