"""The mean of a column shortly before each row: what was common when the row came."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.compiled import compiled

PRIOR = 5
"""As many values of 0 are counted besides those that are there: the mean of few values is uncertain."""


@compiled
def trailing_mean(values: NDArray[np.float64], times: NDArray[np.int64], window: int, at_least: int) -> NDArray[np.float64]:
    """(rows,) mean of the values that are older than each row by at most `window`, or of the latest `at_least`.

    Args:
        values: (rows,) NaN where missing.
        times: (rows,) ascending, nanoseconds.
    """
    out = np.empty(len(values))
    total, count, first, end = 0.0, 0, 0, 0
    for row in range(len(values)):
        while times[end] < times[row]:
            if not np.isnan(values[end]):
                total += values[end]
                count += 1
            end += 1
        while count > at_least and times[first] < times[row] - window:
            if not np.isnan(values[first]):
                total -= values[first]
                count -= 1
            first += 1
        out[row] = total / (count + PRIOR)
    return out
