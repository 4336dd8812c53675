"""What the checks of this folder know about C++: which files there are, what they include, which types and functions they define."""
import re
import subprocess
from collections import namedtuple
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUFFIXES = {".cc", ".h", ".cu", ".cuh"}

TypeDefinition = namedtuple("TypeDefinition", "name line")  # name: with its namespaces and enclosing types
Function = namedtuple("Function", "name line lines")  # lines: from its head, or its template's, to its closing brace
Include = namedtuple("Include", "path line")

_NOT_CODE = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<end>[^()\\\s]{0,16})\(.*?\)(?P=end)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
    re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z_]\w*|::|[{}();<>=:,\[\]]|\S")
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


def cpp_files(*folders):
    """Paths, relative to the checkout, of the C++ and CUDA sources in the folders."""
    found = []
    for folder in folders:
        found += [p.relative_to(ROOT) for p in (ROOT / folder).rglob("*") if p.suffix in SUFFIXES and p.is_file()]
    return sorted(found)


def without_comments(text):
    """The text with comments, strings and characters blanked, line by line as before."""
    return _NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def includes(text):
    """The quoted includes of a source."""
    code = re.sub(r"//[^\n]*|/\*.*?\*/", lambda match: re.sub(r"[^\n]", " ", match.group()), text, flags=re.DOTALL)
    return [Include(m.group(1), code.count("\n", 0, m.start()) + 1) for m in _INCLUDE.finditer(code)]


def type_definitions(text):
    """Classes, structs, unions and enums that a source defines in named namespaces, or inside a type of one.

    Types of functions and of anonymous namespaces belong to one file, and specialisations to their template: neither is
    listed.
    """
    code, tokens = _tokens(text)
    found = []
    scopes = []  # a name for a namespace or type, None for what hides its content
    statement = []  # tokens since the last `;`, `{` or `}`
    for token, offset in tokens:
        if token == "{":
            kind, name = _scope(statement)
            if kind == "type" and name and None not in scopes:
                found.append(TypeDefinition("::".join(filter(None, [*scopes, name])), code.count("\n", 0, offset) + 1))
            scopes.append(name)
            statement = []
        elif token == "}":
            if scopes:
                scopes.pop()
            statement = []
        elif token == ";":
            statement = []
        else:
            statement.append(token)
    return found


def functions(text):
    """Functions that a source defines, and lambdas outside of them. What is inside a function is part of it."""
    code, tokens = _tokens(text)
    found, depth = [], 0
    head = None  # (name, offset, depth) of the function that is open
    statement = []  # tokens since the last `;`, `{` or `}`, with their offsets
    for token, offset in tokens:
        if token == "{":
            depth += 1
            words = [word for word, _ in statement]
            if head is None and _scope(words)[0] == "other" and "(" in words and words[-1] not in ("=", ",", "(", "return"):
                head = _name(words), statement[0][1], depth
        elif token == "}":
            if head and head[2] == depth:
                first, last = (code.count("\n", 0, at) + 1 for at in (head[1], offset))
                found.append(Function(head[0], first, last - first + 1))
                head = None
            depth -= 1
        if token in "{};":
            statement = []
        else:
            statement.append((token, offset))
        if [word for word, _ in statement] in (["public", ":"], ["private", ":"], ["protected", ":"]):
            statement = []
    return found


def _name(words):
    """The name of the function whose head these tokens are."""
    words, depth, end = _without_templates(words), 0, 0
    for end, word in enumerate(words):  # to the parameters
        if word == "(" and depth == 0 and words[end - 1] not in ("__launch_bounds__", "__attribute__"):
            break
        depth += (word == "(") - (word == ")")
    begin = end
    while begin > 0 and (words[begin - 1] == "::" or (words[begin - 1].isidentifier() and (begin == end or words[begin] == "::"))):
        begin -= 1
    return "".join(words[begin:end]) or "a lambda"


def _tokens(text):
    """The text without comments, strings and what the preprocessor reads, and (token, offset) of all the rest."""
    code = without_comments(text)
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group()), code, flags=re.MULTILINE)
    return code, [(m.group(), m.start()) for m in _TOKEN.finditer(code)]


def _scope(statement):
    """What a `{` after these tokens opens: ("namespace" | "type", name), or ("other", None)."""
    tokens = _without_templates(statement)
    while tokens[:1] in (["public"], ["private"], ["protected"]) and tokens[1:2] == [":"]:
        tokens = tokens[2:]
    while tokens and tokens[0] in ("inline", "typedef", "static", "const", "constexpr"):
        tokens = tokens[1:]
    if tokens[:1] == ["namespace"]:
        return "namespace", "".join(tokens[1:]) or None
    if tokens == ["extern"]:  # of "C", which is a string and was blanked
        return "namespace", ""
    if tokens[:1] not in (["class"], ["struct"], ["union"], ["enum"]):
        return "other", None
    head = tokens[1:]
    if tokens[0] == "enum" and head[:1] in (["class"], ["struct"]):
        head = head[1:]
    for stop in (":", "final"):  # bases, or the type that an enum is stored as
        if stop in head:
            head = head[: head.index(stop)]
    head = _without_attributes(head)
    if "(" in head or "=" in head or "<" in head:  # a function that returns one, a variable, a specialisation
        return "other", None
    return "type", "".join(head) or None


def _without_templates(tokens):
    """The tokens without leading `template <...>` and `requires ...` clauses."""
    while tokens[:1] == ["template"]:
        depth = 0
        for i, token in enumerate(tokens[1:], 1):
            depth += (token == "<") - (token == ">")
            if depth == 0:
                tokens = tokens[i + 1 :]
                break
        else:
            return tokens
    if tokens[:1] == ["requires"]:
        for i, token in enumerate(tokens):
            if token in ("class", "struct"):
                return tokens[i:]
    return tokens


def _without_attributes(tokens):
    """The tokens without `alignas(...)` and `[[...]]`."""
    kept, depth, skip_call = [], 0, False
    for token in tokens:
        if token == "alignas":
            skip_call = True
        elif token in "([":
            depth += 1
            if not skip_call and token == "(":
                kept.append(token)
                depth -= 1
        elif token in ")]" and depth:
            depth -= 1
            skip_call = skip_call and depth > 0
        elif not depth:
            kept.append(token)
    return kept
