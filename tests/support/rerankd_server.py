"""A running `rerankd serve`, for tests in Python. RERANKD names the program."""
import json
import os
import random
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

PROGRAM = os.environ["RERANKD"]
DOCUMENTS = ["A panda is a bear that eats bamboo.", "Paris is the capital of France.", "Rain falls from clouds.", "A bear sleeps in winter.",
             "The Seine flows through Paris.", "Snow is frozen rain.", "Bamboo is a grass.", "Winter is cold in the north."]
QUERIES = ["what do pandas eat", "capital of France", "why does it rain", "where do bears sleep", "which river flows through Paris"]


def get(url):
    return urllib.request.urlopen(url, timeout=30).read().decode()


def free_port():
    """One that nobody has, below those that the kernel hands out: what runs beside cannot take it before its server does."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port := random.randrange(20000, 32000)))
                return port
            except OSError:
                pass


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.1)
    return found


class Server:
    """rerankd serve; what it logs is in `log`."""

    def __init__(self, *options, environment=None):
        self.options, self.environment, self.log, self.url = options, {**os.environ, **(environment or {})}, [], None

    def __enter__(self):
        command = [PROGRAM, "serve", "--port", "0", *map(str, self.options)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=self.environment)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        wait_for(lambda: self.url or self.process.poll() is not None, 120, "the server does not start")
        assert self.url, "".join(self.log)
        return self

    def read(self):
        for line in self.process.stderr:
            self.log.append(line)
            if match := re.search(r"listening on (http://\S+)", line):
                self.url = match[1]

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=60)
        self.reader.join()
        self.process.stderr.close()

    def wait_until_ready(self, seconds):
        """Until its models are loaded: the port answers before."""
        def ready():
            try:
                return get(self.url + "/health") is not None
            except OSError:  # 503 until then
                return False
        wait_for(ready, seconds, "the models are not loaded")

    def post(self, path, body, headers=None, timeout=30):
        """The answer; of an error its status."""
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(),
                                         {"Content-Type": "application/json", **(headers or {})})
        try:
            return json.load(urllib.request.urlopen(request, timeout=timeout))
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def rank(self, number):
        query = f"{QUERIES[number % len(QUERIES)]}, {number}?"
        return self.post("/v1/rerank", {"query": query, "documents": DOCUMENTS, "top_n": 3})

    def metric(self, name):
        """The sum over its labels; 0 when there is none."""
        return sum(map(float, re.findall(rf"^{name}(?:{{.*}})? (\S+)", get(self.url + "/metrics"), re.M)))

    def top1_agreement(self, requests):
        for number in range(requests):
            self.rank(number)
        wait_for(lambda: self.metric("rerankd_shadow_requests_total") >= requests, 300, "the requests are not scored again")
        return self.metric("rerankd_shadow_same_top1_total") / self.metric("rerankd_shadow_requests_total")
