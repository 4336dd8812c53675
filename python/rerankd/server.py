"""A rerankd server, or any other that speaks text-embeddings-inference's POST /rerank. Standard library only."""
import json
import urllib.error
import urllib.request

from .errors import RerankError


class Server:
    def __init__(self, url, api_key=None, timeout=60.0):
        self.url, self.timeout = url.rstrip("/"), timeout
        self.headers = {"Content-Type": "application/json"}
        if api_key:
            self.headers["Authorization"] = f"Bearer {api_key}"

    def logits(self, query, documents):
        if not documents:
            return []
        body = json.dumps({"query": query, "texts": documents, "raw_scores": True, "truncate": True}).encode()
        request = urllib.request.Request(self.url + "/rerank", body, self.headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            raise RerankError(self.message_of(error), error.code) from None
        except urllib.error.URLError as error:
            raise RerankError(f"{self.url}: {error.reason}") from None
        logits = [0.0] * len(documents)
        for row in found:
            logits[row["index"]] = row["score"]
        return logits

    @staticmethod
    def message_of(error):
        text = error.read().decode("utf-8", "replace")
        try:
            return json.loads(text)["error"]
        except (ValueError, KeyError, TypeError):
            return f"HTTP {error.code}: {text[:200]}"

    def predict(self, pairs):
        """Logits in the order of the pairs; those of one query are asked for together."""
        groups = {}
        for place, (query, _) in enumerate(pairs):
            groups.setdefault(query, []).append(place)
        logits = [0.0] * len(pairs)
        for query, places in groups.items():
            for place, logit in zip(places, self.logits(query, [pairs[place][1] for place in places])):
                logits[place] = logit
        return logits

    def close(self):
        pass
