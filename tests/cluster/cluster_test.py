#!/usr/bin/env python3
"""Replicas as hosts of their own (network namespaces) behind HAProxy, nginx and Envoy, while replicas are killed, stopped, cut off, frozen
and replaced: how many requests failed, and how long the slowest took. Run as root: `make cluster-test`; about four minutes.

Usage: cluster_test.py [--program FILE] [--old FILE] [--balancers haproxy,nginx,envoy] [--scenarios ...] [--report FILE]
--old: the program that a rolling upgrade starts from, default the same. Fails when a request failed or had another score.
"""
import argparse
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HOSTS = {"a": "10.77.0.1", "b": "10.77.0.2", "c": "10.77.0.3"}
BALANCER = "10.77.0.100"
RATE, DOCUMENTS = 20, 8
WORDS = "panda bamboo river mountain Paris France capital engine battery winter garden doctor".split()


def ip(*words, check=True):
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


class Network:
    """A bridge, and a namespace for each host on it."""

    def __init__(self):
        self.prefix = f"rr{os.getpid() % 10000}"
        self.bridge = f"{self.prefix}br"

    def space(self, name):
        return f"{self.prefix}{name}"

    def __enter__(self):
        ip("link", "add", self.bridge, "type", "bridge")
        ip("addr", "add", "10.77.0.254/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")
        for name, address in {**HOSTS, "lb": BALANCER}.items():
            space, outer = self.space(name), f"{self.prefix}{name}o"
            ip("netns", "add", space)
            ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("link", "set", outer, "master", self.bridge, "up")
            ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
            ip("-n", space, "link", "set", "lo", "up")
        return self

    def __exit__(self, *_):
        for name in (*HOSTS, "lb"):
            ip("netns", "del", self.space(name), check=False)
            ip("link", "del", f"{self.prefix}{name}o", check=False)
        ip("link", "del", self.bridge, check=False)

    def cut(self, name, cut):
        ip("link", "set", f"{self.prefix}{name}o", "down" if cut else "up")

    def start(self, name, command, **options):
        return subprocess.Popen(["ip", "netns", "exec", self.space(name), *map(str, command)], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, **options)


def healthy(address):
    connection = http.client.HTTPConnection(address, 8080, timeout=1)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def wait_for(what, seconds=30):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise SystemExit(f"not there after {seconds} s")
        time.sleep(0.05)


class Replicas:
    def __init__(self, network, program, flags=()):
        self.network, self.program, self.flags, self.running = network, program, flags, {}

    def start(self, name, program=None):
        command = [program or self.program, "serve", "--host", HOSTS[name], "--port", 8080, "--threads", 1, "--cache-bytes", 0, *self.flags]
        self.running[name] = self.network.start(name, command)
        wait_for(lambda: healthy(HOSTS[name]))

    def send(self, name, number):
        self.running[name].send_signal(number)

    def stop(self, name, number=signal.SIGTERM):
        self.send(name, number)
        self.running.pop(name).wait(60)

    def stop_all(self):
        for name in list(self.running):
            self.send(name, signal.SIGCONT)
            self.stop(name, signal.SIGKILL)


class Load:
    """RATE requests a second for so long, each on a connection of its own; (seconds, problem or None) of each."""

    def __init__(self, seconds, expected):
        self.outcomes, self.threads, self.expected = [], [], expected
        self.count = int(seconds * RATE)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        begin = time.monotonic()
        for number in range(self.count):
            time.sleep(max(0.0, begin + number / RATE - time.monotonic()))
            thread = threading.Thread(target=self.one, args=(number,))
            thread.start()
            self.threads.append(thread)

    def one(self, number):
        begin = time.monotonic()
        try:
            problem = None if ask(BALANCER, number) == self.expected[number % len(self.expected)] else "another score"
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        self.outcomes.append((time.monotonic() - begin, problem))

    def result(self):
        self.thread.join()
        for thread in self.threads:
            thread.join()
        return self.outcomes


def ask(address, number):
    query = f"what is {WORDS[number % len(WORDS)]}?"
    documents = [" ".join(WORDS[(number + i + k) % len(WORDS)] for k in range(12)) for i in range(DOCUMENTS)]
    connection = http.client.HTTPConnection(address, 8080, timeout=60)
    try:
        connection.request("POST", "/v1/rerank", json.dumps({"model": "any", "query": query, "documents": documents}),
                           {"Content-Type": "application/json", "Connection": "close"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise ValueError(f"{answer.status}: {body[:120]!r}")
        return sorted((row["index"], row["relevance_score"]) for row in json.loads(body)["results"])
    finally:
        connection.close()


def killed(replicas, _):
    replicas.stop("a", signal.SIGKILL)
    time.sleep(2)
    replicas.start("a")


def stopped(replicas, _):
    replicas.stop("a")
    replicas.start("a")


def cut_off(replicas, _):
    replicas.network.cut("a", True)
    time.sleep(4)
    replicas.network.cut("a", False)


def frozen(replicas, _):
    replicas.send("a", signal.SIGSTOP)
    time.sleep(4)
    replicas.send("a", signal.SIGCONT)


def upgraded(replicas, _):
    for name in HOSTS:
        replicas.stop(name)
        replicas.start(name, replicas.program)
        time.sleep(3)  # minReadySeconds: balancers that learn from failures forget them


def redis_lost(replicas, redis):
    redis.kill()
    redis.wait()


# What takes the retries out of haproxy.cfg: only a replica's own notice in time saves a request then.
NO_RETRIES = {"retries 3": "retries 0", "retry-on conn-failure empty-response response-timeout 503": "", "option redispatch 1": ""}
SCENARIOS = {"killed": (killed, 8), "stopped": (stopped, 6), "cut-off": (cut_off, 9), "frozen": (frozen, 9), "upgraded": (upgraded, 16),
             "redis-lost": (redis_lost, 5), "no-retries": (upgraded, 22)}


def configured(source, replace):
    text = source.read_text()
    for old, new in zip(("10.0.0.1", "10.0.0.2", "10.0.0.3"), HOSTS.values()):
        text = text.replace(old, new)
    for old, new in replace.items():
        text = text.replace(old, new)
    return text


def start_balancer(kind, network, scratch, replace):
    files = ROOT / "deploy/balancers"
    if kind == "haproxy":
        (scratch / "haproxy.cfg").write_text(configured(files / "haproxy.cfg", {"0.0.0.0:8080": f"{BALANCER}:8080", **replace}))
        return network.start("lb", ["haproxy", "-f", scratch / "haproxy.cfg"])
    if kind == "nginx":
        (scratch / "nginx.conf").write_text("daemon off;\npid {0}/nginx.pid;\nerror_log {0}/error.log;\n".format(scratch) +
                                            configured(files / "nginx.conf", {"0.0.0.0:8080": f"{BALANCER}:8080", "http {": f"http {{ client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy; fastcgi_temp_path {scratch}/f; uwsgi_temp_path {scratch}/u; scgi_temp_path {scratch}/s;"}))
        return network.start("lb", ["nginx", "-c", scratch / "nginx.conf"])
    (scratch / "envoy.yaml").write_text(configured(files / "envoy.yaml", {"address: 0.0.0.0": f"address: {BALANCER}"}))
    return network.start("lb", [envoy_program(), "-c", scratch / "envoy.yaml", "--base-id", "77", "--concurrency", "1"])


def envoy_program():
    found = shutil.which("envoy") or next(iter(map(str, ROOT.glob(".venv-cluster/lib/python3*/site-packages/envoy/_bin/envoy"))), None)
    return found


def available(kind):
    return envoy_program() if kind == "envoy" else shutil.which(kind) or shutil.which(kind, path="/usr/sbin")


def run_scenario(kind, name, network, arguments):
    act, seconds = SCENARIOS[name]
    with tempfile.TemporaryDirectory(prefix="rerankd-cluster-") as scratch, contextlib.ExitStack() as stack:
        scratch, redis, flags = pathlib.Path(scratch), None, []
        if name == "redis-lost":
            redis = network.start("lb", ["redis-server", "--bind", BALANCER, "--port", 6390, "--save", "", "--dir", scratch])
            stack.callback(redis.kill)
            flags = ["--cache-url", f"redis://{BALANCER}:6390"]
            time.sleep(0.5)
        if name == "no-retries":
            flags = ["--drain-delay-ms", "2000"]
        replicas = Replicas(network, arguments.program, [*flags, *arguments.flags])
        stack.callback(replicas.stop_all)
        for host in HOSTS:
            replicas.start(host, arguments.old if name == "upgraded" else None)
        expected = [ask(HOSTS["a"], number) for number in range(len(WORDS))]
        balancer = start_balancer(kind, network, scratch, NO_RETRIES if name == "no-retries" else {})
        stack.callback(balancer.wait)
        stack.callback(balancer.kill)
        wait_for(lambda: healthy(BALANCER))
        time.sleep(1.5)  # all replicas have been checked
        load = Load(seconds, expected)
        time.sleep(1)
        act(replicas, redis)
        return load.result()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default=str(ROOT / "build/release/rerankd"))
    parser.add_argument("--old")
    parser.add_argument("--balancers", default="haproxy,nginx,envoy")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    parser.add_argument("--report")
    parser.add_argument("flags", nargs="*", help="of the replicas, after --")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("network namespaces need root")
    rows, bad = [], 0
    for kind in arguments.balancers.split(","):
        if not available(kind):
            print(f"{kind}: not installed, left out", flush=True)
            continue
        for name in arguments.scenarios.split(","):
            if name == "no-retries" and kind != "haproxy":
                continue
            with Network() as network:
                outcomes = run_scenario(kind, name, network, arguments)
            problems = [problem for _, problem in outcomes if problem]
            bad += len(problems)
            rows.append((kind, name, len(outcomes), len(problems), max(seconds for seconds, _ in outcomes)))
            print(f"{kind:8} {name:12} {len(outcomes):4} requests, {len(problems)} failed, slowest {rows[-1][4]:5.2f} s  {problems[:2] or ''}", flush=True)
    if arguments.report:
        lines = ["| balancer | what happened | requests | failed | slowest |", "|---|---|---|---|---|"]
        lines += [f"| {kind} | {name} | {count} | {failed} | {slowest:.2f} s |" for kind, name, count, failed, slowest in rows]
        pathlib.Path(arguments.report).write_text("\n".join(lines) + "\n")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
