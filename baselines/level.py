"""What labels are like of late: the mean of everyone's, and that of newcomers', which tells of those who have none of their own.

Levels drift (fewer cars start than once did), and a network that is fitted to all of the past answers with its mean.
Invariant: only labels that are known at the cut-off count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from relbench_harness.features.label_history import ClosedLabels
from relbench_harness.features.windows import Stretches


class Level:
    """Means over the latest labels.

    Args:
        known_from: (m,) nanoseconds from which each label is known, in any order.
        labels: (m,) numbers.
        span: Nanoseconds before the latest known label within which labels count.
        otherwise: The level where no label is known yet.
    """

    def __init__(self, known_from: NDArray[np.int64], labels: NDArray[np.float64], span: int, otherwise: float) -> None:
        order = np.argsort(known_from, kind="stable")
        self._known_from, self._span, self._otherwise = known_from[order], span, otherwise
        self._labels = Stretches(labels[order], np.array([0, len(labels)]))

    def read(self, cutoff: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) the level at each cut-off."""
        last = np.searchsorted(self._known_from, cutoff, side="right")
        some = last > 0
        out = np.full(len(cutoff), self._otherwise)
        latest = self._known_from[last[some] - 1]
        first = np.searchsorted(self._known_from, latest - self._span, side="right")
        out[some] = self._labels.mean(first, last[some])
        return out


@dataclass(frozen=True)
class Levels:
    """The level of all labels, and that of labels whose entity had none within `span` before."""

    everyone: Level
    newcomers: Level

    @classmethod
    def of(cls, past: ClosedLabels, labels: NDArray[np.float64], span: int, otherwise: float) -> Self:
        """From (m,) `labels`, the numbers of `past`."""
        new = np.ones(len(past), np.bool_)
        new[1:] = (np.diff(past.entity) != 0) | (np.diff(past.known_from) > span)
        return cls(
            Level(past.known_from, labels, span, otherwise),
            Level(past.known_from[new], labels[new], span, otherwise),
        )

    def read(self, cutoff: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, 2) both at each cut-off."""
        return np.stack([self.everyone.read(cutoff), self.newcomers.read(cutoff)], axis=1)
