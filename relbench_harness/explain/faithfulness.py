"""Whether an explanation is true of its predictor: numbers from answers alone, as PyG's `explain.metric` defines them.

Fidelity and characterisation score after GraphFramEx (Amara et al. 2022), unfaithfulness after GraphXAI (Agarwal et al. 2023), deletion
and insertion curves after Petsiuk et al. (2018). Pure functions: they see no predictor and no data.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence, Set
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
DRAWS = 1000


class Fidelity(NamedTuple):
    """Attributes:
    plus: How often the answer changes when the explanation's rows are taken away; higher is better.
    minus: How often it changes when nothing but them is left; lower is better.
    """

    plus: float
    minus: float


def classes_of(predictions: NDArray[np.generic], threshold: float = 0.5) -> NDArray[np.int64]:
    """(n,) classes: of (n,) probabilities whether they exceed the threshold, of (n, classes) the likeliest."""
    if predictions.ndim == 1:
        return (np.asarray(predictions, np.float64) > threshold).astype(np.int64)
    return np.asarray(predictions.argmax(axis=1), np.int64)


def fidelity(
    answer: NDArray[np.int64], only: NDArray[np.int64], without: NDArray[np.int64], truth: NDArray[np.int64] | None = None
) -> Fidelity:
    """Of (n,) classes: the answer, that with the explanation's rows alone, and that without them.

    Args:
        truth: Labels, where the phenomenon is explained rather than the model: then it counts how often being right changes.
    """
    if truth is None:
        return Fidelity(float(1 - (without == answer).mean()), float(1 - (only == answer).mean()))
    right = (answer == truth).astype(np.float64)
    plus = np.abs(right - (without == truth)).mean()
    return Fidelity(float(plus), float(np.abs(right - (only == truth)).mean()))


def characterisation(plus: ArrayLike, minus: ArrayLike, plus_weight: float = 0.5) -> Floats:
    """The weighted harmonic mean of fidelity+ and 1 − fidelity−; 0 where one of them is 0."""
    up, down = np.asarray(plus, np.float64), 1 - np.asarray(minus, np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(1 / (plus_weight / up + (1 - plus_weight) / down))


def fidelity_curve_area(plus: ArrayLike, minus: ArrayLike, x: ArrayLike) -> float:
    """The area under fidelity+ / (1 − fidelity−) over ascending `x`.

    Raises:
        ValueError: `x` does not ascend, or some fidelity− is 1.
    """
    at, down = np.asarray(x, np.float64), np.asarray(minus, np.float64)
    if (np.diff(at) < 0).any():
        raise ValueError("the points of a curve ascend")
    if (down == 1).any():
        raise ValueError("there is a fidelity− of 1, by which nothing can be divided")
    return float(np.trapezoid(np.asarray(plus, np.float64) / (1 - down), at))


def probabilities(predictions: NDArray[np.generic]) -> Floats:
    """(n, classes): the probability of a binary task as that of both classes."""
    values = np.asarray(predictions, np.float64)
    return np.stack([1 - values, values], axis=1) if values.ndim == 1 else values


def unfaithfulness(answer: Floats, only: Floats) -> float:
    """1 − exp(−KL) of (n, classes) probabilities: with all rows, and with the explanation's rows alone. 0 is faithful."""
    return float(1 - np.exp(-divergences(answer, only).mean()))


def divergences(answer: Floats, only: Floats) -> Floats:
    """(n,) the Kullback-Leibler divergence of (n, classes) `only` from `answer`; 0 where they are equal."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(only > 0, only * (np.log(only) - np.log(answer)), 0.0)
    return np.asarray(terms.sum(axis=1))


class Curve(NamedTuple):
    """How far answers move, step by step.

    Attributes:
        at: (k,) how many rows were taken.
        change: (k,) the mean absolute difference to the answer with all rows.
        area: Of the curve over `at`, divided by the last of them: the mean height.
    """

    at: Floats
    change: Floats
    area: float


def curve(plain: Floats, answers: Floats, counts: ArrayLike) -> Curve:
    """From (n,) answers with all rows and (n, k) answers after so many rows were deleted, or put back.

    Of deletion a large area is good: the first rows move the answer far. Of insertion a small one is: they bring it back.
    """
    at = np.asarray(counts, np.float64)
    change = np.abs(answers - plain[:, None]).mean(axis=0)
    return Curve(at, change, float(heights(plain, answers, counts).mean()))


def heights(plain: Floats, answers: Floats, counts: ArrayLike) -> Floats:
    """(n,) the mean height of each example's own curve; their mean is the area of `curve`."""
    at = np.asarray(counts, np.float64)
    change, span = np.abs(answers - plain[:, None]), float(at[-1] - at[0])
    return np.asarray(np.trapezoid(change, at, axis=1) / span if span else change.mean(axis=1))


class Found(NamedTuple):
    """Attributes:
    precision: Which part of the first k rows caused the answer; NaN without rows.
    recall: Which part of the causing rows is among them; NaN where none is known.
    """

    precision: float
    recall: float


def found_among(order: Sequence[Hashable], causing: Set[Hashable], k: int) -> Found:
    """Precision and recall at `k` of an order of rows against those that are known to have caused a label."""
    first = order[:k]
    hits = sum(row in causing for row in first)
    return Found(hits / len(first) if first else float("nan"), hits / len(causing) if causing else float("nan"))


class Mean(NamedTuple):
    """A mean and its 95 % interval."""

    value: float
    low: float
    high: float


def mean_over_entities(values: Floats, entity: NDArray[np.int64], seed: int = 0) -> Mean:
    """The mean of (n,) values, with a bootstrap over entities, whose examples are drawn together."""
    low, high = np.quantile(drawn_means(values[:, None], entity, seed), [0.025, 0.975])
    return Mean(float(values.mean()), float(low), float(high))


def drawn_means(values: Floats, entity: NDArray[np.int64], seed: int = 0) -> Floats:
    """(draws, m) means of (n, m) values over entities that are drawn with replacement, their examples together.

    Equal entities and an equal seed give equal draws, so that differences of two of them are paired.
    """
    known, code = np.unique(entity, return_inverse=True)
    counts, sums = np.bincount(code), np.zeros((len(known), values.shape[1]))
    np.add.at(sums, code, values)
    drawn = np.random.default_rng([seed, 17]).integers(0, len(known), (DRAWS, len(known)))
    return np.asarray(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)[:, None])


def agreement(one: ArrayLike, other: ArrayLike) -> float:
    """The rank correlation (Spearman) of two lists of amounts of the same parts; NaN where one of them does not vary."""
    first, second = (_ranks(np.abs(np.asarray(values, np.float64))) for values in (one, other))
    if len(first) < 2 or not first.std() or not second.std():
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Floats) -> Floats:
    """(n,) ranks, the mean of them for equal values."""
    _, code, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[code])
