"""What happened lately: aggregates of an entity's last rows and last days, recency, and recent against long-run.

Every window is a stretch of the entity's history, so sums are differences of running sums: the cost is rows + examples,
whatever the length of the history. On rel-f1 these features carry most of what boosted trees reach.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.features.block import Column, Features, sourced
from relbench_harness.features.encode import DAY
from relbench_harness.features.origin import Origin
from relbench_harness.features.series import SeriesChoice, TableSeries
from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.history import History
from relbench_harness.temporal.paths import KeyPath, child_paths
from relbench_harness.temporal.routes import HERE, Route
from relbench_harness.temporal.running_totals import Series
from relbench_harness.temporal.stretch import Stretch
from relbench_harness.temporal.visibility import ALWAYS, follow


@dataclass(frozen=True)
class Windows:
    """Window aggregates over every child path of the entity.

    Attributes:
        rows: Lengths of the windows over the last rows.
        days: Lengths of the calendar windows; None chooses 7, 30, 90, 365 days and the task's horizon where it is far
            from those, as far as the data spans at least twice the window.
        hops: How far down to follow children (2: lines of a customer's invoices).
        choice: Which columns are aggregated.
        extremes: Whether minimum and maximum of the longest and third longest window over rows are features too.
        contrasts: Whether recent means (middle windows) minus the long-run mean are features.
    """

    rows: tuple[int, ...] = (1, 3, 5, 10, 20)
    days: tuple[float, ...] | None = None
    hops: int = 2
    choice: SeriesChoice = field(default_factory=SeriesChoice)
    extremes: bool = True
    contrasts: bool = True

    def fit(self, train: Examples) -> FittedWindows:
        return self.fit_for(train, train.task.entity_table)

    def fit_for(self, train: Examples, entity: str) -> FittedWindows:
        """Windows over the children of table `entity`, which need not be the task's."""
        known = train.known
        paths = []
        for path in child_paths(train.database, entity, self.hops):
            back = frozenset({path.columns[0]})
            paths.append((path, self.choice.of(known, path.table, back)))
        return FittedWindows(self, tuple(paths), self.days or self._days(train))

    @staticmethod
    def _days(train: Examples) -> tuple[float, ...]:
        horizon = train.task.horizon.value / DAY
        wanted = {7.0, 30.0, 90.0, 365.0}
        if horizon >= 1 and all(max(days / horizon, horizon / days) > 1.5 for days in wanted):
            wanted.add(float(round(horizon)))
        timed = [t.times for t in train.known.values() if t.times is not None and len(t)]
        span = (max(t[-1] for t in timed) - min(t[0] for t in timed)) / DAY if timed else 0.0
        fitting = sorted(days for days in wanted if 2 * days <= span)
        return tuple(fitting) or (max(span / 4, 1 / 24),)


@dataclass(frozen=True)
class FittedWindows:
    """Attributes: wanted: Names of the only columns to compute; None for all."""

    windows: Windows
    paths: tuple[tuple[KeyPath, tuple[TableSeries, ...]], ...]
    days: tuple[float, ...]
    wanted: frozenset[str] | None = None

    def only(self, names: Sequence[str]) -> FittedWindows:
        """The columns `names` alone; paths and series that none of them needs are not read."""
        return replace(self, wanted=frozenset(names))

    def _wants(self, start: str) -> bool:
        """Whether a column is wanted whose name begins so."""
        return self.wanted is None or any(name.startswith(start) for name in self.wanted)

    @property
    def _contrasted(self) -> tuple[str, str]:
        """The windows set against the long run: the middle one over rows and the middle one over days."""
        rows, days = self.windows.rows, self.days
        return f"last {rows[len(rows) // 2]}", f"{days[len(days) // 2]:g}d"

    def transform(self, examples: Examples) -> Features:
        return self.transform_at(examples, examples.entity)

    def transform_at(
        self, examples: Examples, entity: NDArray[np.int64], prefix: str = "", start: Route = HERE
    ) -> Features:
        """Window features of the rows `entity` (−1: none) of the table this was fitted for, at the examples' cut-offs.

        Args:
            start: How those rows are reached from the examples' entities.
        """
        columns: list[Column] = []
        for path, series in self.paths:
            name = f"{prefix}{path.name}"
            if self._wants(f"{name} "):
                columns.extend(self._path(_PathView(examples, entity, path, name, start.down(path)), series))
        return Features(len(examples), tuple(c for c in columns if self.wanted is None or c.name in self.wanted))

    def _path(self, view: _PathView, series: tuple[TableSeries, ...]) -> Iterator[Column]:
        """The features of the rows along one path."""
        history, (first, last), name = view.history, view.seen, view.name
        table = view.database[view.path.table]
        there = Origin(table.name, None, view.route)
        yield Column(f"{name} rows", (last - first).astype(np.float32), origins=(there,))
        begins = {f"last {k}": np.maximum(last - k, first) for k in self.windows.rows}
        for days in self.days:
            begin = history.seen(view.owner, view.cutoff - round(days * DAY)).last
            begins[f"{days:g}d"] = begin
            yield Column(f"{name} rows {days:g}d", _where(history.is_timed, last - begin), origins=(there,))
        yield from sourced(_recency(view), Origin(table.name, table.time, view.route))
        for one in series:
            if self._wants(f"{name} {one.name} "):
                values = one.read(view.database, table, view.available)
                yield from sourced(self._series(view, history.series(values), begins, one), one.origin(table, view.route))

    def _series(
        self, view: _PathView, series: Series, begins: Mapping[str, NDArray[np.int64]], read: TableSeries
    ) -> Iterator[Column]:
        """The features of one series over the windows that begin at `begins`."""
        owner, seen, name = view.owner.clip(0), view.seen, f"{view.name} {read.name}"
        overall = series.mean(owner, seen)
        yield Column(f"{name} mean", overall.astype(np.float32))
        if not read.is_share and self._wants(f"{name} std"):
            yield Column(f"{name} std", series.std(owner, seen).astype(np.float32))
        for label, begin in begins.items():
            if not self._wants(f"{name} mean {label}"):
                continue
            recent = series.mean(owner, Stretch(begin, seen.last))
            yield Column(f"{name} mean {label}", recent.astype(np.float32))
            if self.windows.contrasts and label in self._contrasted:
                yield Column(f"{name} mean {label} - mean", (recent - overall).astype(np.float32))
        if self.windows.extremes and not read.is_share:
            for count in self.windows.rows[-3::2]:
                if not (self._wants(f"{name} min last {count}") or self._wants(f"{name} max last {count}")):
                    continue
                low, high = series.extremes(seen, count)
                yield Column(f"{name} min last {count}", low.astype(np.float32))
                yield Column(f"{name} max last {count}", high.astype(np.float32))


class _PathView:
    """What examples see along one path: of each row `owner` (−1: none) of its top, at the examples' cut-offs."""

    def __init__(self, examples: Examples, owner: NDArray[np.int64], path: KeyPath, name: str, route: Route) -> None:
        self.database, self.cutoff = examples.database, examples.cutoff
        self.owner, self.path, self.name, self.route = owner, path, name, route
        top, self.available = follow(examples.database, path)
        self.history = History.of(top, self.available, len(examples.database[path.top]))
        self.seen = self.history.seen(owner, examples.cutoff)


def _where(timed: bool, values: NDArray[np.int64]) -> NDArray[np.float32]:
    return values.astype(np.float32) if timed else np.full(len(values), np.nan, np.float32)


def _recency(view: _PathView) -> Iterator[Column]:
    """Days since the last and the first row, and the mean days between rows."""
    (first, last), name = view.seen, view.name
    some = last > first
    times = view.history.available.astype(np.float64) / DAY
    times[view.history.available == ALWAYS] = np.nan
    times = times if len(times) else np.full(1, np.nan)
    now = view.cutoff / DAY
    newest = np.where(some, times[np.where(some, last - 1, 0)], np.nan)
    oldest = np.where(some, times[np.where(some, first, 0)], np.nan)
    since = now - newest
    gap = np.where(last - first > 1, (newest - oldest) / np.maximum(last - first - 1, 1), np.nan)
    yield Column(f"{name} days since last", since.astype(np.float32))
    yield Column(f"{name} days since first", (now - oldest).astype(np.float32))
    yield Column(f"{name} days between", gap.astype(np.float32))
    with np.errstate(divide="ignore", invalid="ignore"):
        yield Column(f"{name} days since last / between", np.where(gap > 0, since / gap, np.nan).astype(np.float32))
