"""What the pages say of the program holds: every `rerankd` command line has a command and options that exist, every link leads somewhere, and
the transcript of the first ten minutes still comes out.

RERANKD, RERANKD_SOURCE_DIR: the program and the checkout.
"""
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(os.environ["RERANKD_SOURCE_DIR"]).resolve()
PROGRAM = os.path.abspath(os.environ["RERANKD"])
sys.path[:0] = [str(SOURCE / "tests/support"), str(SOURCE / "tools/docs")]
import first_ten_minutes  # noqa: E402
import fit_table  # noqa: E402
from rerankd_server import Server, wait_for  # noqa: E402

PAGES = [SOURCE / "README.md", SOURCE / "README.zh-CN.md", SOURCE / "SECURITY.md", SOURCE / "python/README.md", *sorted((SOURCE / "docs").glob("*.md"))]
# Of other servers, and words that stand for a command.
NOT_OURS = {"--model-id", "--auto-truncate", "--max-batch-requests"}


def text_of(page):
    return page.read_text()


def code_lines(text):
    """Lines of code blocks, and `code` in running text; a line that ends in a backslash goes on."""
    text = text.replace("\\\n", " ")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S) + re.findall(r"^(?:    .*\n)+", text, re.M)
    yield from (line.strip() for block in blocks for line in block.splitlines())
    yield from re.findall(r"`(rerankd [^`\n]+)`", text)


def words_of(line):
    line = line.split(" #")[0].split(" | ")[0].split(" > ")[0].split(" < ")[0]
    line = re.sub(r"^(sudo |\$ |[A-Z_]+=\S+ )*", "", line)
    try:
        return shlex.split(line)
    except ValueError:
        return []


def shape(text):
    """What holds on every machine: words, without figures, kernels and spaces."""
    text = re.sub(r"http://127\.0\.0\.1:\d+", "URL", text.strip())
    text = re.sub(r", and it waits (\d+ s)\. With --precision .*", r"; it waits \1.", text)  # `fit` on a slow machine
    text = re.sub(r"^(bf16|fp32|int8)(?= +[\d.]+ GB)", "PRECISION", text, flags=re.M)  # a CPU has some of them
    text = re.sub(r"\b(amx|avx|neon)\w*\b|-?\b[0-9a-f]{12,}(-dirty)?\b|GCC [\d.]+|\bbf16\b|-?\b\d[\d.:TZ-]*", "N", text)
    lines = [re.sub(r"\s+", " ", line) for line in text.splitlines()]
    return "\n".join(line for line in dict.fromkeys(lines) if line)


class DocsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        out = subprocess.run([PROGRAM, "completion", "bash"], capture_output=True, text=True, check=True).stdout
        cls.commands = {}
        for name in out.split('words="')[1].split(" --")[0].split():
            shown = subprocess.run([PROGRAM, name, "--help-all"], capture_output=True, text=True, check=True).stdout
            cls.commands[name] = set(re.findall(r"--[a-z0-9-]+", shown)) | {"--log-level", "--log-format", "--quiet", "--help-all", "--help"}

    def test_every_command_line_is_one(self):
        seen = 0
        for page in PAGES:
            for line in code_lines(text_of(page)):
                words = words_of(line)
                if not words or pathlib.Path(words[0]).name != "rerankd" or len(words) < 2 or not words[1].isalpha():
                    continue
                if words[1] in ("help", "version", "v2", "serv", "serves") or words[1].isupper():
                    continue
                seen += 1
                self.assertIn(words[1], self.commands, f"{page.name}: {line}")
                for word in words[2:]:
                    flag = word.split("=")[0]
                    if flag.startswith("--") and flag not in NOT_OURS:
                        self.assertIn(flag, self.commands[words[1]], f"{page.name}: {line}")
        self.assertGreater(seen, 60)

    def test_every_setting_that_is_named_exists(self):
        known = set().union(*self.commands.values()) | NOT_OURS
        for page in [p for p in PAGES if p.name in ("sizing.md", "troubleshooting.md", "docker.md", "upgrade.md", "http-api.md", "README.md")]:
            for flag in re.findall(r"`(--[a-z][a-z0-9-]+)[ `=]", text_of(page)):
                if flag not in ("--only", "--write", "--record", "--base"):
                    self.assertIn(flag, known, page.name)

    def test_every_test_that_is_named_exists(self):
        """`Suite.Case`, `Suite.*` and `program_test.test_case` of the pages that say what holds; each row of SECURITY.md's table has one."""
        found, python = set(), set()
        for folder in ("src", "tests", "tools"):
            for file in (SOURCE / folder).rglob("*.cc"):
                found |= {".".join(names) for names in re.findall(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", file.read_text(), re.M)}
            for file in (SOURCE / folder).rglob("*_test.py"):
                python |= {f"{file.stem}.{name}" for name in re.findall(r"^    def (test_\w+)\(", file.read_text(), re.M)}
        lists = "".join(file.read_text() for file in (*SOURCE.glob("tests/*/CMakeLists.txt"), SOURCE / "tools/campaign/CMakeLists.txt"))
        named = 0
        for page in (SOURCE / "SECURITY.md", SOURCE / "docs/campaign-findings.md", *sorted((SOURCE / "docs/decisions").glob("*.md"))):
            for name in re.findall(r"`([A-Z]\w+\.[A-Z*][\w*]*)`", text_of(page)):
                if page.suffix == ".md" and name.rsplit(".", 1)[1] in ("TXT", "MD"):
                    continue
                pattern = re.compile(re.escape(name).replace(r"\*", r"\w*") + "$")
                self.assertTrue(any(pattern.match(test) for test in found), f"{page.name}: {name}")
                named += 1
            for name in re.findall(r"`(\w+_test\.test_\w+)`", text_of(page)):
                self.assertIn(name, python, page.name)
                named += 1
        self.assertGreater(named, 80)
        rows = re.findall(r"^\| (?!from|---)[^|]+\|[^|]+\|(.*)\|$", text_of(SOURCE / "SECURITY.md"), re.M)
        self.assertGreater(len(rows), 20)
        for row in rows:
            names = re.findall(r"`([A-Z]\w+\.[A-Z*][\w*]*|\w+_test(?:\.test_\w+)?|campaign_replay)`", row)
            self.assertTrue(names, f"SECURITY.md names no test: {row}")
            for name in names:
                if "." not in name and name != "campaign_replay":
                    self.assertIn(f"NAME {name}", lists, f"SECURITY.md: {name}")

    def test_what_is_installed_beside_is_held_by_hash_and_the_unit_keeps_its_limits(self):
        for wheel in ("onnxruntime", "pjrt", "libtpu"):
            for line in text_of(SOURCE / f"requirements/{wheel}.txt").replace("\\\n", " ").splitlines():
                if "==" in line and not line.startswith("#"):
                    self.assertIn("--hash=sha256:", line, wheel)
        for script in ("onnxruntime.sh", "pjrt.sh"):
            self.assertIn("--require-hashes", text_of(SOURCE / "tools" / script))
        unit = text_of(SOURCE / "deploy/systemd/rerankd.service")
        for line in ("DynamicUser=yes", "LimitCORE=0", "TasksMax=4096", "#LoadCredential=keys:/etc/rerankd/keys"):
            self.assertIn(line + "\n", unit)

    def test_what_newcomers_stumbled_over_is_held(self):
        rows = [row for row in text_of(SOURCE / "tests/docs/newcomers.md").splitlines() if row.startswith("| ") and "held by" not in row]
        self.assertGreater(len(rows), 45)
        for row in rows:
            tests = re.findall(r"`([\w/.]+): ([^`]+)`", row.split(" | ")[-1])
            self.assertTrue(tests, row)
            for file, name in tests:
                self.assertIn(name, text_of(SOURCE / file), row)

    def test_every_link_leads_somewhere(self):
        for page in PAGES:
            text = re.sub(r"^```.*?^```", "", text_of(page), flags=re.M | re.S)
            for link in re.findall(r"\]\(([^)\s]+)\)", text):
                if re.match(r"[a-z]+:", link):
                    continue
                path, _, anchor = link.partition("#")
                target = (page.parent / path).resolve() if path else page
                self.assertTrue(target.exists(), f"{page.name}: {link}")
                if anchor and target.suffix == ".md":
                    headings = re.findall(r"^#+ (.*)$", text_of(target), re.M)
                    anchors = set()
                    for heading in headings:  # of equal ones the second is "name-1"
                        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
                        anchors.add(next(n for n in [name, *(f"{name}-{i}" for i in range(1, 9))] if n not in anchors))
                    self.assertIn(anchor, anchors, f"{page.name}: {link}")

    def transcript(self):
        """(command, output) of docs/first-ten-minutes.md, in order."""
        for block in first_ten_minutes.BLOCK.findall(text_of(SOURCE / "docs/first-ten-minutes.md")):
            for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
                command, _, output = part.partition("\n")
                yield command, output.strip()

    @staticmethod
    def last_record(server):
        """The fields of the last request that the log has yet; it comes a moment after the answer."""
        return re.findall(r"(\w+)=", shape(next((line for line in reversed(server.log) if " request " in line), "")))

    def test_the_first_ten_minutes_come_out_so(self):
        seen = set()
        with Server("--model", SOURCE / "models/rerankd-mini-en", "--api-key", "change-me-please") as server:
            for command, shown in self.transcript():
                name = command.split("| ")[-1].split()[0]
                if "&" in command or name not in ("rerankd", "curl", "tail"):
                    continue
                if name == "tail":  # the record of the request before
                    wanted = [key for key in re.findall(r"(\w+)=", shape(shown)) if key != "agent"]
                    wait_for(lambda wanted=wanted: self.last_record(server) == wanted, 20, f"{wanted}\n{''.join(server.log)}")
                    continue
                line = command.replace("http://127.0.0.1:8080", server.url).replace("64 --document-tokens 220 --duration 5s", "4 --document-tokens 20 --duration 500ms")
                line = re.sub(r"\bcurl ", "curl -sS -A '' " + ("" if "Bearer" in line else "-H 'Authorization: Bearer change-me-please' "), line)
                line = re.sub(r"\brerankd ", lambda _: shlex.quote(PROGRAM) + " ", line, count=1)
                done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=600,
                                      env={k: v for k, v in os.environ.items() if not k.startswith("RERANKD")})
                records = [row for row in shown.splitlines() if " request " not in row]  # the server's, on the same terminal
                self.assertEqual(shape(done.stdout + done.stderr), shape("\n".join(records)), command)
                seen.add(command.split("8080")[-1].split()[0] if name == "curl" else command)
        self.assertLessEqual({"/health", "/v1/models", "/v1/rerank", "/rerank", "rerankd fit", "rerankd --version"}, seen)

    def test_tables_of_sizes_are_what_fit_says(self):
        sizes = {name: fit_table.size_cells(*fit_table.sizes_of(PROGRAM, name)[:2]) for name in fit_table.MODELS}
        short = lambda cells: [cells[1], "", cells[2].removesuffix(" GB"), ""]  # noqa: E731
        for page, shown, times in (("docs/sizing.md", lambda cells: cells[1:5], 5), ("README.md", short, 3), ("README.zh-CN.md", short, 3)):
            rows = re.findall(r"^\| ([\w.-]+/[\w.-]+) (\|.* s) \|$", text_of(SOURCE / page), re.M)
            wanted = [name for name, (_, listed, _) in fit_table.MODELS.items() if listed or page == "docs/sizing.md"]
            self.assertEqual([name for name, _ in rows], wanted, f"{page}: tools/docs/fit_table.py --write")
            for name, rest in rows:
                cells = [name] + [cell.strip() for cell in rest.split("|")[1:]]
                for found, right in zip(shown(cells), sizes[name]):
                    self.assertIn(found, ("", right), f"{page}: {name}: tools/docs/fit_table.py --write")
                for cell in zip(*(time.removesuffix(" s").split(" / ") for time in cells[times:])):  # estimates are the measured time's share
                    two, eight, many = (float(value.lstrip("<")) for value in cell)
                    self.assertLess(abs(two / 4 - eight), 0.13 + 0.05 * two, f"{page}: {name}")
                    self.assertLess(abs(two / 16 - many), 0.1 + 0.02 * two, f"{page}: {name}")

    def test_curl_of_the_pages_is_answered(self):
        asked = 0
        with Server("--model", SOURCE / "models/rerankd-mini-en") as server:
            for page in (SOURCE / "docs/http-api.md", SOURCE / "README.md"):
                text = text_of(page).replace("\\\n", " ")
                for command in re.findall(r"^ *(?:\$ )?(curl http://127\.0\.0\.1:8080\S*(?: (?:[^'\n]*'[^']*')*)?[^'\n]*)$", text, re.M):
                    words = shlex.split(command.replace("http://127.0.0.1:8080", server.url).split(" # ")[0])
                    done = subprocess.run([words[0], "-sS", "--fail-with-body", *words[1:]], capture_output=True, text=True, timeout=60)
                    shown = text.split(command, 1)[1].lstrip("\n").split("\n", 1)[0]
                    refused = shown.startswith('{"error"')
                    self.assertEqual(done.returncode != 0, refused, f"{page.name}: {command}: {done.stdout}{done.stderr}")
                    json.loads(done.stdout)
                    asked += 1
        self.assertGreaterEqual(asked, 5)


if __name__ == "__main__":
    unittest.main()
