#!/usr/bin/env python3
"""No type is defined twice in one namespace.

Two classes of one name in one namespace are one class to the linker, which keeps the functions of either: the program then
works or crashes by the order of its objects. Types that only one .cc file needs belong into an anonymous namespace.
"""
import sys
import unittest
from collections import defaultdict

import sources

# What a plugin's C interface hands out as an opaque pointer: each library behind the interface defines it, and no two are linked.
OPAQUE = {"RerankdTorchModule"}


def defined_twice(files):
    """Lines that name each type which more than one of `files` (path -> text) defines."""
    places = defaultdict(dict)
    for path, text in files.items():
        for found in sources.type_definitions(text):
            places[found.name].setdefault(path, found.line)
    return [f"{name} is defined in " + " and in ".join(f"{path}:{line}" for path, line in sorted(where.items()))
            for name, where in sorted(places.items()) if len(where) > 1 and name not in OPAQUE]


class TypesTest(unittest.TestCase):
    def test_no_type_is_defined_twice_in_one_namespace(self):
        # A file in absent/ takes the place of its neighbour: no two are linked.
        files = {str(p): (sources.ROOT / p).read_text() for p in sources.cpp_files("include", "src", "bench", "tests", "tools")
                 if p.parent.name != "absent"}
        self.assertGreater(len(files), 400)
        self.assertEqual([], defined_twice(files), "rename one, or put it into an anonymous namespace")

    def test_the_check_sees_what_it_looks_for(self):
        twice = defined_twice({
            "a.h": "namespace rerank {\nstruct A { int x; };\nclass B;\nenum class C : int { kX };\nnamespace text { class D {}; }\n}",
            "b.cc": "namespace rerank {\nnamespace { struct A {}; }\nvoid f() { struct A {}; }\nstruct C final : X { };\n"
                    "template <typename T>\nclass D { };\n// struct A {\n}",
            "c.cc": "namespace rerank::text {\nclass alignas(64) D : public B<int> {\n struct Inner {}; };\nusing A = int;\n}",
            "d.cc": "template <> struct std::hash<D> {};\nstruct Inner {};\nstruct A make() { return {}; }"})
        self.assertEqual(["rerank::C is defined in a.h:4 and in b.cc:4", "rerank::text::D is defined in a.h:5 and in c.cc:2"],
                         twice)


if __name__ == "__main__":
    sys.exit(unittest.main())
