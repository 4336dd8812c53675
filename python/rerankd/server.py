"""A rerankd server, or any other that speaks text-embeddings-inference's POST /rerank. Standard library only."""
import http.client
import json
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

from .errors import RerankError

QUERIES_AT_ONCE = 4  # of predict(): enough that the server never waits for the next


class Server:
    def __init__(self, url, api_key=None, timeout=60.0):
        self.url, self.timeout = url.rstrip("/"), timeout
        self.place = urllib.parse.urlsplit(self.url)
        if self.place.scheme not in ("http", "https") or not self.place.hostname:
            raise ValueError(f"url {url!r}: expected http://HOST:PORT or https://HOST:PORT")
        self.headers = {"Content-Type": "application/json"}
        if api_key:
            self.headers["Authorization"] = f"Bearer {api_key}"
        self.kept = threading.local()  # a thread's connection
        self.pool = None

    def logits(self, query, documents, instruction=None):
        if not documents:
            return []
        body = {"query": query, "texts": documents, "raw_scores": True, "truncate": True}
        if instruction is not None:
            body["instruction"] = instruction
        status, answer = self.post(json.dumps(body).encode())
        if status != 200:
            raise RerankError(self.message_of(status, answer), status)
        logits = [0.0] * len(documents)
        for row in json.loads(answer):
            logits[row["index"]] = row["score"]
        return logits

    def post(self, body):
        """The last answer. A server that is busy says with Retry-After when to come again: that is done until the time is up."""
        end = time.monotonic() + self.timeout
        while True:
            status, wait, answer = self.once(body)
            if status not in (429, 503) or wait is None or time.monotonic() + wait > end:
                return status, answer
            time.sleep(wait)

    def once(self, body):
        """(status, seconds of Retry-After or None, body). A kept connection that the server has closed is opened anew, once."""
        fresh = getattr(self.kept, "connection", None) is None
        if fresh:
            kind = http.client.HTTPSConnection if self.place.scheme == "https" else http.client.HTTPConnection
            self.kept.connection = kind(self.place.hostname, self.place.port, timeout=self.timeout)
        try:
            self.kept.connection.request("POST", self.place.path + "/rerank", body, self.headers)
            response = self.kept.connection.getresponse()
            wait = response.getheader("Retry-After")
            return response.status, float(wait) if wait and wait.isdigit() else None, response.read()
        except (OSError, http.client.HTTPException) as error:
            self.kept.connection.close()
            self.kept.connection = None
            if fresh or isinstance(error, TimeoutError):
                raise RerankError(f"{self.url}: {error or type(error).__name__}") from None
        return self.once(body)

    @staticmethod
    def message_of(status, answer):
        text = answer.decode("utf-8", "replace")
        try:
            return json.loads(text)["error"]
        except (ValueError, KeyError, TypeError):
            return f"HTTP {status}: {text[:200]}"

    def predict(self, pairs, instruction=None):
        """Logits in the order of the pairs; those of one query are asked for together, several queries at a time."""
        groups = {}
        for place, (query, _) in enumerate(pairs):
            groups.setdefault(query, []).append(place)
        logits = [0.0] * len(pairs)

        def ask(group):
            query, places = group
            for place, logit in zip(places, self.logits(query, [pairs[place][1] for place in places], instruction)):
                logits[place] = logit

        if len(groups) == 1:
            ask(next(iter(groups.items())))
        elif groups:
            self.pool = self.pool or ThreadPoolExecutor(QUERIES_AT_ONCE)
            list(self.pool.map(ask, groups.items()))
        return logits

    def close(self):
        if self.pool:
            self.pool.shutdown(cancel_futures=True)
            self.pool = None
        if getattr(self.kept, "connection", None):
            self.kept.connection.close()
            self.kept.connection = None
