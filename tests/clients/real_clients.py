#!/usr/bin/env python3
"""Real packages from PyPI against the real program: one call of each client to a server without an API key, one to a server with
a key, and one with a wrong key, which must be an error to it.

    tests/clients/real_clients.py [--write] [--only PART] [-v]

RERANKD names the program (default build/release/rerankd). The environments are .venv-clients, -cohere5, -stores
and -airflow (requirements/); `make clients` makes them. --write writes docs/clients.md; without it the table there must be the one measured.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("RERANKD", str(SOURCE / "build/release/rerankd"))
sys.path[:0] = [str(SOURCE / "tests/support"), str(SOURCE / "tests/clients")]
from real_client import QUERY, TEXTS  # noqa: E402
from rerankd_server import Server  # noqa: E402

ENVIRONMENTS = {".venv-clients": "cases_main.py", ".venv-clients-cohere5": "cases_cohere5.py", ".venv-clients-stores": "cases_stores.py",
                ".venv-clients-airflow": "cases_airflow.py"}
PAGE = SOURCE / "docs/clients.md"
KEY = "key-of-the-real-clients"
MODEL = SOURCE / "models/rerankd-mini-en"

# client, why no package is driven, fixture file, what the names of its fixtures begin with
RECORDED = [
    ("RAGFlow", "an application; its code is not on PyPI", "ragflow.json", "RAGFlow"),
    ("Dify", "an application; its plugins are not on PyPI", "dify.json", "Dify"),
    ("Open WebUI", "an application with some 200 packages", "applications.json", "Open WebUI"),
    ("FastGPT", "an application in TypeScript", "applications.json", "FastGPT"),
    ("MaxKB", "an application; its code is not on PyPI", "applications.json", "MaxKB"),
    ("QAnything", "an application; its code is not on PyPI", "applications.json", "QAnything"),
    ("Continue", "an editor's extension in TypeScript", "applications.json", "Continue"),
    ("Cherry Studio", "an application in TypeScript", "applications.json", "Cherry Studio"),
    ("AI SDK, `@ai-sdk/cohere`", "from npm", "applications.json", "AI SDK"),
    ("LangChain.js `CohereRerank`", "from npm", "frameworks.json", "LangChain.js"),
    ("Mixedbread, JavaScript", "from npm", "applications.json", "@mixedbread/sdk"),
    ("SageMaker", "AWS's side of a container", "applications.json", "SageMaker"),
    ("Elasticsearch", "a server in Java; its inference services are read from its source (its client is driven, above)", "stores.json", "Elasticsearch"),
    ("OpenSearch", "a server in Java (its client is driven)", "stores.json", "OpenSearch"),
    ("Milvus", "a server in Go", "stores.json", "Milvus"),
    ("Weaviate", "a server in Go, which its client cannot start: what the modules' Go clients send is replayed", "stores.json", "Weaviate"),
    ("Cassandra Data API", "a server in Java", "stores.json", "Cassandra"),
    ("Oracle", "a database; from its documentation", "stores.json", "Oracle"),
    ("AlloyDB", "a database; from its documentation", "stores.json", "AlloyDB"),
    ("TiDB AutoFlow", "an application", "stores.json", "TiDB"),
    ("OceanBase", "a database; from its documentation", "stores.json", "OceanBase"),
    ("Redpanda Connect", "a program in Go", "stores.json", "Redpanda"),
    ("Hugging Face inference", "a service; its bodies are also sent to SageMaker's containers", "stores.json", "Hugging Face"),
    ("KServe v2", "a protocol with many clients", "stores.json", "KServe"),
    ("LangChain `JinaRerank`", "its URL is fixed to api.jina.ai; the request is RAGFlow's Jina provider's", "ragflow.json",
     "RAGFlow Jina"),
    ("LlamaIndex `JinaRerank`", "its URL is fixed to api.jina.ai; the request is RAGFlow's Jina provider's", "ragflow.json",
     "RAGFlow Jina"),
]


def measured(only, trace):
    with Server("--model", MODEL) as opened, Server("--model", MODEL, environment={"RERANKD_API_KEY": KEY}) as closed:
        asked = {"query": QUERY, "texts": TEXTS}
        scores = opened.post("/rerank", asked)
        logits = opened.post("/rerank", {**asked, "raw_scores": True})
        expected = {"order": [r["index"] for r in scores],
                    **{name: [r["score"] for r in sorted(answer, key=lambda r: r["index"])]
                       for name, answer in (("scores", scores), ("logits", logits))}}
        run = json.dumps({"open": opened.url, "closed": closed.url, "key": KEY, "expected": expected, "only": only})
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **({"REAL_CLIENTS_TRACE": "1"} if trace else {})}
        processes = [subprocess.Popen([SOURCE / name / "bin/python", SOURCE / "tests/clients" / cases, run], text=True,
                                      stdout=subprocess.PIPE, stderr=None if trace else subprocess.DEVNULL, env=environment)
                     for name, cases in ENVIRONMENTS.items()]
        rows = []
        for process in processes:
            output, _ = process.communicate(timeout=300)
            assert process.returncode == 0, f"{process.args[1]} ended with {process.returncode}; -v shows why"
            rows += [json.loads(line) for line in output.splitlines()]
        return rows


def failures(row):
    """What is wrong with a row: a client that can send a key must work with one, and one that can't must not."""
    if row["fails"]:
        if row["fails"][0] not in (row["open"] or ""):
            yield f"{row['name']} {row['version']}: is known to fail at {row['fails'][0]}, but: {row['open'] or 'works'}"
        return
    if row["open"]:
        yield f"{row['name']} {row['version']}: {row['open']}"
    if row["key"] and row["closed"]:
        yield f"{row['name']} {row['version']}, with a key: {row['closed']}"
    if not row["key"] and not row["closed"]:
        yield f"{row['name']} {row['version']}: answered though it sent no key"
    if not row["wrong_key"]:
        yield f"{row['name']} {row['version']}: answered though its key is wrong"


def shown(row):
    """Two cells: without and with a key."""
    if row["fails"] and row["open"]:
        return f"**does not work**: {row['fails'][1]}", "the same"
    cells = [f"**fails**: {row[server]}" if row[server] else "works" for server in ("open", "closed")]
    return cells if row["key"] else (cells[0], "can't send one")


def recorded_rows():
    for name, why, file, begin in RECORDED:
        fixtures = json.loads((SOURCE / "tests/clients/fixtures" / file).read_text())
        count = sum(f.get("client", "").startswith(begin) for f in fixtures)
        assert count, f"{file} has no fixture of {begin}"
        yield f"| {name} | {why} | [{file}](../tests/clients/fixtures/{file}): {count}, “{begin}…” |"


def page(rows):
    lines = ["# Clients", "",
             "Written by `tests/clients/real_clients.py --write`; do not edit. "
             "What to enter where: [integrations.md](integrations.md).", "",
             "## Driven", "",
             f"Packages from PyPI, unmodified, against `rerankd serve` with the built-in model: one call with {len(TEXTS)} documents to a",
             "server without a key and to one with a key. The order and every score must be the server's own, the fields named must be where",
             "the client looks for them, and a wrong key must be an error to it. `HOST:PORT` stands for the server's address.", "",
             "Elasticsearch, OpenSearch and Weaviate cannot be installed from PyPI: their clients talk to a stand-in of the store",
             "([stand_ins.py](../tests/clients/stand_ins.py)), which asks the server as the store's own code does.", "",
             "| client | package and version | base URL to enter | read by the user | result | with an API key |", "|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda r: (r["name"].lower(), r["version"])):
        result, with_key = shown(row)
        name = row["name"] + (" by a stand-in" if row["stand_in"] else "")
        lines.append(f"| {name} | `{row['package']}` {row['version']} | `http://HOST:PORT{row['base']}` | {row['reads']} "
                     f"| {result} | {with_key} |")
    lines += ["", "## Recorded", "",
              "Where no package can be driven, `client_test` replays the requests that the client sends and asserts the fields that it reads.", "",
              "| client | why | recorded requests |", "|---|---|---|", *recorded_rows(), ""]
    return "\n".join(lines)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--write", action="store_true", help="write docs/clients.md")
    arguments.add_argument("--only", default="", help="cases whose name has this; docs/clients.md is left alone")
    arguments.add_argument("-v", action="store_true", help="where a case fails, show all that was printed")
    options = arguments.parse_args()
    if missing := [name for name in ENVIRONMENTS if not (SOURCE / name / "bin/python").exists()]:
        print(f"skipped: no {', '.join(missing)}; `make clients` makes them")
        return 77
    rows = measured(options.only, options.v)
    wrong = [text for row in rows for text in failures(row)]
    print(f"{len(rows)} clients, {len(wrong)} failures", *wrong, sep="\n")
    if not options.only:
        text = page(rows)
        if options.write:
            PAGE.write_text(text)
        elif PAGE.read_text() != text:
            wrong.append("stale")
            print("docs/clients.md is not what was measured: run tests/clients/real_clients.py --write")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
