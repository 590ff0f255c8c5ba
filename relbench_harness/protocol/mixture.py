"""Answers of several methods made one: weighted means, fused rankings, and weights that validation likes best.

Invariant: weights depend on the answers to validation and their quality alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType

ROUNDS = 20
"""How many answers are added up in greedy selection; weights are multiples of 1 / ROUNDS."""


def mixed(
    kind: TaskType, answers: Sequence[NDArray[np.generic]], weights: Sequence[float] | None = None
) -> NDArray[np.float64] | NDArray[np.int64]:
    """The weighted mean of answers; for recommendations the items with the greatest weighted sum of reciprocal ranks.

    Args:
        weights: Of the answers; None for equal ones.
    """
    if kind is TaskType.RECOMMENDATION:
        return fused([np.asarray(answer, dtype=np.int64) for answer in answers], weights)
    if weights is None:
        return np.asarray(np.mean([np.asarray(answer, dtype=np.float64) for answer in answers], axis=0))
    total = sum(weights)
    shares = [np.asarray(a, np.float64) * (w / total) for a, w in zip(answers, weights, strict=True)]
    return np.asarray(np.sum(shares, axis=0))


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


def greedy_weights(
    kind: TaskType, answers: Sequence[NDArray[np.generic]], quality: Callable[[NDArray[np.generic]], float]
) -> list[float]:
    """The weight of each answer to validation by greedy selection with replacement (Caruana et al., 2004).

    In each of `ROUNDS` rounds the answer is added that improves the mixture most; of equals the one that it holds most of.

    Args:
        quality: How good an answer is, no NaN; higher is better.
    """
    if len(answers) == 1:
        return [1.0]
    counts = [0] * len(answers)
    for _ in range(ROUNDS):
        reached = []
        for more in range(len(answers)):
            tried = [count + (number == more) for number, count in enumerate(counts)]
            chosen = [(a, float(n)) for a, n in zip(answers, tried, strict=True) if n]
            reached.append(quality(mixed(kind, [a for a, _ in chosen], [n for _, n in chosen])))
        counts[max(range(len(answers)), key=lambda number: (reached[number], counts[number]))] += 1
    return [count / ROUNDS for count in counts]
