#!/usr/bin/env python3
"""Faults of the surroundings while good clients go on: what was accepted is answered, and answered rightly.

Usage: chaos.py [--short] [--write] [NAME ...]

A fault fails when an answer is wrong, or a request that was accepted is lost where none may be: only SIGKILL may lose what runs. Those
that need root, or Debian's package faketime, are left out without, and say so.
"""
import argparse
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

import network
from living import Clients, Server, Tally, signal, table, write_section

SECONDS = 8.0


class Redis:
    """A server on a free port that speaks something like Redis: `answer(bytes) -> bytes` to what comes; None: silence."""

    def __init__(self, answer):
        self.answer, self.listener = answer, socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            while data := client.recv(65536):
                said = b"+PONG\r\n" if b"PING" in data else self.answer(data)
                if said is None:
                    time.sleep(60)
                client.sendall(said or b"")
        except OSError:
            pass


def score(data):
    """As many right-looking scores as keys were asked for, all wrong, but for other models' keys."""
    keys = data.count(b"rerankd:")
    value = b"$12\r\nRR1\x00\x00\x00\x80\x3f\x05\x00\x00\x00\r\n"
    return (b"*%d\r\n" % keys + b"$-1\r\n" * keys) if b"MGET" in data else b"+OK\r\n" * data.count(b"SET") if keys else value


REDIS = {
    "is silent": lambda data: None,
    "sends noise": lambda data: os.urandom(64),
    "knows nothing": score,
    "sends values of other forms": lambda data: b"*%d\r\n" % data.count(b"rerankd:") + b"$3\r\nabc\r\n" * data.count(b"rerankd:") if b"MGET" in data else b"+OK\r\n",
    "answers without end": lambda data: b"*%d\r\n" % 3 + b"$100000000\r\n" + b"x" * 1000000,
    "refuses": lambda data: b"-OOM command not allowed\r\n",
}


def under_load(name, act, may_lose=False, *flags, **settings):
    tally = Tally()
    with Server("--drain-timeout-ms", 30000, *flags, **settings) as server:
        with Clients(server, tally, threads=4, pause=0.005):
            time.sleep(SECONDS / 4)
            server = act(server) or server
            time.sleep(SECONDS / 4)
    row = {"fault": name, **tally.row()}
    good = tally.wrong == 0 and (may_lose or tally.lost == 0) and tally.right > 0
    return {**row, "verdict": "held" if good else "FAILED"}


def term(server):
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0


def kill(server):
    server.process.kill()
    server.process.wait()
    again = Server("--drain-timeout-ms", 30000, port=server.port)  # on the same port, at once
    server.process, server.reader = again.process, again.reader


def stop_and_go_on(server):
    for _ in range(3):
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(SECONDS / 10)
        server.process.send_signal(signal.SIGCONT)
        time.sleep(SECONDS / 10)


def hang_up(server):
    for _ in range(20):
        server.process.send_signal(signal.SIGHUP)
        time.sleep(SECONDS / 40)


def wait(server):
    time.sleep(SECONDS / 2)


def without_files():
    """More connections than the process may have files."""
    def flood(server):
        held = []
        for _ in range(150):
            try:
                held.append(server.connect())
            except OSError:
                pass
        time.sleep(SECONDS / 4)
        for client in held:
            client.close()
    return under_load("64 files, 150 connections", flood, True, files=64)


def full_disk():
    """A weight cache on a disk of 1 MiB: needs root, else it is left out."""
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False, capture_output=True).returncode != 0:
            return None
        try:
            row = under_load("the disk of the weight cache is full", wait, False, "--weight-cache", folder)
            row["verdict"] = row["verdict"] if not any(pathlib.Path(folder).iterdir()) else "FAILED"
            return row
        finally:
            subprocess.run(["umount", folder], check=False)


def clock():
    """The time of day steps, not the monotonic clock: as NTP or an operator sets it."""
    library = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
    if not library.exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        step = pathlib.Path(folder) / "step"
        step.write_text("+0")

        def steps(_):
            for seconds in ("-3600", "+7200", "+86400", "-86400", "+0"):
                step.write_text(seconds)
                time.sleep(SECONDS / 5)

        return under_load("the clock steps by an hour, two and a day, back and forth", steps, False, environment={
            "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(step), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"})


def lossy():
    if not network.possible():
        return None
    with network.Link(loss=0.05, delay=0.04) as link:
        row = under_load("the network loses 5 % of packets and delays the others by 20 to 60 ms", lambda _: time.sleep(2 * SECONDS), False, link=link)
        assert link.dropped > 0, "nothing was lost"
        return row


def cut_off():
    if not network.possible():
        return None
    with network.Link(delay=0.002) as link:
        def cut(_):
            for _ in range(2):
                link.cut = True
                time.sleep(SECONDS / 3)
                link.cut = False
                time.sleep(SECONDS / 3)
        return under_load("the network carries nothing, twice for some seconds", cut, False, link=link)


def faults():
    yield "term", lambda: under_load("SIGTERM", term)
    yield "kill", lambda: under_load("SIGKILL, and a start on the same port", kill, True)
    yield "stop", lambda: under_load("SIGSTOP and SIGCONT, three times", stop_and_go_on)
    yield "hup", lambda: under_load("SIGHUP, twenty times", hang_up)
    yield "files", without_files
    yield "disk", full_disk
    yield "clock", clock
    yield "lossy", lossy
    yield "cut", cut_off
    for what, answer in REDIS.items():
        server = Redis(answer)
        yield "redis", lambda what=what, port=server.port: under_load(f"the shared cache {what}", wait, False, "--cache-url",
                                                                     f"redis://127.0.0.1:{port}", "--cache-secret", "a-secret-of-the-campaign")


def main():
    global SECONDS
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    SECONDS = 2.0 if arguments.short else 8.0
    rows = []
    for name, run in faults():
        if arguments.names and name not in arguments.names:
            continue
        row = run()
        if row is None:
            print(f"{name}: left out: it needs root, or Debian's faketime", flush=True)
        else:
            rows.append(row)
            print(row, flush=True)
    if arguments.write:
        write_section("chaos", table(rows))
    sys.exit(any(row["verdict"] != "held" for row in rows))


if __name__ == "__main__":
    main()
