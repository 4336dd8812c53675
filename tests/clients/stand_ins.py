"""Stand-ins for data stores: what a store's client talks to where the store itself cannot be had from PyPI. Each keeps what the client
defines, asks the reranker as the store's own code does (docs/stores.md says which), reads the answer as strictly, and answers the client
in the store's form. In a with block; `url` is what the client connects to.
"""
import concurrent.futures
import http.server
import json
import re
import threading
import urllib.error
import urllib.request


def ask(url, body, key=None):
    """JSON of the answer; an error has the status and the answer's text."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    asked = urllib.request.Request(url, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise RuntimeError(f"{error.code}: {error.read().decode()}") from None


class Store:
    headers = {}

    def __enter__(self):
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                try:
                    status, found = store.handle(self.command, self.path.split("?")[0], json.loads(body) if body else None)
                except RuntimeError as error:
                    status, found = 400, {"error": {"type": "status_exception", "reason": str(error)}, "status": 400}
                data = json.dumps(found).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **store.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_HEAD = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Elasticsearch(Store):
    """The inference API with the service `hugging_face`, which asks when an endpoint is made, and takes no key that it does not know."""

    headers = {"X-Elastic-Product": "Elasticsearch"}

    def __init__(self):
        self.endpoints = {}

    def handle(self, method, path, body):
        name = path.rsplit("/", 1)[1]
        if method == "PUT" and path.startswith("/_inference/rerank/") and body["service"] == "hugging_face":
            self.endpoints[name] = body["service_settings"]
            self.rerank(name, "test query", ["how big"], {})
            return 200, {"inference_id": name, "task_type": "rerank", **body}
        if method == "POST" and path.startswith("/_inference/rerank/"):
            return 200, {"rerank": self.rerank(name, body["query"], body["input"], body)}
        return 404, {"error": f"{method} {path}"}

    def rerank(self, name, query, texts, more):
        asked = {"texts": texts, "query": query}
        if "return_documents" in more:
            asked["return_text"] = more["return_documents"]
        if "top_n" in more:
            asked["top_n"] = more["top_n"]
        settings = self.endpoints[name]
        items = ask(settings["url"], asked, settings["api_key"])
        if not isinstance(items, list) or any(set(item) - {"index", "score", "text"} for item in items):
            raise RuntimeError(f"unknown field: {items}")
        found = [{"index": item["index"], "relevance_score": item["score"], **({"text": item["text"]} if "text" in item else {})} for item in items]
        return sorted(found, key=lambda item: -item["relevance_score"])[: more.get("top_n")]


class OpenSearch(Store):
    """ml-commons with a connector and its built-in functions for Cohere's form, which cast index and score."""

    def __init__(self):
        self.connectors, self.models = {}, {}

    def handle(self, method, path, body):
        if path == "/_plugins/_ml/connectors/_create":
            self.connectors["c1"] = body
            return 200, {"connector_id": "c1"}
        if path == "/_plugins/_ml/models/_register":
            self.models["m1"] = self.connectors[body["connector_id"]]
            return 200, {"task_id": "t1", "status": "CREATED", "model_id": "m1"}
        if method == "POST" and path == "/_plugins/_ml/_predict/text_similarity/m1":
            return 200, {"inference_results": [{"output": [{"name": "similarity", "data_type": "FLOAT32", "shape": [1], "data": [score]}]}
                                               for score in self.predict(self.models["m1"], body["query_text"], body["text_docs"])]}
        return 404, {"error": f"{method} {path}"}

    def predict(self, connector, query, texts):
        (action,) = connector["actions"]
        assert action["pre_process_function"] == "connector.pre_process.cohere.rerank", action
        values = {"parameters.query": json.dumps(query)[1:-1], "parameters.documents": json.dumps(texts)}
        body = re.sub(r"\$\{([a-z.]+)\}", lambda match: values[match[1]], action["request_body"])
        key = action["headers"]["Authorization"].replace("${credential.key}", connector["credential"]["key"]).removeprefix("Bearer ")
        scores = [None] * len(texts)
        for result in ask(action["url"], body.encode(), key)["results"]:
            if type(result["index"]) is not int or type(result["relevance_score"]) is not float:
                raise RuntimeError(f"ClassCastException: {result}")
            scores[result["index"]] = result["relevance_score"]
        if None in scores:
            raise RuntimeError(f"a document has no score: {scores}")
        return scores


class Weaviate(Store):
    """REST for the schema, gRPC for searches; the module reranker-transformers with `reranker_url`: it does not start before the
    reranker is ready, and sends 32 documents a call, calls in parallel."""

    PART = 32

    def __init__(self, reranker_url, texts):
        self.reranker, self.texts, self.schema, self.calls = reranker_url, texts, {}, 0

    def __enter__(self):
        import grpc
        from weaviate.proto.v1 import weaviate_pb2_grpc
        for path in ("/.well-known/ready", "/meta"):
            with urllib.request.urlopen(self.reranker + path, timeout=5) as answer:
                assert 200 <= answer.status < 300
        store = self

        class Service(weaviate_pb2_grpc.WeaviateServicer):
            def Search(self, request, context):  # noqa: N802
                try:
                    return store.search(request)
                except RuntimeError as error:
                    context.abort(grpc.StatusCode.UNKNOWN, str(error))

        self.grpc = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
        weaviate_pb2_grpc.add_WeaviateServicer_to_server(Service(), self.grpc)
        self.grpc_port = self.grpc.add_insecure_port("127.0.0.1:0")
        self.grpc.start()
        return super().__enter__()

    def __exit__(self, *_):
        self.grpc.stop(None)
        super().__exit__()

    def handle(self, method, path, body):
        if path == "/v1/meta":
            return 200, {"version": "1.35.0", "modules": {"reranker-transformers": {}}}
        if (method, path) == ("POST", "/v1/schema"):
            self.schema[body["class"]] = body
            return 200, body
        return 404, {}

    def search(self, request):
        from weaviate.proto.v1 import properties_pb2, search_get_pb2
        assert "reranker-transformers" in self.schema[request.collection]["moduleConfig"], self.schema
        parts = [self.texts[i: i + self.PART] for i in range(0, len(self.texts), self.PART)]
        self.calls += len(parts)
        with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
            answers = list(pool.map(lambda part: ask(f"{self.reranker}/rerank", {"query": request.rerank.query, "documents": part, "property": ""}),
                                    parts))
        scores = []
        for part, answer in zip(parts, answers):
            if set(answer) != {"query", "scores", "property", "score"}:
                raise RuntimeError(f"unmarshal response body: {answer}")
            scores += [answer["scores"][i]["score"] for i in range(len(part))]  # by position, as the module reads them
        results = []
        for place in sorted(range(len(self.texts)), key=lambda i: -scores[i])[: request.limit or None]:
            value = properties_pb2.Value(text_value=self.texts[place])
            results.append(search_get_pb2.SearchResult(
                properties=search_get_pb2.PropertiesResult(target_collection=request.collection,
                                                           non_ref_props=properties_pb2.Properties(fields={request.rerank.property: value})),
                metadata=search_get_pb2.MetadataResult(id=f"00000000-0000-0000-0000-{place:012}", rerank_score=scores[place],
                                                       rerank_score_present=True)))
        return search_get_pb2.SearchReply(took=0.1, results=results)
