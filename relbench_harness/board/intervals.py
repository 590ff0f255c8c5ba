"""How sure a score is: intervals by a bootstrap over entities and seeds.

The examples of one entity are alike, so all of them are drawn together. Each draw also takes as many runs as there are
seeds, with replacement; what they differ by is scaled so that the variance of the mean over few seeds is not understated (Rao
and Wu, 1988). The ends of an interval are quantiles of the draws, moved outwards for few entities as the t distribution
says (the expanded percentile interval of Hesterberg, 2015).

Invariant: draws depend on the examples and the seed alone, so that no method changes the interval of another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.board.predictions import SplitLabels
from relbench_harness.board.weighted import Entities, Real, entities_of, statistic

DRAWS = 1000
LEVEL = 0.95
CELLS = 4_000_000
"""How many weights are held at once."""
Runs = Sequence[NDArray[np.generic]]
"""The predictions of each run of a method, one run a seed."""


class Interval(NamedTuple):
    """A metric's mean over seeds and where it lies with a probability of 95 %.

    Attributes:
        low, high: NaN with fewer than two entities, or where no draw is defined.
        draws: How many resamples count.
        undefined: How many were left out because the metric is undefined there, as with one class only.
    """

    value: float
    low: float
    high: float
    draws: int
    undefined: int
    examples: int
    entities: int
    seeds: int


def interval(metric: str, examples: SplitLabels, runs: Runs, draws: int = DRAWS, seed: int = 0) -> Interval:
    """The interval of `metric` for the method that made `runs`.

    Raises:
        InputError: The task has no such metric, or a run holds no predictions for these examples.
    """
    return interval_of(resampled(metric, examples, runs, draws, seed), seed)


class Resamples(NamedTuple):
    """A metric of some runs.

    Attributes:
        actual: (runs,) on the examples as they are.
        drawn: (runs, draws) on resamples of entities, the same ones for every run.
        examples, entities: How many there are.
    """

    actual: Real
    drawn: Real
    examples: int
    entities: int


def resampled(metric: str, examples: SplitLabels, runs: Runs, draws: int = DRAWS, seed: int = 0) -> Resamples:
    """`metric` of every run, on the examples and on `draws` resamples of their entities."""
    entities = entities_of(examples)
    each = [statistic(metric, examples, run, entities) for run in runs]
    actual = np.concatenate([value(np.ones((1, entities.number))) for value in each])
    blocks = [np.stack([value(counts) for value in each]) for counts in entity_counts(entities, draws, seed)]
    return Resamples(actual, np.concatenate(blocks, axis=1), len(examples), entities.number)


def interval_of(made: Resamples, seed: int = 0) -> Interval:
    """The interval that resamples give."""
    drawn = over_seeds(made.drawn, seed, 0)
    known = drawn[np.isfinite(drawn)]
    low, high = bounds(known, made.entities)
    counts = (len(known), len(drawn) - len(known), made.examples, made.entities, len(made.actual))
    return Interval(float(made.actual.mean()), low, high, *counts)


def entity_counts(entities: Entities, draws: int, seed: int) -> Iterator[Real]:
    """(some draws, entities) how often each entity is drawn, as many as there are entities in each draw."""
    random, n = np.random.default_rng(seed), entities.number
    most = max(1, CELLS // max(len(entities.code), 1))
    for start in range(0, draws, most):
        chosen = np.stack([random.integers(0, n, size=n) for _ in range(min(most, draws - start))])
        cells = chosen + n * np.arange(len(chosen))[:, None]
        yield np.bincount(cells.ravel(), minlength=chosen.size).reshape(chosen.shape).astype(np.float64)


def over_seeds(values: Real, seed: int, stream: int) -> Real:
    """(draws,) means over runs drawn with replacement, from (runs, draws) values.

    Args:
        stream: Methods that are compared draw their runs from different streams.
    """
    runs, draws = values.shape
    mean = np.asarray(values.mean(axis=0))
    if runs == 1:
        return mean
    chosen = np.random.default_rng([seed, 1 + stream]).integers(0, runs, size=(runs, draws))
    drawn = np.take_along_axis(values, chosen, axis=0).mean(axis=0)
    return np.asarray(mean + math.sqrt(runs / (runs - 1)) * (drawn - mean))


def bounds(drawn: Real, entities: int, level: float = LEVEL) -> tuple[float, float]:
    """The ends of the interval that defined draws give."""
    if entities < 2 or len(drawn) == 0:
        return math.nan, math.nan
    tail = expanded_tail((1 - level) / 2, entities)
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def expanded_tail(tail: float, entities: int) -> float:
    """Which quantile of a bootstrap has `tail` below it in truth, if it resamples as few as `entities`."""
    from scipy.stats import norm, t

    return float(norm.cdf(math.sqrt(entities / (entities - 1)) * t.ppf(tail, entities - 1)))


def true_tail(tail: float, entities: int) -> float:
    """The inverse of `expanded_tail`."""
    from scipy.stats import norm, t

    return float(t.cdf(norm.ppf(tail) / math.sqrt(entities / (entities - 1)), entities - 1))
