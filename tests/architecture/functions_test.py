#!/usr/bin/env python3
"""No function of src/ and include/ has more than some seventy lines: what is longer does more than one thing, and is divided."""
import sys
import unittest

import sources

MOST_LINES = 70


def long_functions(files):
    """A line for each function of `files` (path -> text) that has too many lines."""
    return [f"{path}:{f.line}: {f.name} has {f.lines} lines, more than {MOST_LINES}: divide it by what its parts do"
            for path, text in files.items() for f in sources.functions(text)
            if f.lines > MOST_LINES]


class FunctionsTest(unittest.TestCase):
    def test_functions_have_at_most_seventy_lines(self):
        files = {str(p): (sources.ROOT / p).read_text() for p in sources.cpp_files("src", "include")
                 if not p.name.endswith("_test.cc")}
        self.assertGreater(sum(len(sources.functions(text)) for text in files.values()), 3000)
        found = long_functions(files)
        self.assertEqual([], found, "\n\n" + "\n".join(found))

    def test_the_check_sees_what_it_looks_for(self):
        lines = "  x = {1, 2};\n  if (x) { y(); }\n" * 35
        files = {"a.cc": "namespace a {\nint B::c(int d) {\n" + lines + "}\nint e() {\n" + lines[: lines.rindex("  x")] + "}\n}",
                 "b.h": "struct A {\n public:\n  A() : b_(1) {\n" + lines + "  }\n  int b_;\n" + "  void f() { g(); }\n" * 80 + "};",
                 "c.cu": "template <class T>\n__global__ void __launch_bounds__(f(1)) k(T x) {\n" + lines + "}\n// {\nint big[] = {\n" + "  f(1),\n" * 80 + "};",
                 "d.cc": "const auto table = {\n    {1, [](int a) {\n" + lines + "  }},\n};"}
        self.assertEqual(["a.cc:2: B::c has 72", "b.h:3: A has 72", "c.cu:1: k has 73", "d.cc:2: a lambda has 72"],
                         [line.split(" lines")[0] for line in long_functions(files)])


if __name__ == "__main__":
    sys.exit(unittest.main())
