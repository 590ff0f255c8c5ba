"""Statistics of an entity's history as one standardised row of numbers per example.

Beside the histories of `summary_columns`: the calendar of the example's time, how stale its view is, and the age of every date in
the entity's own row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.cycles import CYCLES, waves
from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.features.history_summary import LAST, HistorySummary
from relbench_harness.features.origin import TIME, Origin
from relbench_harness.features.summary_columns import SummaryColumn, SummaryPath, summary_columns, summary_paths
from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.history import History
from relbench_harness.temporal.routes import HERE
from relbench_harness.temporal.running_totals import Floats
from relbench_harness.temporal.visibility import OwnParents, span_of

DAY = 86_400_000_000_000
SAMPLE = 20_000
"""Training examples by which statistics are standardised."""
EDGE = 0.02
"""The part of the training examples on either side that is clipped: a network must not extrapolate."""
LIMIT = 8
MISSING = np.iinfo(np.int64).min


def sample_of(examples: Examples) -> Examples:
    """At most `SAMPLE` of the examples, drawn at random, in order."""
    return examples.take(np.sort(np.random.default_rng(0).permutation(len(examples))[:SAMPLE]))


def windows_of(train: Examples) -> tuple[int, int, int]:
    """Nanoseconds over which sums are taken: around the horizon, or where that is no span of time, parts of the whole."""
    horizon = int(train.task.horizon.value)
    if horizon < DAY:
        horizon = max(DAY, span_of(train.known) // 64)
    return (horizon, 3 * horizon, 12 * horizon)


class FurtherColumns(Protocol):
    """Numbers of a table's rows that are no columns of it; their means are taken, as their sums have no meaning."""

    def count(self, table: str) -> int:
        """How many there are."""
        ...

    def columns(self, table: str) -> Iterable[Floats]:
        """(rows,) numbers of the whole of `table`, one after another."""
        ...


@dataclass(frozen=True)
class SummaryPlan:
    """What is summarised, chosen on the rows visible at the end of training.

    Attributes:
        columns: One entry per path.
        windows: Nanoseconds over which sums are taken.
        dates: Columns of the entity's own row that hold dates.
    """

    paths: tuple[SummaryPath, ...]
    columns: tuple[tuple[SummaryColumn, ...], ...]
    windows: tuple[int, ...]
    dates: tuple[str, ...]

    @classmethod
    def of(cls, train: Examples) -> SummaryPlan:
        known, entity = train.known, train.task.entity_table
        paths = tuple(summary_paths(known, entity))
        by_table = {one.path.table: tuple(summary_columns(known[one.path.table])) for one in paths}
        columns = tuple(by_table[one.path.table] for one in paths)
        return cls(paths, columns, windows_of(train), _dates(known, entity))


def origins(plan: SummaryPlan, database: Database, entity: str, further: Mapping[str, Sequence[str]]) -> tuple[Origin, ...]:
    """What each column of `SummaryReader.raw` rests on.

    Args:
        entity: The entities' table.
        further: Table → the column behind each of its further numbers.
    """
    found = [Origin(None, TIME)] * (2 * len(CYCLES) + 2) + [Origin(entity, name) for name in plan.dates]
    for one, columns in zip(plan.paths, plan.columns, strict=True):
        table = database[one.path.table]
        route = (HERE if one.up is None else HERE.up(one.up)).down(one.path)
        values = [*(column.column for column in columns), *further.get(table.name, ())]
        found.append(Origin(table.name, None, route))
        for of_days in [False] * len(LAST) + [True] * len(plan.windows):
            # of the latest rows it is read how old they are, of windows how many rows they hold
            found.append(Origin(table.name, None if of_days else table.time, route))
            found += [Origin(table.name, column, route) for column in values]
    return tuple(found)


def _dates(known: Database, entity: str) -> tuple[str, ...]:
    kinds = {name: known[entity].rows.column(name).type for name in known[entity].attributes}
    return tuple(n for n, kind in kinds.items() if pa.types.is_timestamp(kind) or pa.types.is_date(kind))


@dataclass(frozen=True)
class Standardisation:
    """Clips and standardises statistics; columns that do not vary become 0. Its attributes are (columns,)."""

    low: Floats
    high: Floats
    mean: Floats
    scale: Floats

    @classmethod
    def fit(cls, raw: Floats) -> Standardisation:
        """From (n, columns) statistics."""
        low, high = np.quantile(raw, [EDGE, 1 - EDGE], axis=0)
        raw = np.clip(raw, low, high)
        mean, deviation = raw.mean(0), raw.std(0)
        return cls(low, high, mean, np.where(deviation > 1e-9, deviation, np.inf))

    def apply(self, raw: Floats) -> NDArray[np.float32]:
        """(n, columns)."""
        standard = (np.clip(raw, self.low, self.high) - self.mean) / self.scale
        return np.clip(standard, -LIMIT, LIMIT).astype(np.float32)


class SummaryReader:
    """A plan over one database."""

    def __init__(self, plan: SummaryPlan, examples: Examples, further: FurtherColumns) -> None:
        self._plan = plan
        database = examples.database
        self._histories = [
            _summary(plan, History.along(database, one.path), database[one.path.table], columns, further)
            for one, columns in zip(plan.paths, plan.columns, strict=True)
        ]
        keys = {one.up for one in plan.paths if one.up is not None}
        self._parents = {key: OwnParents.of(database, key) for key in keys}
        entity = database[examples.task.entity_table]
        self._dates = [
            entity.rows.column(name).cast(pa.timestamp("ns"), safe=False).cast(pa.int64()).fill_null(MISSING).to_numpy()
            for name in plan.dates
        ]

    def raw(self, examples: Examples) -> Floats:
        """(n, columns) statistics as they are."""
        parts = [_calendar(examples)]
        for known in self._dates:
            date = known[examples.entity]
            age = (examples.time - date) / DAY
            parts.append(np.where(date == MISSING, 0.0, np.arcsinh(age / 365.25))[:, None])
        for one, summary in zip(self._plan.paths, self._histories, strict=True):
            owner = examples.entity if one.up is None else self._parents[one.up].of_examples(examples)
            parts.append(summary.read(owner, examples.cutoff))
        return np.concatenate(parts, axis=1)


def _summary(
    plan: SummaryPlan, history: History, table: Table, columns: tuple[SummaryColumn, ...], further: FurtherColumns
) -> HistorySummary:
    averaged = further.count(table.name)
    values = chain((column.read(table) for column in columns), further.columns(table.name))
    return HistorySummary(history, history.totals(values, len(columns) + averaged), plan.windows, averaged)


def _calendar(examples: Examples) -> Floats:
    stale = (examples.time - examples.cutoff) / DAY
    return np.column_stack([waves(examples.time, tuple(CYCLES.values())), np.log1p(stale), stale / 365.25])
