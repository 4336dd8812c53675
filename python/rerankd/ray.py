"""Scores of a Ray data set: `rerankd.ray.score(ds, model="/models/bge")` adds a column."""
from __future__ import annotations

from typing import Any

from .arrow import Scorer
from .tables import with_scores


class _Worker:
    """An actor of Ray: one engine, opened once."""

    def __init__(self, settings: dict[str, Any], columns: tuple[str, str, str]) -> None:
        self.scorer, self.columns = Scorer(**settings), columns

    def __call__(self, table: Any) -> Any:
        return with_scores(table, self.scorer, *self.columns)


def score(dataset: Any, query: str = "query", document: str = "document", output: str = "score", *, cpus_per_worker: int = 2,
          gpus_per_worker: float = 0, workers: tuple[int, int] = (1, 8), batch_size: int = 4096, **settings: Any) -> Any:
    """The data set with a column `output` (float32). Settings are Scorer's: model=, precision=, or url= of servers.

    workers: how many there are at least and at most. cpus_per_worker: cores of a worker's engine. A worker that dies is replaced and its batch computed again, with the same scores; Ray
    writes each row once.
    """
    import ray.data

    if "url" not in settings:
        settings.setdefault("threads", cpus_per_worker)
    return dataset.map_batches(_Worker, fn_constructor_args=(settings, (query, document, output)), batch_format="pyarrow",
                               batch_size=batch_size, num_cpus=cpus_per_worker, num_gpus=gpus_per_worker or None,
                               compute=ray.data.ActorPoolStrategy(min_size=workers[0], max_size=workers[1]), max_restarts=-1,
                               max_task_retries=-1)
