"""How the command line speaks: help that fits a screen, names that were probably meant, values and where they come from, completion and
manual pages, files of settings.

Run by ctest; by hand: RERANKD=build/release/rerankd RERANKD_SOURCE_DIR=. python3 tests/cli/manners_test.py
"""
import json
import os
import pathlib
import pty
import shutil
import subprocess
import tempfile
import unittest

PROGRAM = os.path.abspath(os.environ["RERANKD"])
SOURCE = pathlib.Path(os.environ["RERANKD_SOURCE_DIR"]).resolve()
COMMANDS = subprocess.run([PROGRAM, "completion", "bash"], capture_output=True, text=True).stdout.split('words="')[1].split(" --")[0].split()


def run(*arguments, text_in="", **environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RERANKD") and name != "COLUMNS"}
    return subprocess.run([PROGRAM, *map(str, arguments)], input=text_in, capture_output=True, text=True, timeout=900,
                          env={**kept, **environment})


class HelpTest(unittest.TestCase):
    def test_each_command_on_a_screen_and_everything_when_asked(self):
        self.assertIn("serve", COMMANDS)
        for command in COMMANDS:
            short = run(command, "--help", COLUMNS="80")
            full = run(command, "--help-all", COLUMNS="80")
            self.assertEqual((short.returncode, full.returncode), (0, 0), command)
            if command not in ("bench", "convert", "eval"):
                self.assertLess(len(short.stdout.splitlines()), 50, command)
            for line in short.stdout.splitlines() + full.stdout.splitlines():
                self.assertTrue(len(line) <= 80 or " " not in line.strip()[:60], line)
            self.assertGreaterEqual(len(full.stdout), len(short.stdout))
        self.assertIn("--trace-queue", run("serve", "--help-all").stdout)
        self.assertNotIn("--trace-queue", run("serve", "--help").stdout)

    def test_other_ways_to_ask(self):
        self.assertEqual(run("help", "rank").stdout, run("rank", "--help").stdout)
        self.assertEqual(run("help").stdout, run("--help").stdout)
        for words in (["version"], ["-V"], ["--version"]):
            self.assertRegex(run(*words).stdout, r"^rerankd \d+\.\d+\.\d+ \((commit \w+(-dirty)?, )?(GCC|Clang) [^)]+\)$")

    def test_no_colours_but_on_a_terminal(self):
        self.assertNotIn("\033", run("serve", "--help").stdout)

    def on_terminal(self, **environment):
        leader, follower = pty.openpty()
        with subprocess.Popen([PROGRAM, "rank", "--help"], stdout=follower, env={**os.environ, "TERM": "xterm", **environment}):
            os.close(follower)
            text = b""
            try:
                while part := os.read(leader, 65536):
                    text += part
            except OSError:  # its end, on Linux
                pass
        os.close(leader)
        return text

    def test_headings_are_bold_on_a_terminal_unless_no_color(self):
        self.assertIn(b"\033[1m", self.on_terminal(NO_COLOR=""))
        self.assertNotIn(b"\033[1m", self.on_terminal(NO_COLOR="1"))


class MistakesTest(unittest.TestCase):
    def error(self, *arguments, **environment):
        done = run(*arguments, **environment)
        self.assertEqual(done.returncode, 2, done.stderr)
        return done.stderr

    def test_names_that_were_meant(self):
        self.assertIn("no command serv; did you mean serve?", self.error("serv"))
        self.assertIn("no command ranke; did you mean rank?", self.error("ranke"))
        self.assertIn("want a command", self.error())
        self.assertIn("no option --topn of rank; did you mean --top-n?", self.error("rank", "--query", "q", "--topn", "3"))
        self.assertIn("no option --prot of serve; did you mean --port?", self.error("serve", "--prot=1"))
        self.assertIn("did you mean --max-length?", self.error("serve", "--max_length", "1"))
        self.assertNotIn("did you mean", self.error("serve", "--xyzzy"))
        self.assertIn("did you mean bf16?", self.error("serve", "--precision", "bf17"))
        self.assertIn("did you mean avx512?", self.error("serve", "--kernel", "avx521"))
        for name, owner in (("bge-reranker-v2-m3", "BAAI"), ("ms-marco-MiniLM-L6-v2", "cross-encoder"), ("Qwen3-Reranker-0.6B", "Qwen")):
            said = run("fit", name, HF_HUB_CACHE="/nowhere", HF_ENDPOINT="http://127.0.0.1:9").stderr
            self.assertIn(f"did you mean {owner}/{name}?", said)

    def test_who_types_documents_is_told_how_to_end_them(self):
        first, second = pty.openpty()
        process = subprocess.Popen([PROGRAM, "rank", "--query", "pandas"], stdin=second, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        os.write(first, b"Pandas eat bamboo.\n\x04")  # Ctrl-D
        out, said = process.communicate(timeout=120)
        os.close(first)
        os.close(second)
        self.assertIn("reading documents from the terminal, one a line; Ctrl-D ends", said)
        self.assertIn("Pandas eat bamboo.", out)

    def test_numbers_have_ranges_wherever_they_come_from(self):
        for name, value in (("threads", "-1"), ("io-threads", "-1"), ("tokenizer-threads", "-1"), ("threads", "100000"),
                            ("max-connections", "-1"), ("max-documents", "0"), ("cache-bytes", "-1"), ("max-batch-tokens", "0"),
                            ("max-body-bytes", "0"), ("trace-rate", "7"), ("port", "99999"), ("request-timeout-ms", "-5"),
                            ("port", "x"), ("port", ""), ("max-length", "1.5")):
            self.assertRegex(self.error("serve", f"--{name}={value}" if value else f"--{name}=\"\""), f"--{name} .*: want [0-9]+ to ", name)
            if value:
                variable = "RERANKD_" + name.upper().replace("-", "_")
                self.assertRegex(self.error("serve", **{variable: value}), f"{variable} .*: want ")
        self.assertIn("--port 99999: want 0 to 65535", self.error("serve", "--port", "99999"))
        self.assertIn("--top-n: -3: want 0 to", self.error("rank", "--query", "q", "--top-n", "-3"))
        self.assertIn("want debug, info, warning, error", self.error("--log-level", "quiet", "serve"))

    def test_every_number_has_a_range(self):
        for line in run("serve", "--help-all", COLUMNS="140").stdout.split("\n  --"):
            words = line.split()
            if words[0].startswith(("max-", "cache-bytes")) or words[1:2] in (["N"], ["MS"], ["BYTES"], ["PORT"], ["TOKENS"], ["SHARE"]):
                self.assertIn("Range:", " ".join(words), line)

    def test_files_name_the_line(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "rerankd.toml"

            def file_error(text):
                path.write_text(text)
                return self.error("serve", "--config", path)
            self.assertIn(f"{path}:2: prot: no such setting; did you mean port?", file_error("\nprot = 1\n"))
            self.assertIn(f"{path}:1: port 99999: want 0 to 65535", file_error("port = 99999\n"))
            self.assertIn(f"{path}:1: max-length a: want 0 to", file_error('max_length = "a"\n'))
            self.assertIn("settings stand without sections", file_error("[serve]\nport = 1\n"))
            self.assertIn("want one value, not a list", file_error("port = [1]\n"))
            self.assertIn(f"{path}:1: ", file_error("port = = 1\n"))
            self.assertIn("no such file", self.error("serve", "--config", path.parent / "none.toml"))

    def test_unknown_variables_are_warned_of(self):
        done = run("serve", "--port", "0", "--model", "/nowhere", RERANKD_PROT="1")
        self.assertIn("RERANKD_PROT: no setting has this variable; did you mean RERANKD_PORT?", done.stderr)

    def test_the_journal_gets_priorities_and_keeps_time_itself(self):
        with tempfile.TemporaryFile() as log:
            place = os.fstat(log.fileno())
            subprocess.run([PROGRAM, "serve", "--port", "0", "--model", "/nowhere"], stderr=log, timeout=60,
                           env={**os.environ, "JOURNAL_STREAM": f"{place.st_dev}:{place.st_ino}", "RERANKD_PROT": "1"})
            log.seek(0)
            self.assertIn(b"<4>RERANKD_PROT: no setting", log.read())
        self.assertNotIn("<4>", run("serve", "--port", "0", "--model", "/nowhere", RERANKD_PROT="1", JOURNAL_STREAM="1:2").stderr)

    def test_quiet_commands_say_nothing_but_their_result(self):
        done = run("rank", "--query", "q", text_in="a\nb\n")
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class DropInTest(unittest.TestCase):
    """What text-embeddings-inference and infinity are started with."""

    def started(self, *words, **environment):
        done = run(*words, **environment)
        return done.returncode, done.stdout + done.stderr

    def test_flags_of_text_embeddings_inference(self):
        code, said = self.started("--model-id", SOURCE / "models/rerankd-mini-en", "--port", "0", "--auto-truncate", "--json-output", "--dtype",
                                  "float16", "--max-batch-tokens", "16384", "--max-concurrent-requests=512", "--hostname", "127.0.0.1", "--check")
        self.assertEqual(code, 0, said)
        for part in ("--model-id is taken as --model", "--auto-truncate has no effect: long pairs are cut", '"level":"info"',
                     "--max-concurrent-requests has no effect", "--hostname is taken as --host", "the settings are right"):
            self.assertIn(part, said)
        self.assertIn("--max-documents 0: want 1 to", self.started("serve", "--model-id", "x", "--max-client-batch-size", "0")[1])

    def test_variables_of_text_embeddings_inference(self):
        model = str(SOURCE / "models/rerankd-mini-en")
        code, said = self.started("serve", "--check", MODEL_ID=model, PORT="0", HF_API_TOKEN="hf_x", AUTO_TRUNCATE="true")
        self.assertEqual(code, 0, said)
        self.assertIn("HF_API_TOKEN is taken as --hub-token", said)
        self.assertIn("--max-documents 0: want", self.started("serve", MODEL_ID=model, MAX_CLIENT_BATCH_SIZE="0")[1])
        self.assertEqual(self.started("serve", "--check", "--port", "0", PORT="99999")[0], 0, "PORT alone is nobody's")

    def test_infinity(self):
        model = SOURCE / "models/rerankd-mini-en"
        code, said = self.started("v2", "--model-id", model, "--engine", "torch", "--batch-size", "32", "--port", "0", "--no-model-warmup", "--check")
        self.assertEqual(code, 0, said)
        for part in ("--engine torch has no effect", "--batch-size has no effect", "--no-model-warmup has no effect"):
            self.assertIn(part, said)
        code, said = self.started("serve", "--check", INFINITY_MODEL_ID=str(model), INFINITY_PORT="0", INFINITY_DTYPE="float16")
        self.assertEqual(code, 0, said)

    def test_check_loads_nothing_and_says_what_is_wrong(self):
        self.assertEqual(self.started("serve", "--check", "--port", "0", "--model", "org/never-downloaded")[0], 0)
        for wrong in (["--tls-cert", "/nowhere"], ["--api-key-file", "/nowhere"], ["--api-key", "short"]):
            code, said = self.started("serve", "--check", "--port", "0", *wrong)
            self.assertEqual(code, 2 if wrong[0] != "--api-key-file" else code, said)
            self.assertNotEqual(code, 0)


class ModelsTest(unittest.TestCase):
    def test_what_the_cache_holds(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn("no models in", run("models", HF_HUB_CACHE=folder).stdout)
            snapshot = pathlib.Path(folder) / "models--org--tiny/snapshots/c0ffee"
            shutil.copytree(SOURCE / "tests/data/models/bert-a", snapshot)
            broken = pathlib.Path(folder) / "models--org--half/snapshots/c0ffee"
            broken.mkdir(parents=True)
            found = {m["model"]: m for m in json.loads(run("models", "--format", "json", HF_HUB_CACHE=folder).stdout)}
            self.assertEqual((found["org/tiny"]["works"], found["org/half"]["works"]), (True, False))
            self.assertIn("cpu", found["org/tiny"]["what"])
            self.assertGreater(found["org/tiny"]["bytes"], 1000)
            self.assertRegex(run("models", HF_HUB_CACHE=folder).stdout, r"org/tiny +\d+ +yes +cpu")
            self.assertEqual(run("serve", "--check", "--port", "0", "--model", "org/tiny", HF_HUB_CACHE=folder, HF_HUB_OFFLINE="1").returncode, 0)
            self.assertEqual(run("rank", "--query", "q", "--model", "org/tiny", text_in="a\n", HF_HUB_CACHE=folder, HF_HUB_OFFLINE="1").returncode, 0)
            self.assertIn("removed org/tiny", run("models", "remove", "org/tiny", HF_HUB_CACHE=folder).stdout)
            self.assertFalse(snapshot.exists())

    def test_mistakes(self):
        with tempfile.TemporaryDirectory() as folder:
            for words, message in ((["remove", "../x"], "want a hub id"), (["pull"], "want a hub id"), (["remove", "org/none"], "is not in"),
                                   (["lst"], "did you mean list?")):
                done = run("models", *words, HF_HUB_CACHE=folder)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(message, done.stderr)


class FitTest(unittest.TestCase):
    def test_says_what_a_model_takes(self):
        figures = json.loads(run("fit", "--format", "json").stdout)
        size = (SOURCE / "models/rerankd-mini-en/model.safetensors").stat().st_size
        self.assertEqual((figures["weight_bytes"], figures["here"], figures["max_length"]), (size, True, 256))
        self.assertLess(abs(figures["parameters"] / (size / 2) - 1), 0.05, "the file holds 16 bits of each")
        rows = {row["precision"]: row for row in figures["rows"]}
        self.assertLess(rows["int8"]["memory_bytes"], rows["fp32"]["memory_bytes"])
        for row in rows.values():
            for at in row["lengths"]:
                self.assertGreater(at["seconds_per_pair"], 0)
                self.assertAlmostEqual(at["question_seconds"], 64 * at["seconds_per_pair"])
        self.assertIn("RAGFlow's question of 64 chunks", figures["advice"])
        table = run("fit", SOURCE / "tests/data/models/xlm-roberta-a", "--precision", "fp32").stdout
        self.assertIn("XLMRobertaForSequenceClassification", table)
        self.assertIn("fp32", table)

    def test_every_family_can_be_measured(self):
        for config in sorted((SOURCE / "tests/data").glob("*/*/config.json")):
            if "architectures" in config.read_text() and (config.parent / "model.safetensors").exists():
                done = run("fit", config.parent, "--precision", "fp32", "--format", "json")
                self.assertIn(done.returncode, (0, 2) if "quantization" in config.read_text() else (0,), f"{config}: {done.stderr}")

    def test_other_machines_are_estimated(self):
        words = ("--cores", "1,8,1000", "--threads", "2", "--precision", "fp32")
        row, = json.loads(run("fit", *words, "--format", "json").stdout)["rows"]
        here = row["lengths"][0]["question_seconds"]
        found = {at["cores"]: at["question_seconds"] for at in row["lengths"][0]["estimated"]}
        for cores, share in ((1, 2), (8, 1 / 4), (1000, 1 / 32)):  # no more cores than chunks are of use
            self.assertAlmostEqual(found[cores], here * share)
        table = run("fit", *words).stdout
        self.assertIn("1000 cores", table)
        self.assertIn("estimated: as if cores like these 2 added up", table)

    def test_sizes_alone(self):
        whole, sizes = (json.loads(run("fit", "--format", "json", *words).stdout) for words in ((), ("--sizes-only",)))
        memory = [{row["precision"]: row["memory_bytes"] for row in figures["rows"]} for figures in (whole, sizes)]
        self.assertEqual(set(memory[1]), {"fp32", "bf16", "int8"})
        self.assertLessEqual(memory[0].items(), memory[1].items())
        self.assertNotIn("chunks", run("fit", "--sizes-only").stdout)

    def test_what_is_wrong_is_said(self):
        self.assertIn("no such folder", run("fit", "/nowhere").stderr)
        for words, message in ((("--cores", "0"), "1 to 1024"), (("--cores", "two"), "--cores"), (("--cores", ",".join(["2"] * 17)), "at most 16"),
                               (("--cores", "2", "--sizes-only"), "--sizes-only"), (("--cores", "2", "--engine", "reference"), "engine reference")):
            done = run("fit", *words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)
            self.assertIn(message, done.stderr)


class GeneratedTest(unittest.TestCase):
    def test_the_configuration_file_is_what_the_program_prints_and_reads(self):
        text = run("options", "--format", "toml").stdout
        self.assertEqual((SOURCE / "deploy/rerankd.toml").read_text(), text, "rerankd options --format toml > deploy/rerankd.toml")
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "all.toml"
            path.write_text("\n".join(line[2:] if " = " in line and line.startswith("# ") and line[2:].split(" = ")[0].replace("-", "").isalpha()
                                      and '= ""' not in line else line for line in text.splitlines()))
            self.assertGreater(sum(not line.startswith("#") and bool(line) for line in path.read_text().splitlines()), 50)
            self.assertEqual(run("rank", "--config", path, "--query", "q", text_in="a\n").returncode, 0)

    def test_bash_completes(self):
        with tempfile.TemporaryDirectory() as folder:
            script = pathlib.Path(folder) / "rerankd.bash"
            script.write_text(run("completion", "bash").stdout)

            def completed(*words):
                code = (f"source {script}; COMP_WORDS=({' '.join(repr(w) for w in words)}); COMP_CWORD={len(words) - 1}; _rerankd; "
                        'echo "${COMPREPLY[*]}"')
                return subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout.split()
            self.assertEqual(completed("rerankd", "ser"), ["serve"])
            self.assertEqual(completed("rerankd", "rank", "--top"), ["--top-n"])
            self.assertIn("bf16", completed("rerankd", "serve", "--precision", ""))
            self.assertIn("--trace-queue", completed("rerankd", "serve", "--trace-q"))
            self.assertNotIn("--trace-queue", completed("rerankd", "rank", "--"))

    def test_zsh_and_fish_read_their_scripts(self):
        for shell, check in (("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])):
            script = run("completion", shell).stdout
            self.assertIn("serve", script)
            self.assertEqual(script.replace("\\'", "").count("'") % 2, 0, "every quote is closed")
            if shutil.which(shell):
                with tempfile.NamedTemporaryFile("w", suffix="." + shell) as file:
                    file.write(script)
                    file.flush()
                    subprocess.run([*check, file.name], check=True)
        self.assertIn("want bash, zsh, fish", run("completion", "tcsh").stderr)

    def test_manual_pages(self):
        for words in ([], *([command] for command in COMMANDS)):
            page = run("manual", *words).stdout
            self.assertRegex(page, r"^\.TH RERANKD")
            for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS"):
                self.assertIn(f"\n.SH {heading}\n", page)
            if shutil.which("groff"):
                done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-z"], input=page, capture_output=True, text=True)
                self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        self.assertIn("no command nothing", run("manual", "nothing").stderr)


if __name__ == "__main__":
    unittest.main()
