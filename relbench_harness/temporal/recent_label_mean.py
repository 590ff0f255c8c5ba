"""The mean of the latest labels of all entities, and of those without a recent label of their own.

Labels drift: fewer cars start than once did. A model that is fitted to all of the past predicts its mean.

Invariant: only labels that are known at the cut-off count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from relbench_harness.temporal.closed_labels import ClosedLabels
from relbench_harness.temporal.running_totals import Series
from relbench_harness.temporal.stretch import Stretch


class TrailingLabels:
    """Means over the latest labels known at a time.

    Args:
        known_from: (m,) nanoseconds from which each label is known, in any order.
        labels: (m,) numbers.
        span: Nanoseconds before the latest known label within which labels count.
        default: The mean where no label is known yet.
    """

    def __init__(self, known_from: NDArray[np.int64], labels: NDArray[np.float64], span: int, default: float) -> None:
        order = np.argsort(known_from, kind="stable")
        self._known_from, self._span, self._default = known_from[order], span, default
        self._labels = Series(labels[order], np.array([0, len(labels)]))

    def mean(self, cutoff: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) the mean at each cut-off."""
        last = np.searchsorted(self._known_from, cutoff, side="right")
        some = last > 0
        out = np.full(len(cutoff), self._default)
        latest = self._known_from[last[some] - 1]
        first = np.searchsorted(self._known_from, latest - self._span, side="right")
        stretch = Stretch(first.astype(np.int64), last[some].astype(np.int64))
        out[some] = self._labels.mean(np.zeros(len(first), np.int64), stretch)
        return out


@dataclass(frozen=True)
class RecentLabelMean:
    """The recent mean of all labels, and of cold-start labels, whose entity had none within `span` before."""

    all_entities: TrailingLabels
    cold_start: TrailingLabels

    @classmethod
    def of(cls, past: ClosedLabels, labels: NDArray[np.float64], span: int, default: float) -> Self:
        """From (m,) `labels`, the numbers of `past`."""
        new = np.ones(len(past), np.bool_)
        new[1:] = (np.diff(past.entity) != 0) | (np.diff(past.known_from) > span)
        return cls(
            TrailingLabels(past.known_from, labels, span, default),
            TrailingLabels(past.known_from[new], labels[new], span, default),
        )

    def read(self, cutoff: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, 2) both means at each cut-off."""
        return np.stack([self.all_entities.mean(cutoff), self.cold_start.mean(cutoff)], axis=1)
