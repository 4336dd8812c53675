#!/usr/bin/env python3
"""The files of deploy/ and docs/metrics.md against a running server and a running Prometheus: every query of the dashboard returns
data, alerts ask for what is exported, every metric is documented, and shadow scoring finds a server that is set wrong.

RERANKD, RERANKD_SOURCE_DIR and FAKE_NVML name the program, the checkout, and a library that pretends to be NVIDIA's.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.error
import urllib.parse

SOURCE = pathlib.Path(os.environ["RERANKD_SOURCE_DIR"])
sys.path.insert(0, str(SOURCE / "tests/support"))
from rerankd_server import PROGRAM, Server, get, wait_for  # noqa: E402

# What Prometheus itself adds.
ELSEWHERE = {"up"}
def metric_names(expression):
    return set(re.findall(r"\b(?:rerankd|process)_\w+", expression))


class Prometheus:
    """Debian's prometheus, scraping `server` once a second."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        place = pathlib.Path(self.folder.name)
        target = self.server.url.removeprefix("http://")
        (place / "prometheus.yml").write_text(
            f"scrape_configs: [{{job_name: rerankd, scrape_interval: 1s, static_configs: [{{targets: ['{target}']}}]}}]")
        self.process = subprocess.Popen(["prometheus", f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/data",
                                         "--web.listen-address=127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if match := re.search(r'msg="Listening on" address=(\S+)', line):
                self.url = "http://" + match[1]
                break
        self.reader = threading.Thread(target=self.process.stderr.read, daemon=True)
        self.reader.start()
        wait_for(self.is_ready, 60, "prometheus does not get ready")
        return self

    def is_ready(self):
        try:
            return get(self.url + "/-/ready")
        except urllib.error.HTTPError as error:
            error.close()
            return ""

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=60)
        self.reader.join()
        self.process.stderr.close()
        self.folder.cleanup()

    def query(self, expression):
        answer = json.loads(get(self.url + "/api/v1/query?" + urllib.parse.urlencode({"query": expression})))
        return answer["data"]["result"]


def dashboard_queries():
    board = json.loads((SOURCE / "deploy/grafana/rerankd.json").read_text())
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]


class WatchedServerTest(unittest.TestCase):
    """One server with everything on."""

    @classmethod
    def setUpClass(cls):
        libraries = cls.enterClassContext(tempfile.TemporaryDirectory())
        os.symlink(os.environ["FAKE_NVML"], libraries + "/libnvidia-ml.so.1")
        cls.server = cls.enterClassContext(Server("--shadow-rate", 1, "--tei-metrics", "true", "--cache-url", "redis://127.0.0.1:1",
                                                  "--otlp-endpoint", "http://127.0.0.1:9",
                                                  environment={"LD_LIBRARY_PATH": libraries}))
        for number in (0, 1, 1):  # the last from the cache
            cls.server.rank(number)
        cls.server.post("/predict", {"inputs": [["a", "b"]]})
        cls.server.post("/rerank", {"query": "a", "texts": []})  # fails
        cls.exported = set(re.findall(r"^# TYPE (\w+)", get(cls.server.url + "/metrics"), re.M))

    def unknown(self, expressions):
        names = set().union(*map(metric_names, expressions))
        self.assertGreater(len(names), 4)
        return {n for n in names if n not in self.exported and re.sub(r"_(bucket|sum|count)$", "", n) not in self.exported} - ELSEWHERE

    def test_alerts_ask_for_what_is_exported(self):
        rules = (SOURCE / "deploy/prometheus/alerts.yml").read_text()
        self.assertEqual(self.unknown(line for line in rules.splitlines() if line.strip().startswith("expr:")), set())

    def test_every_metric_is_documented(self):
        text = (SOURCE / "docs/metrics.md").read_text()
        documented = {name for name in re.findall(r"`((?:rerankd|process|te)_\w+)`", text) 
                      if not name.startswith(("rerankd_grpc_", "rerankd_prefix_"))}  # of another port, of decoders
        self.assertEqual(documented ^ self.exported, set())

    def test_every_query_of_the_dashboard_returns_data(self):
        self.assertEqual(self.unknown(dashboard_queries()), set())
        stop = threading.Event()

        def load():
            number = 100
            while not stop.wait(0.1):
                self.server.rank(number), self.server.rank(number)  # the second time from the cache
                number += 1

        with Prometheus(self.server) as prometheus:
            loading = threading.Thread(target=load)
            loading.start()
            try:
                for query in dashboard_queries():
                    expression = query.replace("$instance", ".*").replace("$__rate_interval", "20s")
                    wait_for(lambda: self.values(prometheus, expression), 60, query)
            finally:
                stop.set()
                loading.join()

    @staticmethod
    def values(prometheus, expression):
        """What the query returns; nothing while some of it is not a number."""
        values = [result["value"][1] for result in prometheus.query(expression)]
        return [] if "NaN" in values else values


class ShadowTest(unittest.TestCase):
    def test_a_wrong_depth_is_found(self):
        with Server("--shadow-rate", 1, "--layers", 1) as server:
            self.assertLess(server.top1_agreement(25), 0.8)
            wait_for(lambda: any("same first document" in line for line in server.log), 10, "the log does not say it")

    def test_what_auto_picks_agrees(self):
        with Server("--shadow-rate", 1) as server:
            self.assertGreaterEqual(server.top1_agreement(25), 0.9)

    def test_a_rate_that_is_none_is_refused(self):
        done = subprocess.run([PROGRAM, "serve", "--shadow-rate", "7"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--shadow-rate 7", done.stderr)


class AlertsTest(unittest.TestCase):
    def test_alerts_fire(self):
        folder = SOURCE / "deploy/prometheus"
        for command in (["promtool", "check", "rules", "alerts.yml"], ["promtool", "test", "rules", "alerts_test.yml"]):
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class ForPeopleTest(unittest.TestCase):
    def test_every_panel_says_what_it_means(self):
        board = json.loads((SOURCE / "deploy/grafana/rerankd.json").read_text())
        rows = [panel["title"] for panel in board["panels"] if panel["type"] == "row"]
        self.assertEqual(rows, ["Is it well?", "Where is the time?", "What comes in?", "The machine"])
        self.assertEqual([panel["type"] for panel in board["panels"][1:5]], ["stat"] * 4)
        self.assertEqual(len({panel["id"] for panel in board["panels"]}), len(board["panels"]))
        taken = set()
        for panel in board["panels"]:
            if panel["type"] != "row":
                self.assertGreater(len(panel["description"]), 20, panel["title"])
            place = panel["gridPos"]
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    self.assertNotIn((x, y), taken, panel["title"])
                    taken.add((x, y))

    def test_every_alert_has_its_paragraph(self):
        text = (SOURCE / "deploy/prometheus/alerts.yml").read_text()
        page = (SOURCE / "docs/runbook.md").read_text()
        names = re.findall(r"- alert: (\w+)", text)
        self.assertEqual(re.findall(r'runbook: "docs/runbook.md#(\w+)"', text), [name.lower() for name in names])
        self.assertEqual(re.findall(r"^## (\w+)", page, re.M), names)


if __name__ == "__main__":
    unittest.main()
