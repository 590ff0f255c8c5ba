"""A row's numbers against its parents': a price beside the list price, a flight's minutes beside the planned ones.

Where a number nearly follows from a parent's, what it departs by is the news, which is lost in a sum of two numbers that each
spread over decades. Here it is read off a regression line, fitted on rows visible at the end of training, and against what
rows usually departed by shortly before: where all prices rise, later ones would all look dear. A parent counts where it is
no younger than its child and what is usual is taken from older rows, so that a departure is visible wherever the row is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.array_store import spacious
from relbench_harness.data.compiled import compiled
from relbench_harness.data.database import Database
from relbench_harness.graph.attributes import Layout
from relbench_harness.graph.encoders import CLIP

from .rows import ForeignKey, Rows, covered, older_parents

Floats = NDArray[np.float64]
SAMPLE = 20_000
"""Rows by which a pair of numbers is judged."""
FEWEST = 100
FOLLOWS = 0.5
"""Share of a number's variance that the parent's must explain."""
EXACT = 1e-6
"""Where less than this is left of the variance a number is a copy of the parent's."""
LATELY = 1 / 32
"""The part of the span of training from whose rows it is seen what is usual, and `MANY` of them at least."""
MANY = 200
PRIOR = 5
"""So many rows on the line are thought of beside those that are there: of few rows the mean is anything."""


@dataclass(frozen=True)
class Comparison:
    """What a number of a row departs by from `start` + `slope` × the parent's number, in units of `spread`.

    Attributes:
        own, above: The columns of the row and of its parent.
        logarithmic: Whether the logarithms of both are compared.
    """

    own: str
    above: str
    logarithmic: bool
    slope: float
    start: float
    spread: float

    def of(self, own: Floats, above: Floats) -> Floats:
        """(n,) from the numbers as they are; NaN where one of them is missing."""
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.logarithmic:
                own, above = np.log(own), np.log(above)
            departs = (own - self.start - self.slope * above) / self.spread
        return np.where(np.isfinite(departs), departs, np.nan).clip(-CLIP, CLIP)


@dataclass(frozen=True)
class Comparisons:
    """What is worth comparing.

    Attributes:
        found: Foreign key → its comparisons, for keys that have any.
        layouts: Table → what its records hold.
        window: Nanoseconds before a row from which it is seen what is usual.
    """

    found: Mapping[ForeignKey, tuple[Comparison, ...]]
    layouts: Mapping[str, Layout]
    window: int

    @classmethod
    def fit(cls, known: Database, layouts: Mapping[str, Layout]) -> Comparisons:
        """For each number of a row that one of its parents' foretells well, judged by some rows of `known`."""
        found = {(name, c): _telling(known, layouts, (name, c)) for name, table in known.items() for c in table.references}
        return cls({key: some for key, some in found.items() if some}, layouts, int(LATELY * covered(known)))

    def count(self, table: str) -> int:
        """How many numbers of a row of `table` are compared, along all its keys."""
        return sum(len(some) for (child, _), some in self.found.items() if child == table)

    def open(self, database: Database) -> Departures:
        """What every row of `database` departs by."""
        departures = {}
        for key, some in self.found.items():
            table = database[key[0]]
            older = older_parents(database, *key)
            departures[key] = spacious((len(table), len(some)), np.float32)
            for n, comparison in enumerate(some):
                own = _plain(database, self.layouts, key[0], comparison.own)
                above = _plain(database, self.layouts, table.references[key[1]], comparison.above)
                departs = comparison.of(own, np.append(above, np.nan)[older])
                if table.times is not None:
                    departs -= usual(departs, table.times, self.window, MANY)
                departures[key][:, n] = departs
        return Departures(departures)


@dataclass(frozen=True)
class Departures:
    """Attributes: along: Foreign key → (rows, comparisons) of its table; NaN where nothing can be compared."""

    along: Mapping[ForeignKey, NDArray[np.float32]]

    def columns(self, table: str) -> Iterator[Floats]:
        """(rows,) of the whole of `table` for each of its comparisons."""
        for (child, _), departures in self.along.items():
            if child == table:
                yield from (column.astype(np.float64) for column in departures.T)

    def read(self, key: ForeignKey, rows: Rows) -> NDArray[np.float32]:
        """(rows, comparisons) along `key`, 0 where nothing can be compared."""
        return np.nan_to_num(self.along[key][rows], copy=False)


@compiled
def usual(values: Floats, times: NDArray[np.int64], window: int, many: int) -> Floats:
    """(rows,) the mean of the values that are older than each row, by `window` at most or the latest `many`; times ascend."""
    out = np.empty(len(values))
    total, count, first, end = 0.0, 0, 0, 0
    for row in range(len(values)):
        while times[end] < times[row]:
            if not np.isnan(values[end]):
                total += values[end]
                count += 1
            end += 1
        while count > many and times[first] < times[row] - window:
            if not np.isnan(values[first]):
                total -= values[first]
                count -= 1
            first += 1
        out[row] = total / (count + PRIOR)
    return out


def _telling(known: Database, layouts: Mapping[str, Layout], key: ForeignKey) -> tuple[Comparison, ...]:
    table = known[key[0]]
    parent = known[table.references[key[1]]]
    if not layouts[table.name].plain_numbers or not layouts[parent.name].plain_numbers:
        return ()
    older = older_parents(known, *key)
    rows = np.flatnonzero(older >= 0)
    if len(rows) < FEWEST:
        return ()
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, SAMPLE).astype(np.int64))]
    above = {c: _plain(known, layouts, parent.name, c, older[rows]) for c in layouts[parent.name].plain_numbers}
    found = []
    for column in layouts[table.name].plain_numbers:
        own = _plain(known, layouts, table.name, column, rows)
        for name, other in above.items():
            line = _line(column, name, own, other)
            if line is not None:
                found.append(line)
    return tuple(found)


def _plain(
    database: Database, layouts: Mapping[str, Layout], table: str, column: str, rows: NDArray[np.integer] | None = None
) -> Floats:
    """(rows,) a column's numbers, within the range that its encoder knows, NaN for null."""
    values = database[table].rows.column(column)
    values = values if rows is None else values.take(pa.array(rows))
    _, encoder = layouts[table].plain_numbers[column]
    return encoder.decode(encoder.encode(values.combine_chunks())[:, 0])


def _line(column: str, other: str, own: Floats, above: Floats) -> Comparison | None:
    """The better of the lines through the numbers and through their logarithms, where it explains enough and not all."""
    there = np.isfinite(own) & np.isfinite(above)
    own, above = own[there], above[there]
    if len(own) < FEWEST:
        return None
    most, best = FOLLOWS, None
    for logarithmic in (False, True) if own.min() > 0 and above.min() > 0 else (False,):
        x, y = (np.log(above), np.log(own)) if logarithmic else (above, own)
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            continue
        slope = float(np.cov(x, y, ddof=0)[0, 1] / x.var())
        start = float(y.mean() - slope * x.mean())
        left = float((y - start - slope * x).var() / y.var())
        if left > EXACT and most <= 1 - left:
            most, best = 1 - left, Comparison(column, other, logarithmic, slope, start, float((left * y.var()) ** 0.5))
    return best
