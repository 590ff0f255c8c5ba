"""Scores of a backtest with intervals: at each origin, and what one policy gains over another.

Invariants: policies are compared on the same draws of entities. An interval of a mean over origins draws an entity at all
origins together, for the same entity is often answered at several of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from relbench_harness.backtests.carry_out import Cell
from relbench_harness.board.intervals import DRAWS, Interval, Resamples, entity_counts, interval_of, resampled
from relbench_harness.board.paired import Difference, compared
from relbench_harness.board.weighted import Entities, Real, statistic

PAIRS = (("every", "never"), ("warm", "never"), ("every", "warm"))
"""The differences that are of interest, first minus second."""


class Gain(NamedTuple):
    """What policy `first` gains over `second` at `origin` (None: the mean over all origins after the first).

    Attributes:
        age: Days since the model of `second` learned.
    """

    first: str
    second: str
    origin: int | None
    age: float
    difference: Difference


class Scored(NamedTuple):
    """A backtest in figures.

    Attributes:
        intervals: (policy, origin) → its score; a cell that failed has none.
        means: Policy → the mean over all origins after the first, where the policy has a score at each.
    """

    metric: str
    intervals: dict[tuple[str, int], Interval]
    means: dict[str, Interval]
    gains: list[Gain]


def scored_cells(metric: str, cells: Sequence[Cell], draws: int = DRAWS) -> Scored:
    """The scores of `cells`, and the differences between their policies."""
    good = {(c.policy, c.origin): c for c in cells if c.predictions is not None}
    made = {key: resampled(metric, c.labels, [_answers(c)], draws) for key, c in good.items()}
    last = max(c.origin for c in cells)
    policies = list(dict.fromkeys(c.policy for c in cells))
    after = {p: [good[p, k] for k in range(1, last + 1) if (p, k) in good] for p in policies}
    whole = {p: joint(metric, found, draws) for p, found in after.items() if len(found) == last}
    gains = []
    for first, second in PAIRS:
        for k in range(1, last + 1):
            if (first, k) in made and (second, k) in made:
                gains.append(Gain(first, second, k, good[second, k].age, compared(made[first, k], made[second, k])))
        if first in whole and second in whole:
            age = float(np.mean([c.age for c in after[second]]))
            gains.append(Gain(first, second, None, age, compared(whole[first], whole[second])))
    return Scored(
        metric,
        {key: interval_of(one) for key, one in made.items()},
        {policy: interval_of(one) for policy, one in whole.items()},
        gains,
    )


def joint(metric: str, cells: Sequence[Cell], draws: int = DRAWS, seed: int = 0) -> Resamples:
    """The mean of `metric` over `cells`, on resamples of all entities that occur in them."""
    everybody = np.unique(np.concatenate([cell.labels.entity for cell in cells]))
    numbered = [Entities(np.searchsorted(everybody, cell.labels.entity), len(everybody)) for cell in cells]
    each = [
        statistic(metric, cell.labels, _answers(cell), entities) for cell, entities in zip(cells, numbered, strict=True)
    ]

    def mean(counts: Real) -> Real:
        return np.asarray(np.mean([value(counts) for value in each], axis=0))

    examples = sum(len(cell.labels) for cell in cells)
    entities = Entities(np.concatenate([one.code for one in numbered]), len(everybody))
    drawn = np.concatenate([mean(counts) for counts in entity_counts(entities, draws, seed)])
    return Resamples(mean(np.ones((1, len(everybody)))), drawn[None, :], examples, len(everybody))


def _answers(cell: Cell) -> np.ndarray:
    assert cell.predictions is not None
    return cell.predictions


def seconds_of(cells: Sequence[Cell], policy: str) -> tuple[float, float]:
    """Seconds of learning and of answering over all origins."""
    own = [cell for cell in cells if cell.policy == policy]
    return math.fsum(c.fit_seconds for c in own), math.fsum(c.predict_seconds for c in own)
