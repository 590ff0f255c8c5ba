"""Whether rows at the very end of a label window are to be expected: what decides if it has closed at a cut-off there.

Rows at a cut-off are invisible. A window that ends exactly there has closed all the same where no row lies at its end:

- Times are continuous (seconds within windows of weeks) and no good share of them lies at that time of day, or the clock of the
  tables does not tick at that instant.
- Times are dates, and in every earlier window the label was the same without the rows at its end. Games of July with a
  cut-off on 15 November, are an example; seasons dated 15 November are the contrary. Where rows often lie on that day of the week or of
  the month, windows without rows at their ends are no evidence.

Invariant: the answer for an instant rests on rows older than it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.distinct import distinct
from relbench_harness.data.labels import Window, tables_read, window_labels
from relbench_harness.data.task import Task

CONTINUOUS = 10_000
"""Times are continuous if a window has more than this many ticks of their clock."""
BATCHED = 0.01
"""Share of continuous times at one time of day (dates among them, nightly batches) from which rows are expected there."""
OFTEN = 0.2
"""Share of weeks, or of months, with a row on one day of it from which rows are expected on that day."""
DAY = 86_400_000_000_000
MOST = 100
"""Of more windows with rows at their ends than this a part is looked at, half as many each time their number doubles."""
ENOUGH = 10
"""Fewer earlier windows than this are no evidence that their ends hold no rows, nor fewer times that a clock does not tick."""


def rows_expected_at_ends(task: Task, database: Database, starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) whether rows at the end of each window are to be expected.

    Args:
        database: Rows that the holder may see.
        starts: (n,) ascending starts of windows, nanoseconds; the earlier ones are evidence for the later.
    """
    expected = _clock_ticks(task, database, starts + task.horizon.value)
    if expected.any() and task.sql is not None:
        expected &= _labels_change(task, database, starts)
    return expected


def _clock_ticks(task: Task, database: Database, instants: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a table that the labels read has a coarse clock that ticks at each instant.

    A tick is the greatest common divisor of the differences between a table's times. A table with few different
    times (two months look like a clock of 31 days) decides nothing; if none decides, rows are expected.
    """
    expected, decided = np.zeros(len(instants), np.bool_), np.zeros(len(instants), np.bool_)
    read = tables_read(task, database)
    # where other tables hold what happens, the time of an entity says only since when it exists
    for name in read - {task.entity_table} or read:
        times = database[name].times
        different = distinct(times) if times is not None else np.zeros(0, np.int64)
        if times is None or len(different) < 2:
            continue
        ticks = np.gcd.accumulate(np.diff(different))
        older = np.searchsorted(different, instants, side="left")
        known = older >= ENOUGH
        tick = ticks[np.maximum(older - 2, 0)]
        decided |= known
        coarse = task.horizon.value <= CONTINUOUS * tick
        coarse |= _share_at_time_of_day(times, instants) >= BATCHED
        expected |= known & ((instants - different[0]) % tick == 0) & coarse
    return expected | ~decided


def _share_at_time_of_day(times: NDArray[np.int64], instants: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) share of the ascending `times` before each instant that have its time of day."""
    older = np.searchsorted(times, instants, side="left")
    clock, of_day = times % DAY, instants % DAY
    same = np.zeros(len(instants))
    for moment in np.unique(of_day):
        here = of_day == moment
        same[here] = np.concatenate([[0], np.cumsum(clock == moment)])[older[here]]
    return np.asarray(same / np.maximum(older, 1))


def _often_there(times: NDArray[np.int64], instants: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) whether many of the weeks, or of the months, before each instant have one of `times` on its day at its time of day."""
    often = np.zeros(len(instants), np.bool_)
    moments = np.unique(times[np.isin(times % DAY, instants % DAY)])
    (week, weekday), (month, day) = _weeks(moments), _months(moments)
    (weeks, weekdays), (months, days) = _weeks(instants), _months(instants)
    first_week, first_month = int(_weeks(times[:1])[0][0]), int(_months(times[:1])[0][0])
    for i, instant in enumerate(instants):
        older = int(np.searchsorted(moments, instant, side="left"))
        if older:
            there = moments[:older] % DAY == instant % DAY
            weekly = len(np.unique(week[:older][there & (weekday[:older] == weekdays[i])]))
            monthly = len(np.unique(month[:older][there & (day[:older] == days[i])]))
            often[i] = weekly >= OFTEN * max(weeks[i] - first_week, 1) or monthly >= OFTEN * max(months[i] - first_month, 1)
    return often


def _weeks(times: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The week of each time, and its day in it."""
    return times // (7 * DAY), times // DAY % 7


def _months(times: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The month of each time, and its day in it."""
    date = times.astype("datetime64[ns]")
    month = date.astype("datetime64[M]")
    return month.astype(np.int64), (date.astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64)


def _labels_change(task: Task, database: Database, starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the label of some earlier window changes when rows at its end are taken away, or too few are there to tell."""
    ends = starts + task.horizon.value
    tables = tables_read(task, database)
    read = {n: times for n in tables if (times := database[n].times) is not None and len(times)}
    first_row = min((int(times[0]) for times in read.values()), default=np.iinfo(np.int64).max)
    # a window at whose end no row lies has the same label without them
    rows_there = np.zeros(len(ends), np.bool_)
    for times in read.values():
        rows_there |= np.searchsorted(times, ends, side="left") < np.searchsorted(times, ends, side="right")
    earlier = np.concatenate([[0], np.cumsum(starts >= first_row)[:-1]])
    changes = earlier < ENOUGH
    seen = np.concatenate([[0], np.cumsum(rows_there)[:-1]])
    for times in (read[n] for n in tables - {task.entity_table} or tables if n in read):
        few = np.flatnonzero((seen < ENOUGH) & ~changes)
        changes[few] = _often_there(times, ends[few])
    looked_at = np.flatnonzero(rows_there[:-1])
    # all of the first, then every second, fourth, … : which ones are looked at does not depend on how many follow
    every = 2 ** np.log2(np.maximum(np.arange(len(looked_at)) / MOST, 1)).astype(np.int64)
    looked_at = looked_at[np.arange(len(looked_at)) % every == 0]
    for number in _changing(task, database, starts, looked_at):
        changes[number + 1 :] = True
        break
    return changes


def _changing(task: Task, database: Database, starts: NDArray[np.int64], numbers: NDArray[np.int64]) -> Iterator[int]:
    """Those of the windows `numbers` whose labels are others where rows at their ends count."""
    ends = starts + task.horizon.value
    both = (Window(int(starts[n]), int(ends[n]) + longer) for n in numbers for longer in (0, 1))
    # one connection for all of them
    labels = window_labels(task, database, both)
    for number in numbers:
        (_, without), (_, whole) = next(labels), next(labels)
        if not (np.array_equal(without.entity, whole.entity) and without.target.equals(whole.target)):
            yield int(number)
