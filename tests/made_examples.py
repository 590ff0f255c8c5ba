"""Databases, tasks and examples in memory: the one way in which tests make them without a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from relbench.manifest import TableSpec

from relbench_harness.data.canonical import canonical
from relbench_harness.data.database import Database
from relbench_harness.data.task import Kind, Task, TaskType
from relbench_harness.protocol.method import Examples, Labels, Ragged

DAY = 86_400 * 10**9
"""Nanoseconds of a day."""


def made_task(
    entity_table: str, type_: TaskType = TaskType.REGRESSION, *, kind: Kind = Kind.FORECAST, days: int = 10, items: str = ""
) -> Task:
    """The task `made/task` about the rows of `entity_table`, over a window of `days`; `items` are what may be recommended."""
    recommends = type_ is TaskType.RECOMMENDATION
    return Task(
        dataset="made",
        name="task",
        kind=kind,
        type=type_,
        entity_table=entity_table,
        entity_col="id",
        target="target",
        time_col="time",
        horizon=pd.Timedelta(days=days),
        item_table=items if recommends else None,
        item_col="id" if recommends else None,
        eval_k=3 if recommends else None,
    )


def made_examples(
    task: Task,
    database: Database,
    seeds: tuple[NDArray[np.int64], NDArray[np.int64]],
    labels: Labels | None = None,
    fit_end: int | None = None,
) -> Examples:
    """Examples in regime `rolling` about `seeds`.

    Args:
        database: Held whole, rows later than every example included, so that a method that reads them is found out.
        seeds: (n,) row numbers of `task.entity_table` and (n,) nanoseconds.
        fit_end: The end of training in nanoseconds; the last example's time if None.
    """
    entity, time = seeds
    end = int(time.max()) if fit_end is None else fit_end
    return Examples(task, database, entity, time, time.copy(), labels, "rolling", end)


def examples_about(
    database: Database,
    table: str,
    rows: Sequence[int],
    days: Sequence[float],
    *,
    fit_day: int = 100_000,
    task: Task | None = None,
) -> Examples:
    """Unlabelled examples about `rows` of `table`, each at one of `days` (parts of days too) since 1970."""
    time = (np.asarray(days, np.float64) * DAY).astype(np.int64)
    seeds = np.asarray(rows, np.int64), time
    return made_examples(task or made_task(table, days=30), database, seeds, fit_end=fit_day * DAY)


def made_database(
    tables: Mapping[str, pa.Table], specs: Mapping[str, tuple[str | None, str | None, dict[str, str]]]
) -> Database:
    """The tables in canonical order; `specs` hold key, time column and foreign keys of each."""
    return canonical(tables, {name: TableSpec(*spec) for name, spec in specs.items()}, "made")


def every_pair(entities: int, days: Sequence[int], start: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each of `entities` rows on each of `days` after `start` (nanoseconds): (n,) rows and (n,) nanoseconds."""
    return np.tile(np.arange(entities), len(days)), np.repeat(start + np.asarray(days, np.int64) * DAY, entities)


def all_labels(examples: Examples, value: float) -> Examples:
    """The examples, each with the label `value`."""
    assert not isinstance(examples.labels, Ragged) and examples.labels is not None
    return replace(examples, labels=np.full_like(examples.labels, value))
