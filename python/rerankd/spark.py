"""Scores of a Spark data frame, by Arrow: `rerankd.spark.score(df, model="/models/bge")` adds a column."""
from __future__ import annotations

from typing import Any, Iterator

from .arrow import Scorer
from .tables import with_scores

_scorers: dict[str, Scorer] = {}  # of this Python worker, which Spark uses again for later tasks


def _scorer(settings: dict[str, Any]) -> Scorer:
    return _scorers.setdefault(repr(sorted(settings.items())), Scorer(**settings))


def _cores(session: Any, settings: dict[str, Any]) -> dict[str, Any]:
    if "url" in settings:
        return settings
    return {"threads": int(session.conf.get("spark.task.cpus", "1")), **settings}


def score(frame: Any, query: str = "query", document: str = "document", output: str = "score", **settings: Any) -> Any:
    """The data frame with a column `output` (float). Settings are Scorer's: model=, precision=, or url= of servers.

    The engine of a task has `spark.task.cpus` cores. A task that is lost is computed again with the same scores; Spark writes each
    row once.
    """
    from pyspark.sql.types import FloatType, StructField, StructType

    names = frame.columns
    for name in (query, document):
        if name not in names:
            raise ValueError(f"no column {name!r}; there are {', '.join(map(repr, names))}")
    if output in names:
        raise ValueError(f"there is a column {output!r} already: name another output")
    settings = _cores(frame.sparkSession, settings)

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        scorer = _scorer(settings)
        for batch in batches:
            yield with_scores(batch, scorer, query, document, output)

    return frame.mapInArrow(run, StructType([*frame.schema.fields, StructField(output, FloatType())]))


def register(session: Any, name: str = "rerank_score", **settings: Any) -> None:
    """A function for SQL: SELECT rerank_score(query, document)."""
    import pandas
    from pyspark.sql.functions import pandas_udf

    settings = _cores(session, settings)

    def run(queries, documents):
        return pandas.Series(_scorer(settings).score(queries.tolist(), documents.tolist()).to_numpy())

    # Spark reads the types themselves, not their names.
    run.__annotations__ = {"queries": pandas.Series, "documents": pandas.Series, "return": pandas.Series}
    session.udf.register(name, pandas_udf(run, "float"))
