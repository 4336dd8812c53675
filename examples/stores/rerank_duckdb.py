"""DuckDB: `rerank(query, text)` as a vectorised function, a request for each chunk of 2,048 rows.

    pip install duckdb pyarrow && python3 rerank_duckdb.py http://127.0.0.1:8080
"""
import json
import sys
import urllib.request

import duckdb
import pyarrow

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"


def rerank(queries, texts):
    body = {"inputs": [[query, text] for query, text in zip(queries.to_pylist(), texts.to_pylist())]}
    request = urllib.request.Request(URL + "/predict", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return pyarrow.array([row[0]["score"] for row in json.load(answer)], pyarrow.float32())


db = duckdb.connect()
db.create_function("rerank", rerank, ["VARCHAR", "VARCHAR"], "FLOAT", type="arrow")
db.execute("CREATE TABLE notes AS SELECT unnest(['Paris is in France.', 'Pandas eat bamboo.', 'Rain falls from clouds.']) AS body")
for body, score in db.execute("SELECT body, rerank('what do pandas eat?', body) AS score FROM notes ORDER BY score DESC LIMIT 2").fetchall():
    print(f"{score:.3f} {body}")
