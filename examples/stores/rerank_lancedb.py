"""LanceDB: a Reranker over rerankd, for hybrid, vector and full-text search.

    pip install lancedb && python3 rerank_lancedb.py http://127.0.0.1:8080
"""
import json
import sys
import tempfile
import urllib.request

import lancedb
import pyarrow
from lancedb.rerankers import Reranker

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"


class Rerankd(Reranker):
    def __init__(self, url, column="text"):
        super().__init__(return_score="relevance")
        self.url, self.column = url, column

    def _ordered(self, query, table):
        if not len(table):
            return table.append_column("_relevance_score", pyarrow.array([], pyarrow.float32()))
        body = {"query": query, "texts": table[self.column].to_pylist()}
        request = urllib.request.Request(self.url + "/rerank", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            rows = json.load(answer)
        table = table.take([row["index"] for row in rows])
        return table.append_column("_relevance_score", pyarrow.array([row["score"] for row in rows], pyarrow.float32()))

    def rerank_hybrid(self, query, vector_results, fts_results):
        return self._ordered(query, self.merge_results(vector_results, fts_results))

    def rerank_vector(self, query, vector_results):
        return self._ordered(query, vector_results)

    def rerank_fts(self, query, fts_results):
        return self._ordered(query, fts_results)


with tempfile.TemporaryDirectory() as folder:
    texts = ["Paris is in France.", "Pandas eat bamboo.", "Rain falls from clouds."]
    table = lancedb.connect(folder).create_table("notes", [{"text": text, "vector": [float(i), 1.0]} for i, text in enumerate(texts)])
    for row in table.search([0.0, 1.0]).rerank(Rerankd(URL), query_string="what do pandas eat?").limit(3).to_list():
        print(f"{row['_relevance_score']:.3f} {row['text']}")
