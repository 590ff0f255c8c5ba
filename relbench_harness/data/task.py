"""A predictive task as its RelBench manifest declares it, with every field checked and given one meaning for all kinds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from relbench_harness.data.database import Database
from relbench_harness.data.manifest_file import read_manifest
from relbench_harness.errors import InputError, nearest

if TYPE_CHECKING:
    from relbench.manifest import TaskManifest


class TaskType(StrEnum):
    """What is predicted (RelBench's names)."""

    REGRESSION = "regression"
    BINARY = "binary_classification"
    MULTICLASS = "multiclass_classification"
    MULTILABEL = "multilabel_classification"
    RECOMMENDATION = "recommendation"


class Kind(StrEnum):
    """How labels come about (RelBench's names): SQL over a time window, a column of the entity's table, or as hosted."""

    FORECAST = "forecast"
    AUTOCOMPLETE = "autocomplete"
    EXTERNAL = "external"


NO_DELAY = pd.Timedelta(0)


@dataclass(frozen=True)
class Task:
    """One task of one dataset.

    Attributes:
        entity_table, entity_col: Whom the examples are about; a recommendation's source entity.
        target: The label column.
        time_col: The column of a label table that holds each example's time.
        horizon: Δ: a label comes from the window (t, t + Δ]. One second for autocomplete tasks, as in RelBench.
        item_table: The table whose rows are recommended, else None.
        eval_k: How many items a recommendation names, else None.
        remove_columns: (table, column) pairs that no method may see, an autocomplete task's target among them.
        label_delay: How long after its window a label is known. What learns at a cut-off, and what it is shown of past labels, holds only those
            labels whose window and delay lie before it.
        query: The predictive query that the task was written from, if any.
        folder: Where the manifest and hosted labels lie, if on disk.
    """

    dataset: str
    name: str
    kind: Kind
    type: TaskType
    entity_table: str
    entity_col: str
    target: str
    time_col: str
    horizon: pd.Timedelta
    item_table: str | None = None
    item_col: str | None = None
    eval_k: int | None = None
    num_eval_timestamps: int = 1
    remove_columns: tuple[tuple[str, str], ...] = ()
    sql: str | None = None
    evaluator: str | None = None
    description: str = ""
    query: str | None = None
    folder: Path | None = None
    label_delay: pd.Timedelta = NO_DELAY

    @property
    def id(self) -> str:
        """`dataset/task`, as the shell and result lines name it."""
        return f"{self.dataset}/{self.name}"

    @property
    def own_row_visible(self) -> bool:
        """Whether an example's own row, and the parents it names, are visible at its time (autocomplete)."""
        return self.kind is Kind.AUTOCOMPLETE

    @property
    def known_after(self) -> int:
        """Nanoseconds from an example's time t until its label is known: at a cut-off c if t + known_after < c."""
        return int(self.horizon.value + self.label_delay.value)

    def visible_columns(self, database: Database) -> Database:
        """The database without the columns that no method may see."""
        return database.without(self.remove_columns)


def read_task(path: Path, dataset: str, database_specs: dict[str, tuple[str | None, str | None]]) -> Task:
    """The task of the manifest at `path`.

    Args:
        path: A task's `manifest.yaml`.
        dataset: The name of the dataset it belongs to.
        database_specs: Table → (primary key, time column) of the dataset.
    """
    if not path.is_file():
        raise InputError(f"no task manifest {path}")
    raw = read_manifest(path, "task manifest")
    try:
        from relbench.manifest import TaskManifest

        manifest = TaskManifest.from_dict(raw)
    except (TypeError, AttributeError) as error:
        raise InputError(f"task manifest {path} cannot be read: {_one_line(error)}") from None
    try:
        manifest.validate()
        query = raw.get("query")
        task = _task(manifest, dataset, database_specs, path.parent)
        return replace(task, query=None if query is None else str(query), label_delay=_delay(raw.get("label_delay")))
    except ValueError as error:
        raise InputError(f"task manifest {path}: {_one_line(error)}") from None


def _task(manifest: TaskManifest, dataset: str, specs: dict[str, tuple[str | None, str | None]], folder: Path) -> Task:
    kind, type_ = Kind(manifest.kind), TaskType(manifest.task_type)
    recommends = type_ is TaskType.RECOMMENDATION
    entity_table = manifest.src_entity_table if recommends else manifest.entity_table
    entity_col = manifest.src_entity_col if recommends else manifest.entity_col
    assert entity_table is not None  # TaskManifest.validate
    for table in filter(None, (entity_table, manifest.dst_entity_table)):
        if table not in specs:
            raise ValueError(f"unknown table {table!r}; {nearest(table, specs)}")
    key, time = specs[entity_table]
    removed = tuple(_pair(entry) for entry in manifest.remove_columns)
    time_col, target = manifest.time_col, manifest.target_col or manifest.dst_entity_col
    if kind is Kind.AUTOCOMPLETE:
        if time is None:
            raise ValueError(f"an autocomplete task needs a time column on its entity table {entity_table!r}")
        entity_col, time_col = key or "primary_key", time
        removed = (*removed, (entity_table, str(target)))
        horizon = pd.Timedelta(seconds=1)
    elif manifest.timedelta is None:
        horizon = pd.Timedelta(days=1)
    else:
        horizon = pd.Timedelta(manifest.timedelta)
        if horizon <= pd.Timedelta(0):
            raise ValueError(f"timedelta must be positive, got {manifest.timedelta!r}")
    if manifest.num_eval_timestamps < 1:
        raise ValueError(f"num_eval_timestamps must be at least 1, got {manifest.num_eval_timestamps}")
    if recommends and manifest.num_eval_timestamps != 1:
        raise ValueError("a recommendation task has num_eval_timestamps 1, as in RelBench")
    if recommends and manifest.eval_k is not None and manifest.eval_k < 1:
        raise ValueError(f"eval_k must be at least 1, got {manifest.eval_k}")
    return Task(
        dataset=dataset,
        name=manifest.name,
        kind=kind,
        type=type_,
        entity_table=entity_table,
        entity_col=str(entity_col),
        target=str(target if not recommends else manifest.dst_entity_col),
        time_col=str(time_col),
        horizon=horizon,
        item_table=manifest.dst_entity_table if recommends else None,
        item_col=manifest.dst_entity_col if recommends else None,
        eval_k=manifest.eval_k,
        num_eval_timestamps=manifest.num_eval_timestamps,
        remove_columns=removed,
        sql=manifest.sql,
        evaluator=manifest.evaluator,
        description=manifest.description or "",
        folder=folder,
    )


def _delay(given: object) -> pd.Timedelta:
    """The key `label_delay`, which is no field of RelBench's manifests."""
    try:
        found = NO_DELAY if given is None else pd.Timedelta(str(given))
    except ValueError:
        found = -pd.Timedelta(1)
    if pd.isna(found) or found < NO_DELAY:
        raise ValueError(f"label_delay is a span of time, such as '30 days', got {given!r}")
    return found


def _pair(entry: object) -> tuple[str, str]:
    if not isinstance(entry, list | tuple) or len(entry) != 2:
        raise ValueError(f"remove_columns holds [table, column] pairs, got {entry!r}")
    return str(entry[0]), str(entry[1])


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
