"""Columns whose latest values are unlike all others: they say when a row came rather than what it is.

A count of races so far, a year, a measurement that was introduced last season: a network that relies on them must extrapolate as
soon as time goes on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LATEST = 0.1
"""Part of the rows that counts as the latest."""
FEWEST = 200
"""With fewer rows than this every column counts as stationary."""


def is_stationary(values: NDArray[np.floating], times: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(columns,) whether the latest of (rows, columns) values have a mean within one deviation of the mean of all.

    Missing values (NaN) are left out. A column that was missing much more, or less, often before is not stationary.
    """
    if len(values) < FEWEST:
        return np.ones(values.shape[1], np.bool_)
    latest = times >= np.quantile(times, 1 - LATEST)
    there = ~np.isnan(values)
    return _close(there.astype(np.float64), latest) & _close(values.astype(np.float64), latest)


def _close(values: NDArray[np.float64], latest: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(columns,) whether the mean of the latest rows is within one deviation of the mean of all."""
    there = ~np.isnan(values)
    known = np.where(there, values, 0.0)
    count, count_latest = there.sum(0), there[latest].sum(0)
    mean = known.sum(0) / np.maximum(count, 1)
    deviation = np.sqrt(np.where(there, (known - mean) ** 2, 0.0).sum(0) / np.maximum(count, 1))
    gap = np.abs(known[latest].sum(0) / np.maximum(count_latest, 1) - mean)
    return np.asarray((count_latest == 0) | (gap <= deviation + 1e-9))
