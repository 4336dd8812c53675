#!/usr/bin/env python3
"""The rooms of src/ include what ARCHITECTURE.md's table allows, and nothing else.

Also: what is not public is in its room's namespace; engines do not include each other; what is linked into a library does not print, read the environment or exit; no folder
has more than some twenty files.
"""
import re
import sys
import unittest
from pathlib import Path

import sources

MOST_FILES = 20
CODE_FOLDERS = ["src", "include", "tests", "tools", "bench"]
DATA_FOLDERS = ["tests/data", "tests/clients/fixtures"]
SHARED_BY_ENGINES = {"depth", "devices", "padded"}  # folders of src/engine that are no engine

# `base` is everybody's; `capi` is C. What is public is defined in rank/open.cc.
WITHOUT_NAMESPACE = {"base", "capi"}
PUBLIC = {"src/rank/open.cc", "src/cli/main.cc"}
FOREIGN = {"src/engine/onnx/ort.h", "src/engine/torchscript/plugin.h", "src/engine/torchscript/plugin.cc"}  # C, or nothing of ours

# Plugins of XLA are told of nothing but by the environment.
ENVIRONMENT_OF_PLUGINS = "src/engine/pjrt/plugin_environment.cc"

# What only `cli` does.
PROGRAM_ONLY = re.compile(r"\b(?:secure_getenv|getenv|setenv|environ|cout|cerr|clog|printf|vprintf|puts|putchar|perror"
                          r"|exit|_exit|_Exit|quick_exit)\b(?=\s*(?:\(|<<|;))|\bfprintf\s*\(\s*std(?:out|err)")


def read_table(text):
    """{room: [what it may include]} from the table whose header says "may include"."""
    rows, inside = {}, False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[-1] == "may include":
            inside = True
        elif inside and not set(line) <= set("|- "):
            rows[cells[0].strip("`")] = expand(cells[-1])
    return rows


def expand(cell):
    """The entries of "base, engine/{batch,backend}.h", which are base, engine/batch.h and engine/backend.h."""
    entries = []
    for entry in re.split(r",\s*(?![^{]*})", cell):
        braces = re.search(r"\{([^}]*)\}", entry)
        names = [entry[: braces.start()] + name.strip() + entry[braces.end() :] for name in braces.group(1).split(",")] if braces else [entry]
        entries += [name.strip("` ") for name in names]
    return entries


def is_allowed(room, path, allowed):
    """Whether a source of `room` may include `path`. The public headers are everybody's."""
    target = path.split("/")[0]
    if target in (room, "rerank") or "all" in allowed.get(room, []):
        return True
    return any(path == entry or path.startswith(entry.rstrip("/") + "/") for entry in allowed.get(room, []))


def bad_includes(files, allowed):
    """A line for each include that the table does not allow; `files`: path -> text."""
    found = []
    for path, text in files.items():
        parts = Path(path).parts
        room = parts[1] if parts[0] == "src" else "include/rerank"
        is_test = path.endswith("_test.cc")
        if room not in allowed:
            found.append(f"{path}: ARCHITECTURE.md's table has no row for `{room}`")
        for include in sources.includes(text):
            target = include.path.split("/")[0]
            if target == "support" and is_test:
                continue
            if (target in allowed or target == "support") and not is_allowed(room, include.path, allowed):
                found.append(f"{path}:{include.line} includes {include.path}: `{room}` may include {', '.join(allowed.get(room, []))}")
            other = Path(include.path).parts
            if (room == "engine" and not is_test and len(parts) > 3 and len(other) > 2 and other[0] == "engine"
                    and other[1] not in SHARED_BY_ENGINES | {parts[2]}):
                found.append(f"{path}:{include.line} includes {include.path}: engines do not know each other; what they share lies in "
                             f"engine/ or in {' and '.join(f'engine/{f}' for f in sorted(SHARED_BY_ENGINES))}")
    return found


def bad_namespaces(files):
    """A line for each source of a room that is not in its room's namespace."""
    found = []
    for path, text in files.items():
        room = Path(path).parts[1]
        if path.startswith("src/") and room not in WITHOUT_NAMESPACE and path not in PUBLIC | FOREIGN and not re.search(rf"namespace rerank::{room}(?:::| {{)", text):
            found.append(f"{path} is not in namespace rerank::{room}")
    return found


def bad_calls(files):
    found = []
    for path, text in files.items():
        if path == ENVIRONMENT_OF_PLUGINS:
            continue
        for match in PROGRAM_ONLY.finditer(sources.without_comments(text)):
            found.append(f"{path}:{text.count(chr(10), 0, match.start()) + 1}: `{match.group()}`: only `cli` prints, reads the "
                         "environment or exits")
    return found


class BordersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.allowed = read_table((sources.ROOT / "ARCHITECTURE.md").read_text())
        cls.files = {str(p): (sources.ROOT / p).read_text() for p in sources.cpp_files("src", "include")}

    def assert_none(self, violations):
        self.assertEqual([], violations, "\n\n" + "\n".join(violations))

    def test_every_room_has_a_row_and_every_row_a_room(self):
        rooms = {p.name for p in (sources.ROOT / "src").iterdir() if p.is_dir()} | {"include/rerank"}
        self.assertEqual(rooms, set(self.allowed))

    def test_rows_name_what_there_is(self):
        for room, entries in self.allowed.items():
            for entry in entries:
                with self.subTest(room=room, entry=entry):
                    self.assertTrue(entry in ("all", "std", "absl", "public headers") or (sources.ROOT / "src" / entry).exists())

    def test_rooms_include_what_the_table_allows(self):
        self.assert_none(bad_includes(self.files, self.allowed))

    def test_rooms_have_namespaces(self):
        self.assert_none(bad_namespaces(self.files))

    def test_no_two_rooms_include_each_other(self):
        edges = {room: {entry.split("/")[0] for entry in entries} & set(self.allowed) for room, entries in self.allowed.items()}
        seen = {}

        def visit(room, way):
            self.assertNotIn(room, way, "a circle in ARCHITECTURE.md's table")
            if room not in seen:
                seen[room] = True
                for next_room in sorted(edges[room]):
                    visit(next_room, [*way, room])

        for room in edges:
            visit(room, [])

    def test_only_cli_prints_reads_the_environment_or_exits(self):
        self.assert_none(bad_calls({path: text for path, text in self.files.items()
                                    if not path.startswith("src/cli/") and not path.endswith("_test.cc")}))

    def test_folders_have_at_most_twenty_files(self):
        crowded = []
        for folder in CODE_FOLDERS:
            for path in [sources.ROOT / folder, *(p for p in (sources.ROOT / folder).rglob("*") if p.is_dir())]:
                name = str(path.relative_to(sources.ROOT))
                if path.name == "__pycache__" or any(name == data or name.startswith(data + "/") for data in DATA_FOLDERS):
                    continue
                files = sum(p.is_file() for p in path.iterdir())
                if files > MOST_FILES:
                    crowded.append(f"{name} has {files} files, more than {MOST_FILES}")
        self.assert_none(crowded)

    def test_the_checks_see_what_they_look_for(self):
        table = "| room | what | may include |\n|---|---|---|\n| `base` | x | public headers |\n| `text` | x | base, engine/{a,b}.h |\n" \
                "| `engine` | x | base |\n| `cli` | x | all |\n\n| other | table |\n"
        allowed = read_table(table)
        self.assertEqual({"base": ["public headers"], "text": ["base", "engine/a.h", "engine/b.h"], "engine": ["base"], "cli": ["all"]},
                         allowed)
        bad = bad_includes({"src/text/x.cc": '#include "base/x.h"\n#include "engine/b.h"\n#include "rerank/x.h"\n#include "absl/x.h"\n'
                                             '// #include "cli/x.h"\n#include "engine/c.h"\n#include "support/x.h"\n',
                            "src/text/x_test.cc": '#include "support/x.h"\n',
                            "src/engine/cpu/x.cc": '#include "engine/cuda/x.h"\n#include "engine/depth/x.h"\n#include "engine/x.h"\n',
                            "src/cli/x.cc": '#include "text/x.h"\n', "src/new/x.cc": ""}, allowed)
        self.assertEqual(["src/text/x.cc:6", "src/text/x.cc:7", "src/engine/cpu/x.cc:1", "src/new/x.cc:"],
                         [line.split(" ")[0] for line in bad])
        self.assertEqual(4, len(bad_calls({"x.cc": 'std::cout << 1;\nputs("a");\nsnprintf(a, 1, "cout << ");\ngetenv("A");\n'
                                                   'fprintf(stderr, "");\nfprintf(file, "");\n// exit(1)\nclose_and_exit(1);'})))


if __name__ == "__main__":
    sys.exit(unittest.main())
