"""What happened lately: aggregates of an entity's last rows and last days, recency, and recent against long-run.

Every window is a stretch of the entity's history, so sums are differences of running sums: the cost is rows + seeds,
whatever the length of the history. On rel-f1 these features carry most of what boosted trees reach.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relbench_harness.features.block import Column, Features
from relbench_harness.features.encode import DAY
from relbench_harness.features.history import ALWAYS, ChildPath, History, child_paths
from relbench_harness.features.series import Series, SeriesChoice
from relbench_harness.protocol.method import Examples


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
            back = frozenset({path.steps[-1].key})
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
    windows: Windows
    paths: tuple[tuple[ChildPath, tuple[Series, ...]], ...]
    days: tuple[float, ...]

    @property
    def _contrasted(self) -> tuple[str, str]:
        """The windows set against the long run: the middle one over rows and the middle one over days."""
        rows, days = self.windows.rows, self.days
        return f"last {rows[len(rows) // 2]}", f"{days[len(days) // 2]:g}d"

    def transform(self, examples: Examples) -> Features:
        return self.transform_at(examples, examples.entity)

    def transform_at(self, examples: Examples, entity: NDArray[np.int64], prefix: str = "") -> Features:
        """Window features of the rows `entity` (−1: none) of the table this was fitted for, at the questions' cut-offs."""
        columns: list[Column] = []
        for path, series in self.paths:
            columns.extend(self._path(examples, entity, path, series, f"{prefix}{path.name}"))
        return Features(len(examples), tuple(columns))

    def _path(
        self,
        examples: Examples,
        entity: NDArray[np.int64],
        path: ChildPath,
        series: tuple[Series, ...],
        name: str,
    ) -> Iterator[Column]:
        history = History.along(examples.database, path)
        first, last = history.seen(entity, examples.cutoff)
        yield Column(f"{name} rows", (last - first).astype(np.float32))
        spans = {f"last {k}": np.maximum(last - k, first) for k in self.windows.rows}
        timed = bool(len(history.times)) and history.times[-1] != ALWAYS
        for days in self.days:
            begin = history.seen(entity, examples.cutoff - round(days * DAY))[1]
            spans[f"{days:g}d"] = begin
            yield Column(f"{name} rows {days:g}d", _where(timed, last - begin))
        yield from _recency(history, first, last, examples.cutoff, name)
        table = examples.database[path.table]
        own_time = np.full(len(table), ALWAYS, np.int64)
        own_time[history.rows] = history.times
        for one in series:
            values = one.read(examples.database, table, own_time)[history.rows]
            yield from self._series(Stretches(values, history.starts), one, first, last, spans, f"{name} {one.name}")

    def _series(
        self,
        stretches: Stretches,
        series: Series,
        first: NDArray[np.int64],
        last: NDArray[np.int64],
        spans: dict[str, NDArray[np.int64]],
        name: str,
    ) -> Iterator[Column]:
        overall = stretches.mean(first, last)
        yield Column(f"{name} mean", overall.astype(np.float32))
        if not series.is_share:
            yield Column(f"{name} std", stretches.std(first, last).astype(np.float32))
        for label, begin in spans.items():
            recent = stretches.mean(begin, last)
            yield Column(f"{name} mean {label}", recent.astype(np.float32))
            if self.windows.contrasts and label in self._contrasted:
                yield Column(f"{name} mean {label} - mean", (recent - overall).astype(np.float32))
        if self.windows.extremes and not series.is_share:
            for count in self.windows.rows[-3::2]:
                low, high = stretches.extremes(first, last, count)
                yield Column(f"{name} min last {count}", low.astype(np.float32))
                yield Column(f"{name} max last {count}", high.astype(np.float32))


def _where(timed: bool, values: NDArray[np.int64]) -> NDArray[np.float32]:
    return values.astype(np.float32) if timed else np.full(len(values), np.nan, np.float32)


def _recency(
    history: History, first: NDArray[np.int64], last: NDArray[np.int64], cutoff: NDArray[np.int64], name: str
) -> Iterator[Column]:
    """Days since the last and the first row, and the mean days between rows."""
    some = last > first
    times = history.times.astype(np.float64) / DAY
    times[history.times == ALWAYS] = np.nan
    times = times if len(times) else np.full(1, np.nan)
    now = cutoff / DAY
    newest = np.where(some, times[np.where(some, last - 1, 0)], np.nan)
    oldest = np.where(some, times[np.where(some, first, 0)], np.nan)
    since = now - newest
    gap = np.where(last - first > 1, (newest - oldest) / np.maximum(last - first - 1, 1), np.nan)
    yield Column(f"{name} days since last", since.astype(np.float32))
    yield Column(f"{name} days since first", (now - oldest).astype(np.float32))
    yield Column(f"{name} days between", gap.astype(np.float32))
    with np.errstate(divide="ignore", invalid="ignore"):
        yield Column(f"{name} days since last / between", np.where(gap > 0, since / gap, np.nan).astype(np.float32))


class Stretches:
    """Aggregates of `values[begin:end]` for many stretches, missing values left out.

    Running sums start anew with every entity and are taken of values centred on the entity's first one, so that no digit
    of a stretch rests on another entity, or on a row that comes after it.
    """

    def __init__(self, values: NDArray[np.float64], starts: NDArray[np.int64]) -> None:
        owner = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        series = pd.Series(values)
        centre = np.asarray(series.groupby(owner).transform("first"), dtype=np.float64)
        here = ~np.isnan(values)
        centred = pd.Series(np.where(here, values - centre, 0.0))
        self._values = values
        self._centre = np.append(centre, np.nan)
        self._count = np.concatenate([[0], np.cumsum(here)])
        self._sum = np.append(np.asarray(centred.groupby(owner).cumsum()), 0.0)
        self._square = np.append(np.asarray((centred**2).groupby(owner).cumsum()), 0.0)
        self._opens = np.zeros(len(values) + 1, dtype=bool)
        self._opens[starts] = True

    def _between(
        self, running: NDArray[np.float64], begin: NDArray[np.int64], end: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        before = np.where(self._opens[begin], 0.0, running[begin - 1])
        return np.where(end > begin, running[end - 1] - before, 0.0)

    def mean(self, begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) means, NaN where a stretch holds no value."""
        count = self._count[end] - self._count[begin]
        total = self._between(self._sum, begin, end)
        return np.where(count > 0, total / np.maximum(count, 1) + self._centre[begin], np.nan)

    def std(self, begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) standard deviations (ddof 1), NaN below two values."""
        count = self._count[end] - self._count[begin]
        total = self._between(self._sum, begin, end)
        square = self._between(self._square, begin, end)
        spread = np.maximum(square - total**2 / np.maximum(count, 1), 0.0)
        return np.where(count > 1, np.sqrt(spread / np.maximum(count - 1, 1)), np.nan)

    def extremes(
        self, begin: NDArray[np.int64], end: NDArray[np.int64], count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n,) minima and maxima of the last `count` values of each stretch."""
        low, high = np.full(len(begin), np.inf), np.full(len(begin), -np.inf)
        for back in range(1, count + 1):
            inside = end - back >= begin
            if not inside.any():
                break
            value = np.where(inside, self._values[np.where(inside, end - back, 0)], np.nan)
            low, high = np.fmin(low, value), np.fmax(high, value)
        none = np.isinf(low)
        return np.where(none, np.nan, low), np.where(none, np.nan, high)
