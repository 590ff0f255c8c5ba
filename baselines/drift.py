"""Numbers that say when rather than what: those whose latest values are unlike all others.

A count of races so far, a year, a measurement that was introduced last season: a network that trusts them is lost as soon
as time goes on, since it must extrapolate. Trees cannot extrapolate and may keep them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType

LATEST = 0.1
"""Part of the rows that counts as the latest."""
FEWEST = 200
"""With fewer rows than this nothing is said to drift."""
ROUNDS = 2
"""So often must a cycle have come round: a season that was met once says when, and what was learned of it does not return."""


def rounds(kind: TaskType) -> int:
    """How often a cycle of the calendar must have come round in training to be read for answers of this type.

    Chances are judged among entities that are asked at the same time, so of a season they could only learn how causes differ
    by it, which one season cannot tell from how causes changed. Amounts, and which items sell, go up and down with it.
    """
    return 0 if kind in (TaskType.REGRESSION, TaskType.RECOMMENDATION) else ROUNDS


def steady(values: NDArray[np.floating], times: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(columns,) whether the latest of (rows, columns) values have a mean within one deviation of the mean of all.

    Missing values (NaN) are left out, and a column drifts as well where it was missing much more, or less, often before.
    """
    if len(values) < FEWEST:
        return np.ones(values.shape[1], np.bool_)
    latest = times >= np.quantile(times, 1 - LATEST)
    there = ~np.isnan(values)
    return _near(there.astype(np.float64), latest) & _near(values.astype(np.float64), latest)


def _near(values: NDArray[np.float64], latest: NDArray[np.bool_]) -> NDArray[np.bool_]:
    there = ~np.isnan(values)
    known = np.where(there, values, 0.0)
    count, count_latest = there.sum(0), there[latest].sum(0)
    mean = known.sum(0) / np.maximum(count, 1)
    deviation = np.sqrt(np.where(there, (known - mean) ** 2, 0.0).sum(0) / np.maximum(count, 1))
    gap = np.abs(known[latest].sum(0) / np.maximum(count_latest, 1) - mean)
    return np.asarray((count_latest == 0) | (gap <= deviation + 1e-9))
