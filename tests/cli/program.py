"""What tests of the command line share: the program run to its end, and as a server."""
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import urllib.request

PROGRAM = os.path.abspath(os.environ["RERANKD"])
SOURCE = pathlib.Path(os.environ["RERANKD_SOURCE_DIR"]).resolve()
MODELS = SOURCE / "tests/data/models"


def recorded_tolerance(engine, precision):
    """How far a logit of tests/data/models may be from the recorded one: of the table that all tests have."""
    table = (SOURCE / "tests/support/tolerances.h").read_text()
    row = re.search(rf"\{{EngineKind::k{engine.title()}, Precision::k{precision.title()}, ([\d.e-]+),", table)
    return float(row.group(1))


CPU_FP32, ONNX_FP32 = recorded_tolerance("cpu", "fp32"), recorded_tolerance("onnx", "fp32")


def run(*arguments, text_in="", check=True, **environment):
    done = subprocess.run([PROGRAM, *map(str, arguments)], input=text_in, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "RERANKD_LOG_LEVEL": "warning", **environment})
    if check and done.returncode != 0:
        raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stderr}")
    return done


class Server:
    """rerankd serve on a free port, for the length of a with block."""

    def __init__(self, *arguments, program=PROGRAM):
        self.arguments, self.program = arguments, program

    def __enter__(self):
        self.process = subprocess.Popen([self.program, "serve", "--port", "0", *self.arguments], stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            found = re.search(r"listening on (http://\S+)", line)
            if found:
                self.url = found.group(1)
                self.rest = threading.Thread(target=self.process.stderr.read, daemon=True)
                self.rest.start()
                return self
        raise AssertionError("the server did not start")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.exit_code = self.process.wait(timeout=60)
        self.rest.join()
        self.process.stderr.close()

    def post(self, path, body, **headers):
        headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return answer.read().decode()
