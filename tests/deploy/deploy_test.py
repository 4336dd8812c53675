#!/usr/bin/env python3
"""The files of deploy/ against a running server: every metric that a dashboard or an alert asks for is exported.

RERANKD and RERANKD_SOURCE_DIR name the program and the checkout. Where promtool is installed, it also checks and tests the alert rules.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest
import urllib.request

PROGRAM, SOURCE = os.environ["RERANKD"], pathlib.Path(os.environ["RERANKD_SOURCE_DIR"])
# Exported only with --cache-url, or by Prometheus itself.
ELSEWHERE = {"rerankd_shared_cache_up", "up"}


def metric_names(expression):
    return set(re.findall(r"\brerankd_\w+", expression))


class Server:
    def __enter__(self):
        self.process = subprocess.Popen([PROGRAM, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if match := re.search(r"listening on (http://\S+)", line):
                self.url = match[1]
                return self
        raise AssertionError("the server did not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate(timeout=30)

    def post(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request, timeout=30))

    def metrics(self):
        text = urllib.request.urlopen(self.url + "/metrics", timeout=30).read().decode()
        return set(re.findall(r"^(\w+)(?:\{| )", text, re.M))


class DeployTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with Server() as server:
            for _ in range(2):  # the second time from the cache
                server.post("/v1/rerank", {"query": "panda", "documents": ["a bear", "a city"]})
            cls.exported = server.metrics()

    def test_dashboard_asks_for_what_is_exported(self):
        board = json.loads((SOURCE / "deploy/grafana/rerankd.json").read_text())
        queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
        self.assertGreater(len(queries), 10)
        for query in queries:
            self.assertTrue(metric_names(query), query)
            self.assertEqual(metric_names(query) - self.exported - ELSEWHERE, set(), query)

    def test_alerts_ask_for_what_is_exported(self):
        rules = (SOURCE / "deploy/prometheus/alerts.yml").read_text()
        wanted = set().union(*(metric_names(line) for line in rules.splitlines() if line.strip().startswith("expr:")))
        self.assertGreater(len(wanted), 4)
        self.assertEqual(wanted - self.exported - ELSEWHERE, set())

    @unittest.skipUnless(shutil.which("promtool"), "promtool (Debian package prometheus) is not installed")
    def test_alerts_fire(self):
        folder = SOURCE / "deploy/prometheus"
        for command in (["promtool", "check", "rules", "alerts.yml"], ["promtool", "test", "rules", "alerts_test.yml"]):
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
