"""The stages of the report, in order: each is a server that answers POST /rerank. To add one, add a line to STAGES."""
import dataclasses
import pathlib
import re
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Stage:
    name: str
    command: tuple  # of peer_server.py, or of `rerankd serve` when its first word starts with --
    repeats: bool = False  # traffic repeats by Zipf's law; else every request is new
    same_scores_as: str = ""  # computes what this stage computes: its accuracy is not measured again
    top_n: int = 0  # only so many results are asked for, and with exits (calibrated in the report's folder) others leave early


STAGES = [
    Stage("PyTorch fp32, one request at a time", ("torch-fp32",)),
    Stage("PyTorch bf16", ("torch-bf16",)),
    Stage("PyTorch bf16, dynamic batches", ("torch-bf16-batched",)),
    Stage("ONNX Runtime fp32, fused graph", ("ort-fp32",)),
    Stage("rerankd bf16", ("--precision", "bf16", "--cache-bytes", "0")),
    Stage("rerankd int8", ("--precision", "int8", "--cache-bytes", "0")),
    Stage("rerankd int8, adaptive depth, top 3", ("--precision", "int8", "--cache-bytes", "0", "--target-agreement", "0.99"), top_n=3),
    Stage("rerankd int8, cache, Zipf traffic", ("--precision", "int8"), repeats=True, same_scores_as="rerankd int8"),
]


def exits_folder(arguments):
    return pathlib.Path(arguments.folder) / "exits"


class Running:
    """A stage's server, until `with` ends."""

    def __init__(self, stage, arguments):
        self.stage, self.arguments, self.url, self.lines = stage, arguments, None, []

    def __enter__(self):
        a = self.arguments
        if self.stage.command[0].startswith("--"):
            command = [a.program, "serve", "--port", 0, "--threads", a.threads, "--max-length", a.max_length, *self.stage.command]
            command += ["--model", a.model, *(["--exits", exits_folder(a)] if self.stage.top_n else [])]
        else:
            command = [sys.executable, HERE / "peer_server.py", "--model", a.model, "--kind", *self.stage.command,
                       "--threads", a.threads, "--max-length", a.max_length, "--scratch", pathlib.Path(a.folder) / "scratch"]
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in self.process.stdout:
            self.lines.append(line)
            if match := re.search(r"listening on (http://\S+)", line):
                self.url = match[1] + "/rerank"
                threading.Thread(target=self.process.stdout.read, daemon=True).start()
                return self
        raise SystemExit(f"{self.stage.name}: did not start:\n{''.join(self.lines)}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=60)
