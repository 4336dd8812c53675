"""Scores in DuckDB: `rerankd.duckdb.register(con)`, then SELECT rerank_score(query, document)."""
from __future__ import annotations

from typing import Any

from .arrow import Scorer


def register(connection: Any, name: str = "rerank_score", **settings: Any) -> Scorer:
    """Settings are Scorer's: model=, precision=, or url= of servers. The scorer can be closed when the connection is."""
    scorer = Scorer(**settings)
    connection.create_function(name, lambda queries, documents: scorer.score(queries, documents), ["VARCHAR", "VARCHAR"], "FLOAT", type="arrow")
    return scorer
