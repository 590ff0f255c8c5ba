"""Any method, fitted several times from different seeds; their mean answer is steadier than each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Budget, Countdown, Examples, Method, Predictor, refitted


@dataclass(frozen=True)
class Averaged:
    """The mean of `n` fits of `method`; for recommendations the items with the greatest sum of reciprocal ranks."""

    method: Method
    n: int = 3

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InputError(f"an average is taken of at least 1 fit, got n={self.n}")

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        """Fit number i has seed `1000 · budget.seed + i` and its share of the budget's seconds."""
        countdown, members = Countdown(budget), list[Predictor]()
        for number in range(self.n):
            share = countdown.part(1 / (self.n - number))
            members.append(self.method.fit(train, valid, replace(share, seed=1000 * budget.seed + number)))
        return FittedAverage(tuple(members))


@dataclass(frozen=True)
class FittedAverage:
    """Attributes: notes: What of the method is left out, if anything."""

    members: tuple[Predictor, ...]
    notes: Mapping[str, object] = field(default_factory=dict)

    def predict(self, examples: Examples) -> NDArray[np.generic]:
        answers = [member.predict(examples) for member in self.members]
        if examples.task.type is TaskType.RECOMMENDATION:
            return fused([np.asarray(answer, dtype=np.int64) for answer in answers])
        return np.asarray(np.mean([np.asarray(answer, dtype=np.float64) for answer in answers], axis=0))

    def refit(self, examples: Examples) -> FittedAverage:
        return FittedAverage(tuple(refitted(member, examples) for member in self.members), self.notes)


def fused(answers: Sequence[NDArray[np.int64]], weights: Sequence[float] | None = None) -> NDArray[np.int64]:
    """(n, k) items by reciprocal rank fusion (Cormack et al. 2009) of several (n, k) rankings; −1 names no item.

    Args:
        weights: Of the rankings; None for equal ones.
    """
    rows, k = answers[0].shape
    example = np.tile(np.repeat(np.arange(rows), k), len(answers))
    item = np.concatenate([answer.ravel() for answer in answers])
    points = np.tile(1 / (60 + np.arange(k)), rows * len(answers))
    if weights is not None:
        points = points * np.repeat(weights, rows * k)
    named = item >= 0
    example, item, points = example[named], item[named], points[named]
    width = int(item.max(initial=0)) + 1
    keys, place = np.unique(example * width + item, return_inverse=True)
    total = np.bincount(place, weights=points, minlength=len(keys))
    order = np.lexsort((keys % width, -total, keys // width))
    owner = keys[order] // width
    rank = np.arange(len(order)) - np.searchsorted(owner, owner)
    answer = np.full((rows, k), -1, dtype=np.int64)
    first = rank < k
    answer[owner[first], rank[first]] = (keys % width)[order][first]
    return answer
