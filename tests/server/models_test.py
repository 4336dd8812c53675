#!/usr/bin/env python3
"""`rerankd serve` with several models, and while they load: choice, health, versions at run time, SIGHUP, cascade, a stop in every
phase. RERANKD names the program; RERANKD_SWITCHES is how often models are loaded and unloaded under load (12)."""
import http.client
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests/support"))
from rerankd_server import PROGRAM, Server, free_port, wait_for  # noqa: E402

MODELS = SOURCE / "tests/data/models"
A, B = MODELS / "bert-a", MODELS / "xlm-roberta-a"
BODY = {"query": "what do pandas eat?", "documents": ["Pandas eat bamboo.", "Paris is in France.", "Rain falls."]}
ADMIN_KEY = "the-key-of-an-admin"
SWITCHES = int(os.environ.get("RERANKD_SWITCHES", "12"))
MOST_GROWTH = 16 << 20  # bytes, between the first fifth of many switches and the end


def request(url, body=None, key=None, accept=None):
    """(status, headers, JSON) of a GET, or of a POST where there is a body."""
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    if accept:
        headers["Accept"] = accept
    asked = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, answer.headers, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.load(error)


def who(url, **body):
    status, headers, _ = request(url, {**BODY, **body})
    return headers["X-Rerankd-Model"].split("@")[0] if status == 200 else status


class Silent:
    """A hub that takes connections and never answers: a load that does not end."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.taken = []
        threading.Thread(target=self.take, daemon=True).start()
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def take(self):
        try:
            while True:
                self.taken.append(self.socket.accept()[0])
        except OSError:
            pass

    def __exit__(self, *_):
        self.socket.close()
        for one in self.taken:
            one.close()


def write_large(folder, hidden=768, inner=3072, layers=24):
    """B's model in another size, of nothing but zeros, in a file without blocks on the disk: its load has phases that last."""
    text = json.loads((B / "config.json").read_text())
    widths = {text["hidden_size"]: hidden, text["intermediate_size"]: inner}
    text |= {"hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": 12}
    with open(B / "model.safetensors", "rb") as small:
        header = json.loads(small.read(int.from_bytes(small.read(8), "little")))
    tensors, offset = {}, 0
    for layer in range(layers):
        for name, tensor in header.items():
            within = ".layer." in name
            if name == "__metadata__" or (".layer.0." not in name if within else layer > 0):
                continue
            shape = [widths.get(side, side) for side in tensor["shape"]]
            end = offset + 2 * math.prod(shape)
            tensors[name.replace(".layer.0.", f".layer.{layer}.")] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
            offset = end
    named = json.dumps(tensors).encode()
    with open(Path(folder) / "model.safetensors", "wb") as file:
        file.write(len(named).to_bytes(8, "little") + named)
        file.truncate(8 + len(named) + offset)
    (Path(folder) / "config.json").write_text(json.dumps(text))
    shutil.copy(B / "tokenizer.json", folder)


class Leaving(unittest.TestCase):
    def test_requests_are_taken_while_balancers_notice(self):
        with Server("--model", A, "--drain-delay-ms", "1500") as server:
            self.assertEqual(200, request(server.url + "/health")[0])
            server.process.send_signal(signal.SIGTERM)
            end = time.monotonic() + 5
            while request(server.url + "/health")[0] == 200 and time.monotonic() < end:
                time.sleep(0.02)
            self.assertEqual(503, request(server.url + "/health")[0])
            self.assertEqual(200, request(server.url + "/health/live")[0])
            status, headers, answer = request(server.url + "/v1/rerank", BODY)
            self.assertEqual((200, "close", 3), (status, headers["Connection"], len(answer["results"])))
            self.assertEqual(0, server.process.wait(30))


class Loading(unittest.TestCase):
    def test_answers_from_the_first_moment_and_stops_at_once(self):
        with Silent() as hub, tempfile.TemporaryDirectory() as folder:
            notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.addCleanup(notified.close)
            notified.bind(f"{folder}/notify")
            port = free_port()
            process = subprocess.Popen([PROGRAM, "serve", "--port", str(port), "--model", f"good={A}", "--model", "far=nobody/far-reranker",
                                        "--hub-endpoint", hub, "--hub-cache", folder], stderr=subprocess.PIPE, text=True,
                                       env={**os.environ, "NOTIFY_SOCKET": f"{folder}/notify"})
            self.addCleanup(process.kill)
            url = f"http://127.0.0.1:{port}"

            def answers():
                try:
                    return request(url + "/health")
                except OSError:
                    return None

            wait_for(answers, 60, "the port does not answer")
            wait_for(lambda: who(url + "/v1/rerank") == "good", 60, "the first model does not answer while the second loads")
            status, headers, health = request(url + "/health")
            self.assertEqual(status, 503)
            self.assertTrue(headers["Retry-After"])
            self.assertEqual(health["status"], "loading")
            states = {model["name"]: model for model in health["models"]}
            self.assertEqual(states["good"]["status"], "ready")
            self.assertEqual(states["far"]["status"], "loading")
            self.assertIn("percent", states["far"])
            for path, expected in (("/health/live", 200), ("/livez", 200), ("/health/startup", 503), ("/healthz", 503), ("/readyz", 503), ("/version", 200)):
                self.assertEqual(request(url + path)[0], expected, path)
            self.assertEqual(request(url + "/models/good/health")[0], 200)
            status, headers, answer = request(url + "/models/far/v1/rerank", BODY)
            self.assertEqual(status, 503)
            self.assertTrue(headers["Retry-After"])
            self.assertIn("far is loading", answer["message"])
            process.terminate()
            self.assertEqual(process.wait(timeout=60), 0)
            log = process.stderr.read()
            process.stderr.close()
            self.assertIn("while models load", log)
            self.assertIn("ended before it was up", log)
            self.assertNotIn("listening on", log)
            notified.settimeout(10)
            self.assertEqual(notified.recv(1000), b"STOPPING=1")

    def test_stops_in_every_phase_of_a_load(self):
        phases = ["reading weights", "preparing the engine", "warming up"]
        stopped = set()
        with tempfile.TemporaryDirectory() as folder:
            write_large(folder)
            for wanted in phases:
                port = free_port()
                process = subprocess.Popen([PROGRAM, "serve", "--port", str(port), "--model", folder, "--threads", "1"],
                                           stderr=subprocess.PIPE, text=True)
                self.addCleanup(process.stderr.close)
                self.addCleanup(process.kill)

                def phase():
                    try:
                        model, = request(f"http://127.0.0.1:{port}/health")[2].get("models", [{}])
                    except OSError:
                        return None
                    return model.get("phase") or (model.get("status") != "loading" and "up")

                found = wait_for(lambda: (now := phase()) in phases[phases.index(wanted):] + ["up"] and now, 120, wanted)
                process.terminate()
                self.assertEqual(process.wait(timeout=60), 0)
                log = process.stderr.read()
                if found != "up" and "listening on" not in log:
                    self.assertIn("SIGTERM: ended before it was up", log)
                    stopped.add(found)
        self.assertTrue(stopped, "every load was over before it could be stopped")

    def test_tells_systemd_when_it_is_ready(self):
        with tempfile.TemporaryDirectory() as folder:
            notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.addCleanup(notified.close)
            notified.bind(f"{folder}/notify")
            notified.settimeout(60)
            with Server("--model", f"one={A}", environment={"NOTIFY_SOCKET": f"{folder}/notify"}):
                self.assertIn("READY=1\nSTATUS=Serving one", notified.recv(1000).decode())

    def test_one_that_cannot_be_loaded_does_not_stop_the_other(self):
        with Server("--model", f"good={A}", "--model", "gone=/nobody/has/this") as server:
            status, _, health = request(server.url + "/health")
            self.assertEqual((status, health["status"]), (200, "degraded"))
            gone = next(model for model in health["models"] if model["name"] == "gone")
            self.assertIn("no such folder", gone["error"])
            self.assertEqual(request(server.url + "/models/gone/v1/rerank", BODY)[0], 503)
            self.assertEqual(who(server.url + "/v1/rerank"), "good")

    def test_what_cannot_be_is_an_error_at_the_start(self):
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder, "rerankd.toml")
            for text, message in [
                    (f'[[models]]\nname = "a"\nmodel = "{A}"\n[[models]]\nname = "A"\nmodel = "{B}"\n', "two models of one name"),
                    (f'[[models]]\nmodel = "{A}"\n[aliases]\nprod = "v9"\n', "no model is called v9"),
                    (f'[[models]]\nname = "a"\nmodel = "{A}"\n[aliases]\np = {{ a = 0.5 }}\n', "add up to"),
                    (f'[[models]]\nmodel = "{A}"\nport = 1\n', "rerankd.toml:3: port: no such setting of a model"),
                    (f'[[models]]\nmodel = "{A}"\nprecision = "fp7"\n', "rerankd.toml:3: precision fp7: want auto"),
                    (f'[[models]]\nmodel = "{A}"\nweight = 0\n', "weight 0"),
                    (f'models = 3\n', "want [[models]]"),
                    (f'cascade = "a:5,b:9"\n[[models]]\nname = "a"\nmodel = "{A}"\n', "more documents than the stage before")]:
                config.write_text(text)
                found = subprocess.run([PROGRAM, "serve", "--port", "0", "--config", config], capture_output=True, text=True, timeout=60)
                self.assertIn(message, found.stderr, text)
                self.assertNotEqual(found.returncode, 0)
            found = subprocess.run([PROGRAM, "serve", "--port", "0", "--model", "/nobody/a", "--model", "/nobody/b"],
                                   capture_output=True, text=True, timeout=60)
            self.assertEqual(found.returncode, 1)
            self.assertIn("no such folder", found.stderr)


class Several(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.config = self.folder / "rerankd.toml"
        self.private = f"127.0.0.1:{free_port()}"
        self.config.write_text(f"""
unknown-model = "error"
read-only-metrics-address = "{self.private}"
[[models]]
name = "a"
model = "{A}"
weight = 2
[[models]]
name = "b"
model = "{B}"
aliases = ["prod"]
cache-share = 0.25
""")
        self.server = self.enterContext(Server("--config", self.config, environment={"RERANKD_ADMIN_KEY": ADMIN_KEY}))
        self.rerank = self.server.url + "/v1/rerank"

    def admin(self, **body):
        status, _, answer = request(f"http://{self.private}/admin/models", body, ADMIN_KEY)
        return status, answer

    def load(self, name, path, **more):
        self.assertEqual(self.admin(action="load", name=name, model=str(path), **more)[0], 200)
        wait_for(lambda: self.state(name) == "ready", 120, f"{name} is not loaded")

    def state(self, name):
        listed = request(f"http://{self.private}/admin/models", key=ADMIN_KEY)[2]["data"]
        return next((model.get("status") for model in listed if model["id"] == name), None)

    def test_requests_choose(self):
        self.assertEqual(who(self.rerank), "a")
        self.assertEqual(who(self.rerank, model="B___OpenAI-API"), "b")
        self.assertEqual(who(self.rerank, model="prod"), "b")
        self.assertEqual(who(self.rerank, model="nobody"), 404)
        self.assertEqual(who(self.server.url + "/models/b/v1/rerank"), "b")
        scores = {name: [r["relevance_score"] for r in request(self.rerank, {**BODY, "model": name})[2]["results"]] for name in "ab"}
        self.assertNotEqual(scores["a"], scores["b"])
        listed = request(self.server.url + "/v1/models")[2]["data"]
        self.assertEqual([model["id"] for model in listed], ["a", "b", "prod"])
        metrics = urllib.request.urlopen(f"http://{self.private}/metrics", timeout=30).read().decode()
        for name in "ab":
            self.assertRegex(metrics, rf'rerankd_documents_total\{{model="{name}"\}} [1-9]')

    def test_the_admin_is_on_the_private_address_and_has_a_key(self):
        body = {"action": "default", "name": "b"}
        self.assertEqual(request(self.server.url + "/admin/models", body, ADMIN_KEY)[0], 405)
        self.assertEqual(request(f"http://{self.private}/admin/models", body)[0], 401)
        self.assertEqual(who(self.rerank), "a")
        self.assertEqual(self.admin(**body)[0], 200)
        self.assertEqual(who(self.rerank), "b")
        self.assertEqual(self.admin(action="load", model=str(A), name="x", precision="fp7")[0], 422)

    def test_a_split_a_switch_and_an_end_lose_no_request(self):
        self.load("v1", A)
        self.load("v2", B)
        self.assertEqual(self.admin(action="split", alias="live", shares={"v1": 90, "v2": 10})[0], 200)
        self.assertEqual(self.admin(action="split", alias="live", shares={"v1": 90, "v2": 20})[0], 422)
        self.assertEqual(self.admin(action="unload", name="v1")[0], 422, "the alias names it")
        host = self.server.url.removeprefix("http://")
        stop, failed, chosen = threading.Event(), [], {}

        def client(number):
            connection = http.client.HTTPConnection(host, timeout=60)
            for i in range(1250):
                query = f"question {number} {i % 625}"  # each of them twice
                connection.request("POST", "/v1/rerank", json.dumps({"model": "live", "query": query, "documents": ["a", "b"]}))
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    failed.append(answer.status)
                else:
                    chosen.setdefault(query, set()).add(answer.headers["X-Rerankd-Model"].split("@")[0])
            connection.close()

        threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])
        self.assertEqual({len(models) for models in chosen.values()}, {1}, "a query always goes to the same one")
        share = sum(models == {"v2"} for models in chosen.values()) / len(chosen)
        self.assertAlmostEqual(share, 0.1, delta=0.01)
        print(f"10000 requests, {len(chosen)} queries: {100 * share:.2f} % to the version with 10 %", file=sys.stderr)

        # A switch under load, and the old one goes.
        count = [0]

        def hurried():
            connection = http.client.HTTPConnection(host, timeout=60)
            while not stop.is_set():
                connection.request("POST", "/v1/rerank", json.dumps({"model": "live", **BODY}))
                answer = connection.getresponse()
                answer.read()
                count[0] += 1
                if answer.status != 200:
                    failed.append(answer.status)
            connection.close()

        thread = threading.Thread(target=hurried)
        thread.start()
        memory = []
        for round_number in range(SWITCHES):
            memory.append(int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.server.process.pid}/status").read_text())[1]) << 10)
            old, new, path = ("v1", "v2", B) if round_number % 2 == 0 else ("v2", "v1", A)
            if self.state(new) is None:
                self.load(new, path)
            self.assertEqual(self.admin(action="alias", alias="live", model=new)[0], 200)
            self.assertEqual(self.admin(action="unload", name=old)[0], 200)
        stop.set()
        thread.join()
        self.assertEqual(failed, [])
        self.assertGreater(count[0], 0)
        print(f"{SWITCHES} switches, {count[0]} requests meanwhile, none failed; memory {memory[SWITCHES // 5] >> 20} MiB after a fifth of them, "
              f"{max(memory) >> 20} MiB at most, {memory[-1] >> 20} MiB at the end", file=sys.stderr)
        self.assertLess(memory[-1], memory[SWITCHES // 5] + MOST_GROWTH)

    def test_a_changed_file_and_sighup(self):
        text = self.config.read_text()
        self.config.write_text(text.replace('aliases = ["prod"]', "").replace(f'name = "a"\nmodel = "{A}"', f'name = "c"\nmodel = "{A}"\naliases = ["prod"]'))
        self.server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: who(self.rerank) == "c" and who(self.rerank, model="a") == 404, 120, "the file is not followed")
        self.assertEqual(who(self.rerank, model="prod"), "c")
        self.assertEqual(who(self.rerank, model="b"), "b")
        self.config.write_text(text.replace("weight = 2", "weight = -2"))
        self.server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: any("weight -2" in line for line in self.server.log), 60, "the mistake is not said")
        self.assertEqual(who(self.rerank), "c")


class Combined(unittest.TestCase):
    def test_cascade_and_shadow(self):
        with Server("--model", f"fast={A}", "--model", f"good={B}", "--cascade", "fast,good:2", "--shadow-model", "fast=good",
                    "--shadow-rate", "1") as server:
            status, headers, answer = request(server.url + "/v1/rerank", BODY)
            self.assertEqual(status, 200)
            self.assertTrue(headers["X-Rerankd-Model"].startswith("cascade@"))
            self.assertEqual(len(answer["results"]), 3)
            stages = answer["meta"]["stages"]
            self.assertEqual([(stage["model"], len(stage["results"])) for stage in stages], [("fast", 3), ("good", 2)])
            scores = [result["relevance_score"] for result in answer["results"]]
            self.assertEqual(scores, sorted(scores, reverse=True))
            wait_for(lambda: server.metric("rerankd_shadow_requests_total") >= 1, 120, "nothing is compared")
            self.assertEqual(server.metric("rerankd_shadow_seconds_count"), server.metric("rerankd_shadow_requests_total"))

    def test_idle_models_come_back(self):
        with Server("--model", f"a={A}", "--model", f"b={B}", "--idle-unload-s", "1") as server:
            wait_for(lambda: {model["status"] for model in request(server.url + "/health", accept="application/json")[2].get("models", [])
                              } == {"idle"} or any("unloaded: no request" in line for line in server.log), 60, "nothing is unloaded")
            self.assertEqual(who(server.url + "/v1/rerank", model="b"), "b")
            self.assertEqual(request(server.url + "/health")[0], 200)


if __name__ == "__main__":
    unittest.main()
