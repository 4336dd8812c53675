"""build/release/engine_bench as a process that computes its batch again for each line: times in turn with a peer's."""
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Engine:
    def __init__(self, model, batch, precision):
        self.process = subprocess.Popen([ROOT / "build/release/engine_bench", model, batch, precision, "auto", "2"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name = self.process.stdout.readline().strip()

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["seconds"], answer["logits"]
