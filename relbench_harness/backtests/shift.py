"""How far data and labels have moved since the first origin: population stability indices.

PSI = Σ (p − q) ln(p / q) over bins, q the shares of the rows before the first origin, p those of the rows of the step before an
origin. Below 0.1 is commonly called stable, above 0.25 a change. Invariant: columns are compared on rows older than the origin, so a shift
can be seen when a model is to be refreshed; labels of an origin's examples are known one window later. Cost is bounded by `SAMPLE` rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.labels import LabelTable, list_parts
from relbench_harness.data.stypes import Stype, plain, spread, stypes
from relbench_harness.data.table import Table
from relbench_harness.data.task import Task, TaskType
from relbench_harness.protocol.stages import Stages

SAMPLE = 20_000
"""Rows of a column that are looked at, evenly spread."""
BINS = 10
CATEGORIES = 20
"""The most frequent categories have a bin each, all others one together."""
STEPS_AWAY = 2
"""How many keys may lie between the table of the entities and a table that is looked at."""
FEWEST = 200
"""With fewer rows before an origin than this no index is given: chance alone makes about (bins − 1) / rows of it."""
STABLE, CHANGED = 0.1, 0.25

Shares = NDArray[np.float64]
Counter = Callable[[pa.ChunkedArray], Shares]
"""Values → how many of them are in each bin."""


class ColumnShift(NamedTuple):
    """(origins,) indices of a column; NaN where too few rows lie in the step before an origin."""

    table: str
    column: str
    indices: tuple[float, ...]

    @property
    def largest(self) -> float:
        known = [value for value in self.indices if not math.isnan(value)]
        return max(known, default=math.nan)


class LabelShift(NamedTuple):
    """Labels of training at the first origin against those of the examples of each origin.

    Attributes:
        before: Mean of the training labels: a base rate, a mean, or the mean length of lists; NaN for classes.
        means: (origins,) the same of the origin's examples.
        indices: (origins,) stability indices.
    """

    before: float
    means: tuple[float, ...]
    indices: tuple[float, ...]


def stability(before: Shares, now: Shares) -> float:
    """The index of two rows of counts; half a row is added to each bin, so that an empty one is no infinite change."""
    if not before.sum() or not now.sum():
        return math.nan
    q, p = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (before, now))
    return float(((p - q) * np.log(p / q)).sum())


def column_shifts(origins: Sequence[Stages], fewest: int = FEWEST) -> list[ColumnShift]:
    """The index of every numeric and categorical column near the task's entities, the largest first."""
    latest = origins[-1]
    cuts = [stages.dataset.cuts for stages in origins]
    found = []
    for name in near(latest.shown, latest.task):
        table = latest.shown[name]
        if table.times is None:
            continue
        known = table.prefix(int(table.visible(cuts[0].test)[0]))
        if len(known) < fewest:
            continue
        spans = [(int(table.visible(at.val)[0]), int(table.visible(at.test)[0])) for at in cuts]
        found += [
            _shift(known, table, (column, stype), spans, fewest)
            for column, stype in stypes(known).items()
            if stype in KINDS
        ]
    return sorted(found, key=lambda one: -one.largest if not math.isnan(one.largest) else math.inf)


def _shift(
    known: Table, table: Table, which: tuple[str, Stype], spans: Sequence[tuple[int, int]], fewest: int
) -> ColumnShift:
    column, stype = which
    before = spread(known.rows.column(column), SAMPLE)
    count = KINDS[stype](before)
    base = count(before)

    def index(first: int, last: int) -> float:
        if last - first < fewest:
            return math.nan
        return stability(base, count(spread(table.rows.column(column).slice(first, last - first), SAMPLE)))

    return ColumnShift(table.name, column, tuple(index(*span) for span in spans))


def label_shift(origins: Sequence[Stages]) -> LabelShift:
    """How the labels of the origins' examples differ from those of training at the first origin."""
    task, first = origins[0].task, origins[0]
    before = pa.chunked_array([_values(task, first.labels("train"))])
    count = (by_quantiles if pa.types.is_floating(before.type) and task.type is not TaskType.BINARY else by_category)(
        before
    )
    now = [pa.chunked_array([_values(task, stages.labels("test"))], before.type) for stages in origins]
    base = count(before)
    return LabelShift(_mean(before), tuple(map(_mean, now)), tuple(stability(base, count(one)) for one in now))


def _values(task: Task, labels: LabelTable) -> pa.Array:
    """Numbers, lengths of lists, or names of classes."""
    if task.type is TaskType.MULTICLASS:
        return labels.target.cast(pa.string())
    if task.type is TaskType.RECOMMENDATION:
        return pa.array(np.diff(list_parts(labels.target)[0]).astype(np.float64))
    if task.type is TaskType.MULTILABEL:
        return pa.array([float(sum(row)) for row in labels.target.to_pylist()])
    return labels.target.cast(pa.float64(), safe=False)


def _mean(values: pa.ChunkedArray) -> float:
    return math.nan if pa.types.is_string(values.type) or not len(values) else float(pc.mean(values).as_py())


def near(database: Database, task: Task) -> list[str]:
    """The tables that lie within `STEPS_AWAY` keys of the table of the task's entities, that table first."""
    found = [task.entity_table]
    for _ in range(STEPS_AWAY):
        parents = {parent for name in found for parent in database[name].references.values()}
        children = {name for name, table in database.items() if set(table.references.values()) & set(found)}
        found += [name for name in database if name in parents | children and name not in found]
    return found


def by_quantiles(before: pa.ChunkedArray) -> Counter:
    """Bins between the deciles of `before`, and one for what is missing."""
    known = _numbers(before)
    known = known[np.isfinite(known)]
    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.unique(np.quantile(known, inner)) if len(known) else np.zeros(0)

    def count(values: pa.ChunkedArray) -> Shares:
        given = _numbers(values)
        there = np.isfinite(given)
        bins = np.bincount(np.searchsorted(edges, given[there], side="left"), minlength=len(edges) + 1)
        return np.append(bins, (~there).sum()).astype(np.float64)

    return count


def by_category(before: pa.ChunkedArray) -> Counter:
    """A bin for each of the most frequent values of `before`, one for all others, and one for what is missing."""
    counted = sorted(
        ((one["counts"], str(one["values"])) for one in plain(before).drop_null().value_counts().to_pylist()),
        key=lambda one: (-one[0], one[1]),
    )
    top = {value: place for place, (_, value) in enumerate(counted[:CATEGORIES])}

    def count(values: pa.ChunkedArray) -> Shares:
        shares = np.zeros(len(top) + 2)
        for one in plain(values).value_counts().to_pylist():
            value = one["values"]
            shares[len(top) + 1 if value is None else top.get(str(value), len(top))] += one["counts"]
        return shares

    return count


def _numbers(values: pa.ChunkedArray) -> NDArray[np.float64]:
    found = plain(values)
    if pa.types.is_duration(found.type):
        found = found.cast(pa.int64())
    numbers = found.cast(pa.float64(), safe=False)
    return np.asarray(numbers.to_numpy(), dtype=np.float64)


KINDS: dict[Stype, Callable[[pa.ChunkedArray], Counter]] = {
    Stype.numerical: by_quantiles,
    Stype.categorical: by_category,
}
