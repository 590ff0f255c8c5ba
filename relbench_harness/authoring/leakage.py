"""Leakage lint: ways in which a database tells a method what it could not have known. Each finding carries its number.

Thresholds stand here as constants; what each number means is in docs/dataset-check.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from numpy.typing import NDArray

from relbench_harness.authoring.findings import Finding
from relbench_harness.authoring.label_checks import Tables
from relbench_harness.data.database import Database
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.labels import LabelTable, sql_labels, through
from relbench_harness.data.table import Table, nanoseconds
from relbench_harness.data.task import Task, TaskType

GIVEAWAY = 0.95
"""AUROC above which a single column gives the label away."""
FEWEST = 20
"""Fewer entities or rows than this decide nothing."""
GROWN = 0.01
"""Share of a static table's rows that come to be after the validation cut from which it is said to grow."""
IDLE = pd.Timedelta(days=365)
"""An entity without a row for so long would not be asked about if nobody knew its future."""

# -- of the database ------------------------------------------------------------------------------------------------------


def database_leaks(database: Database, val: pd.Timestamp) -> Iterator[Finding]:
    """Child rows older than their parents, and static tables that grow."""
    for table in database.values():
        for column, parent in table.references.items():
            yield from _older(table, column, database[parent])
    for table in database.values():
        if table.times is None and len(table) >= FEWEST:
            yield from _growing(table, database, nanoseconds(val))


def _older(table: Table, column: str, parent: Table) -> Iterator[Finding]:
    if table.times is None or parent.times is None:
        return
    rows = table.parents(column)
    known = rows >= 0
    older = int((table.times[known] < parent.times[rows[known]]).sum())
    if older:
        share = older / int(known.sum())
        what = (
            f"{older:,} of {int(known.sum()):,} rows ({share:.2%}) are older than the row of {parent.name!r} they belong to"
        )
        yield Finding("older-child", f"{table.name}.{column}", what, share)


def _growing(table: Table, database: Database, val: int) -> Iterator[Finding]:
    """By the times of its parents, else by when other rows first mention its rows."""
    for column, parent in table.references.items():
        times = database[parent].times
        if times is None or not len(times):
            continue
        rows = table.parents(column)
        share = float((times[rows[rows >= 0]] >= val).mean()) if (rows >= 0).any() else 0.0
        if share >= GROWN:
            what = f"it has no time, yet {share:.1%} of its rows belong to rows of {parent!r} after the validation cut"
            yield Finding("growing", table.name, f"{what}, and every example sees them before they are there", share)
            return
    first = first_mention(table.name, database)
    mentioned = first < np.iinfo(np.int64).max
    if mentioned.sum() < FEWEST:
        return
    share = float((first[mentioned] >= val).mean())
    if share >= GROWN:
        what = f"it has no time, yet {share:.1%} of its rows are first mentioned after the validation cut"
        yield Finding("growing", table.name, f"{what}, and every example sees them before they are there", share)


def first_mention(name: str, database: Database, tables: frozenset[str] | None = None) -> NDArray[np.int64]:
    """(rows,) nanoseconds at which another table first names each row of `name`; the largest integer where none does."""
    first = np.full(len(database[name]), np.iinfo(np.int64).max)
    for other in database.values():
        if other.times is None or (tables is not None and other.name not in tables):
            continue
        for column, parent in other.references.items():
            if parent == name:
                rows = other.parents(column)
                np.minimum.at(first, rows[rows >= 0], other.times[rows >= 0])
    return first


# -- of a task ------------------------------------------------------------------------------------------------------------


def task_leaks(dataset: Dataset, task: Task, tables: Tables) -> Iterator[Finding]:
    """Columns that give the label away, columns written after the fact, questions that the future asks."""
    table = task.visible_columns(dataset.database)[task.entity_table]
    yield from giveaways(task, table, tables["train"])
    if not task.own_row_visible:
        yield from written_afterwards(task, table, tables)
        if task.sql is not None:
            yield from future_members(dataset, task, tables["test"])


def giveaways(task: Task, table: Table, labels: LabelTable) -> Iterator[Finding]:
    """Columns, their missingness, and the row number, whose AUROC for the training labels exceeds `GIVEAWAY`."""
    for name, positive in _binary(task, labels):
        if not FEWEST <= positive.sum() <= len(positive) - FEWEST:
            continue
        for column, value in column_scores(table, labels.entity, positive):
            if value > GIVEAWAY:
                yield Finding("giveaway", f"{task.name} {column}", f"it alone tells {name} with AUROC {value:.3f}", value)


def column_scores(table: Table, rows: NDArray[np.int64], positive: NDArray[np.bool_]) -> Iterator[tuple[str, float]]:
    """How well each column alone, whether it is missing, and the row number tell `positive`, as AUROC of at least 0.5.

    Args:
        rows: (n,) the row of `table` that each example is about.
        positive: (n,) the yes-or-no label of each.
    """
    candidates: dict[str, NDArray[np.float64]] = {"row number": rows.astype(np.float64)}
    for column in table.attributes:
        values = table.rows.column(column).take(pa.array(rows))
        if values.null_count:
            candidates[f"whether {table.name}.{column} is missing"] = np.asarray(pc.is_null(values)).astype(np.float64)
        score = _scored(values, positive, rows)
        if score is not None:
            candidates[f"{table.name}.{column}"] = score
    for column, score in candidates.items():
        area = auroc(score, positive)
        yield column, max(area, 1 - area)


def _binary(task: Task, labels: LabelTable) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yes-or-no questions that stand for the label."""
    if task.type is TaskType.BINARY:
        yield "the label", np.asarray(labels.target.cast(pa.float64(), safe=False)) > 0.5
    elif task.type is TaskType.REGRESSION:
        values = np.asarray(labels.target.cast(pa.float64(), safe=False))
        yield "labels above the median", values > np.median(values)
    elif task.type is TaskType.MULTICLASS:
        counts = labels.target.value_counts()
        common = sorted(counts.to_pylist(), key=lambda entry: -entry["counts"])[:3]
        for entry in common:
            if entry["values"] is not None:
                yield (
                    f"class {entry['values']!r}",
                    np.asarray(pc.fill_null(pc.equal(labels.target, entry["values"]), False)),
                )


def _scored(values: pa.ChunkedArray, positive: NDArray[np.bool_], entity: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """A number per row that a model would read off the column: itself, or the rate of its category in other entities."""
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
    elif pa.types.is_timestamp(kind):
        numbers = pc.fill_null(values.cast(pa.int64()), np.iinfo(np.int64).min).to_numpy().astype(np.float64)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return _category_rates(values, positive, entity)
    else:
        return None
    lowest = float(np.nanmin(numbers)) - 1 if np.isfinite(numbers).any() else 0.0
    return np.where(np.isnan(numbers), lowest, numbers)


def _category_rates(values: pa.ChunkedArray, positive: NDArray[np.bool_], entity: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each row's category by its rate among the other half of the entities, so that no entity's own label is read."""
    codes = pd.factorize(values.to_pandas())[0] + 1
    half = entity % 2 == 0
    rates = np.empty(len(codes))
    for mine in (half, ~half):
        counts = np.bincount(codes[~mine], minlength=codes.max() + 1)
        hits = np.bincount(codes[~mine], weights=positive[~mine], minlength=codes.max() + 1)
        overall = positive[~mine].mean() if (~mine).any() else 0.5
        rates[mine] = ((hits + overall) / (counts + 1))[codes[mine]]
    return rates


def auroc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """The chance that a positive scores above a negative, ties counting half."""
    ranks = pd.Series(score).rank().to_numpy()
    yes, no = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - yes * (yes + 1) / 2) / (yes * no))


def written_afterwards(task: Task, table: Table, tables: Tables) -> Iterator[Finding]:
    """Columns that have values for entities that are asked about and for no others."""
    labelled = np.zeros(len(table), dtype=np.bool_)
    for labels in tables.values():
        labelled[labels.entity] = True
    if min(labelled.sum(), (~labelled).sum()) < FEWEST:
        return
    for column in table.attributes:
        present = np.asarray(pc.is_valid(table.rows.column(column)))
        inside, outside = float(present[labelled].mean()), float(present[~labelled].mean())
        if inside >= 0.1 and outside <= 0.01:
            what = f"filled for {inside:.1%} of the entities that are asked about and {outside:.1%} of the others"
            yield Finding("afterwards", f"{task.name} {table.name}.{column}", what, inside)


def future_members(dataset: Dataset, task: Task, labels: LabelTable) -> Iterator[Finding]:
    """Test questions about entities idle for a year, which the SQL would not ask if it did not know their future."""
    sources = _label_tables(dataset, task)
    latest = last_mention(task.entity_table, dataset.database, labels, sources)
    idle = labels.time - latest > max(IDLE, task.horizon).value
    if not idle.any():
        return
    decided = 0
    for at in np.unique(labels.time[idle]):
        now = sql_labels(task, through(dataset.database, pd.Timestamp(int(at))), pd.DatetimeIndex([pd.Timestamp(int(at))]))
        mine = idle & (labels.time == at)
        decided += int((~np.isin(labels.entity[mine], now.entity)).sum())
    if decided:
        share = decided / len(labels)
        what = (
            f"{decided:,} of {len(labels):,} test questions ({share:.1%}) are about entities without a row in "
            f"{', '.join(sorted(sources))} for a year, seeds only because they have one later"
        )
        yield Finding("future-member", task.name, what, share)


def _label_tables(dataset: Dataset, task: Task) -> frozenset[str]:
    """The tables that the SQL names and that refer to the entity; all that refer to it where it names none."""
    refer = {n for n, t in dataset.database.items() if t.times is not None and task.entity_table in t.references.values()}
    try:
        named = {t.name for t in sqlglot.parse_one(task.sql or "", dialect="duckdb").find_all(sqlglot.exp.Table)}
    except sqlglot.errors.ParseError:
        named = set()
    return frozenset(refer & named or refer)


def last_mention(name: str, database: Database, labels: LabelTable, tables: frozenset[str]) -> NDArray[np.int64]:
    """(n,) when `tables` last named each question's entity before its time; the smallest integer where never."""
    latest = np.full(len(labels), np.iinfo(np.int64).min // 2)
    for table in tables:
        times = database[table].times
        assert times is not None  # only timed tables are seeds for
        for column, parent in database[table].references.items():
            if parent != name:
                continue
            rows = database[table].parents(column)
            kept = np.flatnonzero(rows >= 0)
            # sorted by entity, then time: the row before a question's place in it is the entity's last
            order = kept[np.lexsort((times[kept], rows[kept]))]
            latest = np.maximum(latest, _last_before(rows[order], times[order], labels))
    return latest


def _last_before(entity: NDArray[np.int64], time: NDArray[np.int64], labels: LabelTable) -> NDArray[np.int64]:
    merged = np.concatenate([labels.entity, entity]), np.concatenate([labels.time, time])
    is_event = np.concatenate([np.zeros(len(labels), np.int64), np.ones(len(entity), np.int64)])
    order = np.lexsort((is_event, merged[1], merged[0]))
    position = np.where(is_event[order] == 1, np.arange(len(order)), -1)
    latest = np.maximum.accumulate(position)
    result = np.full(len(labels), np.iinfo(np.int64).min // 2)
    seeds = np.flatnonzero(is_event[order] == 0)
    found = latest[seeds]
    same = (found >= 0) & (merged[0][order][np.maximum(found, 0)] == merged[0][order][seeds])
    result[order[seeds][same]] = merged[1][order][found[same]]
    return result
