#!/usr/bin/env python3
"""What a server says of its requests: spans at a collector, and JSON lines in its log. RERANKD and RERANKD_SOURCE_DIR as elsewhere."""
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(os.environ["RERANKD_SOURCE_DIR"]) / "tests/support"))
from rerankd_server import Server, free_port, wait_for  # noqa: E402

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
REQUEST = {"query": "what do pandas eat", "documents": ["bamboo", "Paris"]}


class Collector:
    """Takes OTLP over HTTP; `spans` is what has come."""

    def __enter__(self):
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                collector.posts.append((self.path, self.headers["Content-Type"], self.headers["x-key"]))
                for resource in body["resourceSpans"]:
                    for scope in resource["scopeSpans"]:
                        collector.spans += scope["spans"]
                self.send_response(collector.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.posts, self.spans, self.status = [], [], 200
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class TracesTest(unittest.TestCase):
    def test_spans_arrive_with_their_callers_trace(self):
        with Collector() as collector, Server("--otlp-endpoint", collector.url, "--otlp-headers", "x-key=secret") as server:
            before = time.time_ns()
            server.post("/v1/rerank", REQUEST, {"traceparent": f"00-{TRACE}-{PARENT}-01"})
            wait_for(lambda: len(collector.spans) >= 7, 60, collector.spans)
            self.assertEqual(collector.posts[0], ("/v1/traces", "application/json", "secret"))
            root = next(span for span in collector.spans if span["name"] == "rerank common")
            self.assertEqual((root["traceId"], root["parentSpanId"]), (TRACE, PARENT))
            self.assertTrue(before < int(root["startTimeUnixNano"]) < int(root["endTimeUnixNano"]) < time.time_ns())
            stages = {span["name"]: span for span in collector.spans if span is not root}
            self.assertEqual(set(stages), {"parse", "cache", "tokenize", "queue", "compute", "respond"})
            for span in stages.values():
                self.assertEqual((span["traceId"], span["parentSpanId"]), (TRACE, root["spanId"]))
                self.assertTrue(int(root["startTimeUnixNano"]) <= int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
                                <= int(root["endTimeUnixNano"]), span)
            self.assertNotIn("bamboo", json.dumps(collector.spans))
            # Counted when the collector's answer is there, which is after its reading.
            wait_for(lambda: server.metric("rerankd_traces_sent_total") == 1, 60, "one is counted")

    def test_grpc_calls_are_traced_as_their_metadata_say(self):
        port = free_port()
        with Collector() as collector, Server("--otlp-endpoint", collector.url, "--trace-rate", 0, "--grpc-port", port):
            for context in ([], ["traceparent", "nonsense"], ["traceparent", f"00-{TRACE}-{PARENT}-00"], ["traceparent", f"00-{TRACE}-{PARENT}-01"]):
                subprocess.run([os.environ["GRPC_RANK"], f"127.0.0.1:{port}", *context], check=True, timeout=120)
            wait_for(lambda: len(collector.spans) >= 7, 60, collector.spans)
        root = next(span for span in collector.spans if span["name"] == "rerank tei.v1.Rerank/Rerank")
        self.assertEqual((root["traceId"], root["parentSpanId"]), (TRACE, PARENT))
        said = {a["key"]: a["value"] for a in root["attributes"]}
        self.assertEqual(said["rerankd.transport"], {"stringValue": "grpc"})
        self.assertEqual(said["rerankd.documents"], {"intValue": "1"})
        stages = [span for span in collector.spans if span is not root]
        self.assertEqual({span["name"] for span in stages}, {"parse", "cache", "tokenize", "queue", "compute", "respond"})
        self.assertEqual({(span["traceId"], span["parentSpanId"]) for span in stages}, {(TRACE, root["spanId"])}, "the three others are not traced")

    def test_who_is_not_sampled_is_not_traced(self):
        with Collector() as collector, Server("--otlp-endpoint", collector.url, "--trace-rate", 0) as server:
            server.post("/v1/rerank", REQUEST)
            server.post("/v1/rerank", REQUEST, {"traceparent": f"00-{TRACE}-{PARENT}-00"})
            server.post("/v1/rerank", REQUEST, {"traceparent": f"00-{PARENT}{PARENT}-{PARENT}-01"})
            wait_for(lambda: collector.spans, 60, "no spans")
        self.assertEqual({span["traceId"] for span in collector.spans}, {PARENT * 2})

    def test_a_collector_that_is_gone_disturbs_nobody(self):
        with Server("--otlp-endpoint", "http://127.0.0.1:9") as server:
            self.assertEqual(len(server.post("/v1/rerank", REQUEST)["results"]), 2)
            wait_for(lambda: server.metric("rerankd_traces_dropped_total") == 1, 60, "the loss is not counted")
            wait_for(lambda: any("traces are lost" in line for line in server.log), 10, "the loss is not logged")


class LogTest(unittest.TestCase):
    def test_a_json_line_a_request_without_texts(self):
        with Server("--log-format", "json") as server:
            server.post("/v1/rerank", REQUEST, {"traceparent": f"00-{TRACE}-{PARENT}-01"})
            self.assertEqual(server.post("/v1/rerank", {"query": "pandas", "documents": [7]}), 422)
            server.post("/health", {})
        lines = [json.loads(line) for line in server.log]
        self.assertTrue(all({"time", "level", "message"} <= set(line) for line in lines), lines)
        done, refused = [line for line in lines if line["message"] == "request"][:2]
        self.assertEqual((done["dialect"], done["status"], done["documents"], done["trace_id"]), ("common", 200, 2, TRACE))
        self.assertGreater(done["ms"], done["compute_ms"])
        self.assertEqual((refused["status"], refused["reason"]), (422, "invalid"))
        for text in ("pandas", "bamboo", "Paris"):
            self.assertNotIn(text, "".join(server.log))

    def test_lines_are_bounded_under_load(self):
        with Server("--request-log-rate", 1) as server:
            begin = time.monotonic()
            for _ in range(30):
                server.post("/v1/rerank", REQUEST)
            most = 2 + (time.monotonic() - begin)
        lines = [line for line in server.log if " request " in line]
        self.assertGreaterEqual(len(lines), 1)
        self.assertLessEqual(len(lines), most)

    def test_none_when_not_wanted(self):
        with Server("--request-log-rate", 0) as server:
            server.post("/v1/rerank", REQUEST)
        self.assertEqual([line for line in server.log if " request " in line], [])


if __name__ == "__main__":
    unittest.main()
