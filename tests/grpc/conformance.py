#!/usr/bin/env python3
"""gRPC as other people's library speaks it: grpcio against the whole program, with stubs made from proto/ and, where said, from
nothing but the server's own reflection.

    python3 -m venv .venv-grpc && .venv-grpc/bin/pip install -r requirements/grpc.txt
    .venv-grpc/bin/python tests/grpc/conformance.py            # RERANKD names the program: build/release/rerankd
"""
import importlib
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_tools import protoc

SOURCE = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("RERANKD", SOURCE / "build/release/rerankd")
QUERY, TEXTS = "what do pandas eat?", ["Paris is in France.", "Pandas eat bamboo.", "", "Ünïcödé 你好"]


def make_stubs(folder):
    for name in ("tei/v1/tei.proto", "rerank/v1/rerank.proto"):
        arguments = ["", f"-I{SOURCE / 'proto'}", f"--python_out={folder}", f"--grpc_python_out={folder}", name]
        assert protoc.main(arguments) == 0
    sys.path.insert(0, str(folder))
    return [importlib.import_module(name) for name in ("tei.v1.tei_pb2", "tei.v1.tei_pb2_grpc", "rerank.v1.rerank_pb2",
                                                       "rerank.v1.rerank_pb2_grpc")]


class Server:
    def __init__(self, *flags):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", random.randrange(20000, 32000)))  # not of those that the kernel gives to others meanwhile
            self.grpc_port = probe.getsockname()[1]
        command = [PROGRAM, "serve", "--port", "0", "--grpc-port", str(self.grpc_port), "--model",
                   SOURCE / "models/rerankd-mini-en", *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "listening on" in line:
                self.url = line.split("listening on ")[1].split()[0]
                break
        else:
            raise AssertionError("the server did not start")
        self.reader = threading.Thread(target=self.process.stderr.read)
        self.reader.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}")

    def post(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode())
        return json.load(urllib.request.urlopen(request, timeout=60))

    def stop(self):
        self.channel.close()
        self.process.terminate()
        code = self.process.wait(timeout=60)
        self.reader.join()
        self.process.stderr.close()
        return code


class Conformance(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.tei, cls.tei_grpc, cls.v1, cls.v1_grpc = make_stubs(cls.folder.name)
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0
        cls.folder.cleanup()

    def code_of(self, call):
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        return caught.exception.code()

    def tei_request(self, **more):
        return self.tei.RerankRequest(query=QUERY, texts=TEXTS, truncate=True, **more)

    def test_tei_ranks_as_http_does(self):
        ranks = self.tei_grpc.RerankStub(self.server.channel).Rerank(self.tei_request(return_text=True)).ranks
        http = self.server.post("/rerank", {"query": QUERY, "texts": TEXTS, "return_text": True})
        self.assertEqual([r.index for r in ranks], [r["index"] for r in http])
        self.assertEqual([r.text for r in ranks], [r["text"] for r in http])
        for mine, other in zip(ranks, http):
            self.assertAlmostEqual(mine.score, other["score"], places=6)
        self.assertEqual(ranks[0].index, 1)

    def test_tei_streams(self):
        parts = (self.tei.RerankStreamRequest(query=QUERY, text=t, truncate=True) for t in TEXTS)
        response = self.tei_grpc.RerankStub(self.server.channel).RerankStream(parts)
        whole = self.tei_grpc.RerankStub(self.server.channel).Rerank(self.tei_request())
        self.assertEqual(list(response.ranks), list(whole.ranks))
        pairs = [self.tei.PredictPairRequest(inputs=[QUERY, t], truncate=True) for t in TEXTS * 20]
        answers = list(self.tei_grpc.PredictStub(self.server.channel).PredictPairStream(iter(pairs)))
        scores = {r.index: r.score for r in response.ranks}
        self.assertEqual(len(answers), len(pairs))
        for i, answer in enumerate(answers):
            self.assertAlmostEqual(answer.predictions[0].score, scores[i % 4], places=5)

    def test_tei_tokens_come_back_as_text(self):
        stub = self.tei_grpc.TokenizeStub(self.server.channel)
        tokens = stub.Tokenize(self.tei.EncodeRequest(inputs="Pandas eat bamboo.", add_special_tokens=True)).tokens
        self.assertFalse(tokens[0].HasField("start"))
        self.assertEqual("".join(t.text for t in tokens[1:-1]), "Pandaseatbamboo.")
        for token in tokens[1:-1]:
            self.assertEqual("Pandas eat bamboo."[token.start:token.stop], token.text)
        ids = [t.id for t in tokens]
        text = stub.Decode(self.tei.DecodeRequest(ids=ids, skip_special_tokens=True)).text
        self.assertEqual(text, self.server.post("/decode", {"ids": ids})[0])
        many = list(stub.DecodeStream(self.tei.DecodeRequest(ids=ids, skip_special_tokens=True) for _ in range(50)))
        self.assertEqual({m.text for m in many}, {text})

    def test_tei_info(self):
        info = self.tei_grpc.InfoStub(self.server.channel).Info(self.tei.InfoRequest())
        self.assertEqual(info.model_type, self.tei.MODEL_TYPE_RERANKER)
        self.assertIn("rerank", info.model_id)

    def test_own_interface(self):
        stub = self.v1_grpc.RerankerStub(self.server.channel)
        answer = stub.Rerank(self.v1.RerankRequest(query=QUERY, documents=TEXTS, top_n=2, return_documents=True))
        self.assertEqual([d.index for d in answer.results][0], 1)
        self.assertEqual(answer.results[0].document, TEXTS[1])
        self.assertEqual(len(answer.results), 2)
        scores = stub.Score(self.v1.ScoreRequest(pairs=[self.v1.Pair(query=QUERY, document=t) for t in TEXTS])).scores
        self.assertAlmostEqual(scores[1], answer.results[0].score, places=6)
        self.assertEqual(stub.Info(self.v1.InfoRequest()).max_length > 0, True)

    def test_own_stream_scores_before_the_end(self):
        sent, may_send = [], threading.Event()

        def parts():
            yield self.v1.RerankStreamRequest(start=self.v1.StreamStart(query=QUERY, top_n=3))
            yield self.v1.RerankStreamRequest(documents=self.v1.DocumentBatch(documents=TEXTS[:2]))
            may_send.wait(30)
            sent.append(True)
            yield self.v1.RerankStreamRequest(documents=self.v1.DocumentBatch(documents=TEXTS[2:]))

        answers = self.v1_grpc.RerankerStub(self.server.channel).RerankStream(parts())
        first = next(answers).scored
        self.assertEqual(([d.index for d in first.documents], sent), ([0, 1], []))
        may_send.set()
        self.assertEqual([d.index for d in next(answers).scored.documents], [2, 3])
        ranking = next(answers).ranking
        self.assertEqual((len(ranking.results), ranking.results[0].index), (3, 1))
        self.assertEqual(list(answers), [])

    def test_errors(self):
        stub = self.tei_grpc.RerankStub(self.server.channel)
        self.assertEqual(self.code_of(lambda: stub.Rerank(self.tei.RerankRequest(query="q"))), grpc.StatusCode.INVALID_ARGUMENT)
        long = self.tei.RerankRequest(query="q", texts=["word " * 20000])
        self.assertEqual(self.code_of(lambda: stub.Rerank(long)), grpc.StatusCode.INVALID_ARGUMENT)
        unknown = self.server.channel.unary_unary("/tei.v1.Embed/Embed")
        self.assertEqual(self.code_of(lambda: unknown(b"")), grpc.StatusCode.UNIMPLEMENTED)
        broken = self.server.channel.unary_unary("/tei.v1.Rerank/Rerank")
        self.assertEqual(self.code_of(lambda: broken(b"\xff\xff\xff")), grpc.StatusCode.INVALID_ARGUMENT)
        predict = self.tei_grpc.PredictStub(self.server.channel)
        self.assertEqual(self.code_of(lambda: predict.Predict(self.tei.PredictRequest(inputs="a"))), grpc.StatusCode.INVALID_ARGUMENT)

    def test_deadlines_and_cancellation(self):
        stub = self.tei_grpc.RerankStub(self.server.channel)
        many = self.tei.RerankRequest(query=QUERY, texts=[f"{i} " + "word " * 300 for i in range(3000)], truncate=True)
        begin = time.monotonic()
        code = self.code_of(lambda: stub.Rerank(many, timeout=0.2))
        self.assertIn(code, (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED))
        future = stub.Rerank.future(many)
        time.sleep(0.3)
        future.cancel()
        # What was cancelled is not computed: somebody else is not kept waiting for the rest of it.
        self.assertEqual(len(stub.Rerank(self.tei_request()).ranks), 4)
        self.assertLess(time.monotonic() - begin, 20)

    def test_health(self):
        stub = health_pb2_grpc.HealthStub(self.server.channel)
        for service in ("", "rerank.v1.Reranker", "tei.v1.Rerank"):
            self.assertEqual(stub.Check(health_pb2.HealthCheckRequest(service=service)).status,
                             health_pb2.HealthCheckResponse.SERVING)
        self.assertEqual(self.code_of(lambda: stub.Check(health_pb2.HealthCheckRequest(service="no.Such"))),
                         grpc.StatusCode.NOT_FOUND)

    def test_a_client_that_knows_nothing_learns_by_reflection(self):
        database = ProtoReflectionDescriptorDatabase(self.server.channel)
        services = set(database.get_services())
        self.assertLessEqual({"rerank.v1.Reranker", "tei.v1.Rerank", "tei.v1.Info", "grpc.health.v1.Health"}, services)
        pool = descriptor_pool.DescriptorPool(database)
        method = pool.FindServiceByName("rerank.v1.Reranker").FindMethodByName("Rerank")
        request = message_factory.GetMessageClass(method.input_type)(query=QUERY, documents=TEXTS)
        call = self.server.channel.unary_unary("/rerank.v1.Reranker/Rerank", request_serializer=lambda m: m.SerializeToString(),
                                               response_deserializer=message_factory.GetMessageClass(method.output_type).FromString)
        self.assertEqual(call(request).results[0].index, 1)

    def test_keys(self):
        server = Server("--api-key", "a-long-secret")
        try:
            stub = self.tei_grpc.RerankStub(server.channel)
            self.assertEqual(self.code_of(lambda: stub.Rerank(self.tei_request())), grpc.StatusCode.UNAUTHENTICATED)
            answer = stub.Rerank(self.tei_request(), metadata=[("authorization", "Bearer a-long-secret")])
            self.assertEqual(len(answer.ranks), 4)
            health = health_pb2_grpc.HealthStub(server.channel)
            self.assertEqual(health.Check(health_pb2.HealthCheckRequest()).status, health_pb2.HealthCheckResponse.SERVING)
        finally:
            self.assertEqual(server.stop(), 0)

    def test_many_at_once(self):
        stub = self.v1_grpc.RerankerStub(self.server.channel)
        requests = [self.v1.RerankRequest(query=f"{QUERY} {i}", documents=TEXTS) for i in range(200)]
        alone = [d.score for d in stub.Rerank(requests[7]).results]
        answers = [stub.Rerank.future(request) for request in requests]
        self.assertEqual([len(a.result(60).results) for a in answers], [4] * 200)
        self.assertEqual([d.score for d in answers[7].result().results], alone)


if __name__ == "__main__":
    unittest.main()
