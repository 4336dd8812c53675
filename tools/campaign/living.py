"""A running rerankd, clients whose answers are known, and what is measured of it. Shared by attack.py, chaos.py and soak.py."""
import http.client
import json
import os
import pathlib
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = pathlib.Path(os.environ.get("RERANKD", ROOT / "build/release/rerankd"))
MODEL = ROOT / "models/rerankd-mini-en"


class Server:
    """rerankd serve on free ports, in a with block. `files`: the limit of open files; `port`: to take again; `link`: a network.Link, at
    whose other end it runs."""

    def __init__(self, *flags, files=None, port=0, grpc=False, environment=None, link=None, model=MODEL):
        command = [str(PROGRAM), "serve", "--model", str(model), "--port", str(port), *map(str, flags)]
        self.host = link.there if link else "127.0.0.1"
        if link:
            command = [*link.enter, *command, "--host", self.host]
        self.grpc_port = free_port() if grpc else 0
        if grpc:
            command += ["--grpc-port", str(self.grpc_port)]
        if files:
            command = ["sh", "-c", f"ulimit -n {files}; exec \"$@\"", "sh", *command]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, **(environment or {})})
        self.log, self.port = [], None
        for line in self.process.stderr:
            self.log.append(line.decode(errors="replace"))
            if found := re.search(r"listening on http://[0-9.]+:(\d+)", self.log[-1]):
                self.port = int(found[1])
                break
        if self.port is None:
            raise SystemExit("the server did not start:\n" + "".join(self.log))
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line.decode(errors="replace"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def alive(self):
        return self.process.poll() is None

    def memory(self, name="VmRSS"):
        """MiB: VmRSS now, VmHWM at most so far."""
        try:
            found = re.search(rf"^{name}:\s*(\d+) kB", pathlib.Path(f"/proc/{self.process.pid}/status").read_text(), re.M)
        except OSError:
            return 0
        return int(found[1]) // 1024 if found else 0

    def files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def connect(self, host="127.0.0.2", port=None, receive=None):
        """A socket from an address of its own: attackers do not share that of the good clients."""
        client = socket.socket()
        if receive:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        client.settimeout(20)
        client.bind((host, 0))
        client.connect(("127.0.0.1", port or self.port))
        return client


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def post(body, path="/v1/rerank", headers=""):
    body = body if isinstance(body, bytes) else body.encode()
    return f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def headers_of(path, compressed=False, key=""):
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "h"), ("content-type", "application/grpc"), ("te", "trailers")]
    fields += [("grpc-encoding", "gzip")] * compressed + [("authorization", key)] * bool(key)
    return b"".join(b"\x00" + bytes([len(n)]) + n.encode() + bytes([len(v)]) + v.encode() for n, v in fields)


def grpc_call(path, stream, message, size=None, compressed=False, key=""):
    """HEADERS and DATA of a call with one message; `size`: what it says to be long, when not all of it is sent."""
    data = bytes([compressed]) + struct.pack(">I", size or len(message)) + message
    whole = size is None
    parts = [data[at : at + 16000] for at in range(0, len(data), 16000)]
    return frame(1, 4, stream, headers_of(path, compressed, key)) + b"".join(
        frame(0, whole and i == len(parts) - 1, stream, part) for i, part in enumerate(parts))


def grpc_connect(server, settings=b"", receive=None):
    client = server.connect(port=server.grpc_port, receive=receive)
    client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, settings))
    return client


def field(number, data):
    size, out = len(data), b""
    while size > 127:
        out, size = out + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + out + bytes([size]) + data


QUESTIONS = [("what do pandas eat?", ["Pandas eat bamboo.", "Paris is in France.", "Rain falls in Berlin."]),
             ("capital of france", ["Paris is in France.", "The cat sat.", "Berlin is large.", "London calling."]),
             ("how does an index work", ["The index keeps every document.", "A panda.", "Search returns the best of them."])]


class Tally:
    """Requests of good clients: sent, answered rightly, answered wrongly, refused (429, 503, a closed port), lost."""

    def __init__(self):
        self.sent = self.right = self.wrong = self.refused = self.lost = 0
        self.lock = threading.Lock()

    def add(self, name):
        with self.lock:
            setattr(self, name, getattr(self, name) + 1)

    def row(self):
        return {name: getattr(self, name) for name in ("sent", "right", "wrong", "refused", "lost")}


def ask(port, number, timeout=60, headers=None, connection=None, host="127.0.0.1"):
    """(status, scores by index) of the question `number`."""
    query, documents = QUESTIONS[number % len(QUESTIONS)]
    client = connection or http.client.HTTPConnection(host, port, timeout=timeout)
    client.request("POST", "/v1/rerank", json.dumps({"query": query, "documents": documents}),
                   {"Content-Type": "application/json", **(headers or {})})
    answer = client.getresponse()
    body = json.loads(answer.read())
    if connection is None:
        client.close()
    return answer.status, sorted((r["index"], r["relevance_score"]) for r in body["results"]) if answer.status == 200 else body


class Clients:
    """Good clients, in a with block, whose answers are compared with those of a server that nobody attacks."""

    def __init__(self, server, tally, threads=2, pause=0.02, headers=None):
        self.server, self.tally, self.pause, self.headers = server, tally, pause, headers
        self.known = [ask(server.port, n, headers=headers, host=server.host)[1] for n in range(len(QUESTIONS))]
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(90)

    def run(self, number):
        while not self.stopping.wait(self.pause):
            number += 1
            self.tally.add("sent")
            headers = {**(self.headers or {}), **({"Cache-Control": "no-cache"} if number % 3 == 0 else {})}
            try:
                status, scores = ask(self.server.port, number, headers=headers, host=self.server.host)
            except ConnectionRefusedError:
                self.tally.add("refused")
            except (OSError, http.client.HTTPException):
                self.tally.add("lost")
            else:
                same = status == 200 and scores == self.known[number % len(QUESTIONS)]
                self.tally.add("right" if same else "refused" if status in (429, 503) else "wrong")


class Probe:
    """Asks /health every 50 ms, in a with block, from a process of its own: attackers do not keep it from its turn. `slowest`, in ms,
    is known after the block."""

    def __init__(self, server):
        self.slowest = 0.0
        self.process = subprocess.Popen([sys.executable, __file__, server.host, str(server.port)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.slowest = float(self.process.communicate("end\n", timeout=120)[0])


def probe_until_told(host, port):
    """The slowest of the probes until a line comes, in ms."""
    slowest = 0.0
    while not select.select([sys.stdin], [], [], 0.05)[0]:
        begin = time.monotonic()
        try:
            client = http.client.HTTPConnection(host, port, timeout=60)
            client.request("GET", "/health")
            client.getresponse().read()
            client.close()
        except OSError:
            pass  # how long it took counts, whatever became of it
        slowest = max(slowest, 1000 * (time.monotonic() - begin))
    return slowest


def reset(client):
    """Closes with a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def table(rows):
    """Rows of one shape as Markdown."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "|".join("---" if isinstance(rows[0][n], str) else "--:" for n in names) + "|"]
    return "\n".join(lines + ["| " + " | ".join(str(row[n]) for n in names) + " |" for row in rows])


def write_section(name, text):
    """Replaces a section of docs/campaign.md, between its marks."""
    page = ROOT / "docs/campaign.md"
    old = page.read_text()
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, rest = old.split(begin)
    page.write_text(before + begin + "\n" + text + "\n" + end + rest.split(end)[1])


__all__ = [name for name in dir() if not name.startswith("_")] + ["signal"]


if __name__ == "__main__":
    print(probe_until_told(sys.argv[1], int(sys.argv[2])))
