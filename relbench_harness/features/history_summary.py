"""Statistics of the rows that belong to an entity, as of any time, at the cost of a look-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.temporal.children import Times, first_at_or_after
from relbench_harness.temporal.history import History
from relbench_harness.temporal.running_totals import Floats, RunningTotals
from relbench_harness.temporal.visibility import Rows

LAST = (1, 3, 6, 12, 24)
"""Over how many of the latest rows means are taken."""


@dataclass(frozen=True)
class HistorySummary:
    """A history, and running totals of some columns of its rows.

    Attributes:
        windows: Nanoseconds of each window over which sums are taken.
        averaged: Of how many of the last columns the mean is taken over windows too, as a sum of them has no meaning.
    """

    history: History
    totals: RunningTotals
    windows: tuple[int, ...] = ()
    averaged: int = 0

    @property
    def width(self) -> int:
        """How many features `read` gives."""
        return 1 + (len(LAST) + len(self.windows)) * (1 + self.totals.width)

    def read(self, owner: Rows, cutoff: Times) -> Floats:
        """(n, features) of each owner's rows before its cut-off; an owner of −1 has none.

        How many there are, how long ago the last, third, … was, means over the last rows, counts and sums by window.
        """
        first, end = self.history.seen(owner, cutoff)
        recent = [first_at_or_after(self.history.available, first, end, cutoff - window) for window in self.windows]
        begins = np.stack([*(np.maximum(first, end - last) for last in LAST), *recent], axis=1)
        count, total = self.totals.between(owner.clip(0), begins, end)
        lasts = len(LAST)
        total[:, :lasts] /= np.maximum(count[:, :lasts], 1)
        if self.averaged:
            total[:, lasts:, -self.averaged :] /= np.maximum(count[:, lasts:, -self.averaged :], 1)
        features = np.empty((len(owner), self.width))
        features[:, 0] = np.log1p(end - first)
        by_stretch = features[:, 1:].reshape(len(owner), begins.shape[1], 1 + total.shape[2])
        by_stretch[:, :lasts, 0] = self._log_age(begins[:, :lasts], (end - first)[:, None] >= LAST, cutoff)
        by_stretch[:, lasts:, 0] = np.log1p(end[:, None] - begins[:, lasts:])
        np.arcsinh(total, out=by_stretch[:, :, 1:])
        return features

    def _log_age(self, rows: NDArray[np.int64], there: NDArray[np.bool_], cutoff: Times) -> Floats:
        """(n, lasts) logarithm of the days since each row; −1 where there is none."""
        age = np.full(rows.shape, -1.0)
        days = (np.broadcast_to(cutoff[:, None], rows.shape)[there] - self.history.available[rows[there]]) / 86_400e9
        age[there] = np.log1p(days)
        return age
