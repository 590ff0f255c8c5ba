"""A dataset in figures, as RelBench publishes them: rows, columns, time span, splits, entities, overlap, base rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from relbench_harness.authoring.label_checks import Tables
from relbench_harness.authoring.label_sql import interval
from relbench_harness.authoring.split_summary import base_rate, shifts
from relbench_harness.data.database import Database
from relbench_harness.data.task import Task


@dataclass(frozen=True)
class TableSummary:
    name: str
    rows: int
    columns: int
    first: str
    last: str


@dataclass(frozen=True)
class TaskSummary:
    """A task: rows per split, unique entities over all splits, the share of test entities seen in training, base rates,
    and a sentence for each split whose labels lie elsewhere than those of training."""

    name: str
    type: str
    kind: str
    horizon: str
    rows: Mapping[str, int]
    entities: int
    overlap: float
    rates: Mapping[str, str]
    shifts: tuple[str, ...] = ()


def table_summaries(database: Database) -> list[TableSummary]:
    """Every table in figures."""
    found = []
    for name, table in database.items():
        timed = table.times is not None and len(table)
        first = str(pd.Timestamp(int(table.times[0]))) if timed and table.times is not None else "–"
        last = str(pd.Timestamp(int(table.times[-1]))) if timed and table.times is not None else "–"
        found.append(TableSummary(name, len(table), table.rows.num_columns, first, last))
    return found


def task_summary(task: Task, tables: Tables) -> TaskSummary:
    """A task in figures."""
    train, test = np.unique(tables["train"].entity), np.unique(tables["test"].entity)
    return TaskSummary(
        name=task.name,
        type=str(task.type),
        kind=str(task.kind),
        horizon="own row" if task.own_row_visible else interval(task.horizon),
        rows={split: len(labels) for split, labels in tables.items()},
        entities=len(np.unique(np.concatenate([labels.entity for labels in tables.values()]))),
        overlap=float(np.isin(test, train).mean()) if len(test) else float("nan"),
        rates={split: base_rate(task, labels) for split, labels in tables.items()},
        shifts=tuple(shifts(task, tables)),
    )
