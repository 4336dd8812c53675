"""Several servers of one model as one: a query goes to the next of them, and to another when that one is gone."""
import itertools
import time
from concurrent.futures import ThreadPoolExecutor

from .errors import RerankError
from .server import QUERIES_AT_ONCE, Server

PAUSE_SECONDS = 2.0  # that a server is left alone after it was gone


class Pool:
    """urls: one, or several with commas between. Scores are the same whichever server answers, so asking again is always safe."""

    def __init__(self, urls, api_key=None, timeout=60.0):
        self.servers = [Server(url, api_key, timeout) for url in (urls.split(",") if isinstance(urls, str) else urls)]
        self.timeout = timeout
        self.turn = itertools.count()
        self.away = [0.0] * len(self.servers)  # until when
        self.threads = ThreadPoolExecutor(QUERIES_AT_ONCE * len(self.servers))

    def logits(self, query, documents, instruction=None):
        end = time.monotonic() + self.timeout
        begin = next(self.turn)
        problem = None
        while problem is None or time.monotonic() < end:
            for step in range(len(self.servers)):
                place = (begin + step) % len(self.servers)
                if self.away[place] > time.monotonic():
                    continue
                try:
                    return self.servers[place].logits(query, documents, instruction)
                except RerankError as error:
                    if error.code is not None and error.code < 500 and error.code != 429:
                        raise  # the request is wrong: so it would be elsewhere
                    problem, self.away[place] = error, time.monotonic() + PAUSE_SECONDS
            time.sleep(0.2)
            problem = problem or RerankError("no server answers")
        raise problem

    def predict(self, pairs, instruction=None):
        groups = {}
        for place, (query, _) in enumerate(pairs):
            groups.setdefault(query, []).append(place)
        logits = [0.0] * len(pairs)

        def ask(group):
            query, places = group
            return places, self.logits(query, [pairs[place][1] for place in places], instruction)

        for places, found in self.threads.map(ask, groups.items()):
            for place, logit in zip(places, found):
                logits[place] = logit
        return logits

    def close(self):
        self.threads.shutdown(cancel_futures=True)
        for server in self.servers:
            server.close()
