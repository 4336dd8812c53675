"""A column of scores for an Arrow table or record batch."""
from __future__ import annotations

from typing import Any

import pyarrow


def with_scores(table: Any, scorer: Any, query: str, document: str, output: str) -> Any:
    """The table and a last column `output`. ValueError that names a column which is missing, or there already."""
    names = table.schema.names
    for name in (query, document):
        if name not in names:
            raise ValueError(f"no column {name!r}; there are {', '.join(map(repr, names))}")
    if output in names:
        raise ValueError(f"there is a column {output!r} already: name another output")
    try:
        scores = scorer.score(table.column(query), table.column(document))
    except ValueError as error:
        raise ValueError(f"columns {query!r} and {document!r}: {error}") from None
    return table.append_column(pyarrow.field(output, pyarrow.float32()), scores)
