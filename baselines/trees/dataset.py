"""Rows that boosters learn from, and which training examples become such rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType
from relbench_harness.features.block import Features
from relbench_harness.protocol.method import Examples

Real = NDArray[np.float32] | NDArray[np.float64]

SAME_TIME_WORTH = 10
"""Prior on how alike the labels of one time are: n examples of one time are worth at most 10 √n independent ones."""
MIN_EXAMPLES_PER_TIME = 200
"""So many examples of one time tell what their labels have in common."""


@dataclass(frozen=True)
class TreeDataset:
    """Feature values and labels.

    Attributes:
        values: (n, f) features, NaN where missing, codes in categorical columns.
        labels: (n,) numbers, class indices or relevances; (n, outputs) of a multilabel task.
        categorical: (f,) which columns hold codes.
        groups: Ranking only: sizes of the runs of rows that belong to one example.
        time: (n,) each example's time, None where rows of a time are no more alike than others.
    """

    values: Real
    labels: NDArray[np.float64]
    categorical: NDArray[np.bool_]
    groups: NDArray[np.int64] | None = None
    time: NDArray[np.int64] | None = None

    @staticmethod
    def of(features: Features, examples: Examples) -> TreeDataset:
        """The features of labelled `examples`."""
        return TreeDataset(features.to_matrix(), examples.values.astype(np.float64), features.native, time=examples.time)

    @property
    def effective_size(self) -> float:
        """How many independent examples these are worth: labels of one time rise and fall together."""
        size = len(self.labels if self.groups is None else self.groups)
        if self.time is None:
            return size
        return min(size, SAME_TIME_WORTH * math.sqrt(size * len(np.unique(self.time))))

    def output(self, number: int) -> TreeDataset:
        """The same with output `number` of a multilabel task as labels; unchanged for other tasks."""
        return replace(self, labels=self.labels[:, number]) if self.labels.ndim == 2 else self

    def demeaned_by_time(self) -> TreeDataset:
        """The same with the labels of each time moved to the common mean, where the time has enough examples to tell its own.

        What all labels of a time share, a season say, does not depend on the entities. With few times, trees would learn it
        from whatever column happens to tell these apart.
        """
        if self.time is None:
            return self
        _, at, count = np.unique(self.time, return_inverse=True, return_counts=True)
        mean = np.bincount(at, self.labels) / count
        shared = np.where(count >= MIN_EXAMPLES_PER_TIME, mean - self.labels.mean(), 0.0)
        return replace(self, labels=self.labels - shared[at])


def concatenated(parts: Sequence[TreeDataset]) -> TreeDataset:
    """The rows of `parts`, which have the same columns, one after the other."""
    groups = [part.groups for part in parts if part.groups is not None]
    times = [part.time for part in parts if part.time is not None]
    return TreeDataset(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.labels for part in parts]),
        parts[0].categorical,
        np.concatenate(groups) if groups else None,
        np.concatenate(times) if times else None,
    )


def labelled(examples: Examples) -> Examples:
    """The examples whose label says something: a class not known at training (−1) does not."""
    if examples.task.type is not TaskType.MULTICLASS:
        return examples
    return examples.take(np.flatnonzero(examples.values >= 0))


def sampled(examples: Examples, most: int, seed: int) -> Examples:
    """At most `most` of the examples, drawn at random, their order kept."""
    return examples if len(examples) <= most else examples.take(sampled_rows(len(examples), most, seed))


def sampled_rows(rows: int, most: int, seed: int) -> NDArray[np.int64]:
    """At most `most` of the numbers below `rows`, ascending."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng([seed, 5]).choice(rows, size=most, replace=False))
