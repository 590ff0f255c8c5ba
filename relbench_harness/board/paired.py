"""Whether two methods differ: their difference on the same examples, with interval, p-value and a plain sentence.

Invariants: both methods are scored on the same draws of entities; p is below 0.05 where the 95 % interval leaves out 0, up to the
chance of the draws; a method's difference does not depend on which others are compared, only its Holm correction does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from relbench_harness.board.intervals import DRAWS, LEVEL, Resamples, Runs, bounds, over_seeds, resampled, true_tail
from relbench_harness.board.predictions import SplitLabels
from relbench_harness.board.weighted import Real
from relbench_harness.errors import InputError, nearest

FEW = 10
"""With fewer draws beyond zero than this, their share is read from the normal curve of all draws."""


class Difference(NamedTuple):
    """`first` against `second` in one metric, on the same examples.

    Attributes:
        difference: first − second, with the 95 % interval from `low` to `high`.
        p: Two-sided, for no difference; NaN with fewer than two entities, or where no draw is defined.
        corrected: p after Holm's correction over all methods of a comparison; p itself where there is one.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    corrected: float
    draws: int
    undefined: int
    examples: int
    entities: int

    @property
    def shown(self) -> bool:
        """Whether a difference is shown at the 5 % level."""
        return bool(self.corrected < 1 - LEVEL)


def paired(metric: str, examples: SplitLabels, first: Runs, second: Runs, draws: int = DRAWS, seed: int = 0) -> Difference:
    """The difference in `metric` between the methods that made the runs `first` and `second`.

    Raises:
        InputError: The task has no such metric, or a run holds no predictions for these examples.
    """
    ours, theirs = (resampled(metric, examples, runs, draws, seed) for runs in (first, second))
    return compared(ours, theirs, seed)


def compared(first: Resamples, second: Resamples, seed: int = 0) -> Difference:
    """The difference that resamples of two methods give, which are of one metric, on the same examples and from one seed."""
    ours, theirs = float(first.actual.mean()), float(second.actual.mean())
    drawn = over_seeds(first.drawn, seed, 0) - over_seeds(second.drawn, seed, 1)
    known = drawn[np.isfinite(drawn)]
    low, high = bounds(known, first.entities)
    p = p_value(known, first.entities)
    counts = (len(known), len(drawn) - len(known), first.examples, first.entities)
    return Difference(ours, theirs, ours - theirs, low, high, p, p, *counts)


def p_value(drawn: Real, entities: int) -> float:
    """The two-sided p-value of no difference: twice the share of draws on the far side of 0, expanded as intervals are."""
    if entities < 2 or len(drawn) == 0:
        return math.nan
    beyond = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    share = (beyond + 1) / (len(drawn) + 1)
    spread = float(drawn.std())
    if beyond < FEW and spread > 0:
        from scipy.stats import norm

        share = min(float(norm.cdf(-abs(float(drawn.mean())) / spread)), (FEW + 1) / (len(drawn) + 1))
    return min(1.0, 2 * true_tail(share, entities)) if share < 0.5 else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm, 1979), in the order given. NaN stays NaN and does not count."""
    values = np.asarray(p, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    values[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in values]


def against(
    chosen: str, metric: str, examples: SplitLabels, methods: Mapping[str, Runs], draws: int = DRAWS, seed: int = 0
) -> dict[str, Difference]:
    """Every other method's difference to the method `chosen`, corrected for how many there are.

    Raises:
        InputError: There is no such method or metric.
    """
    if chosen not in methods:
        raise InputError(f"there is no method {chosen!r} to compare with; {nearest(chosen, methods)}")
    return all_compared(
        chosen, {name: resampled(metric, examples, runs, draws, seed) for name, runs in methods.items()}, seed
    )


def all_compared(chosen: str, made: Mapping[str, Resamples], seed: int = 0) -> dict[str, Difference]:
    """Every other method's difference to the method `chosen`, from resamples of all, corrected for how many there are."""
    found = {name: compared(one, made[chosen], seed) for name, one in made.items() if name != chosen}
    corrected = holm([difference.p for difference in found.values()])
    return {name: d._replace(corrected=p) for (name, d), p in zip(found.items(), corrected, strict=True)}


def in_words(difference: Difference, higher_is_better: bool, digits: int = 3) -> str:
    """The difference as a sentence without its full stop: `0.981 against 0.976 on 139 examples: no difference shown`."""
    if difference.shown:
        # what differs is not printed as equal
        while digits < 12 and f"{difference.first:.{digits}f}" == f"{difference.second:.{digits}f}":
            digits += 1
    values = f"{difference.first:.{digits}f} against {difference.second:.{digits}f}"
    about = f"{values} on {difference.examples:,} example{'' if difference.examples == 1 else 's'}"
    if math.isnan(difference.corrected):
        return f"{about}: too few entities to tell"
    if not difference.shown:
        return f"{about}: no difference shown"
    better = (difference.difference > 0) == higher_is_better
    up = difference.difference > 0
    low, high = (difference.low, difference.high) if up else (-difference.high, -difference.low)
    return (
        f"{about}: {'better' if better else 'worse'} by {abs(difference.difference):.{digits}f} "
        f"(95 % interval {low:.{digits}f} to {high:.{digits}f}, p {_p(difference.corrected)})"
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
