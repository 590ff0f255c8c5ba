"""What orders of rows score in every measure of faithfulness, and how sure it is that one order is more faithful than another.

Invariant: a difference is paired. Both orders are judged on the same examples, and on the same entities of every draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.explain.faithfulness import (
    Floats,
    Mean,
    characterisation,
    classes_of,
    divergences,
    drawn_means,
    heights,
    probabilities,
)
from relbench_harness.explain.orders import Trials
from relbench_harness.explain.variants import Subject

HIGHER_IS_BETTER: Mapping[str, bool] = {
    "fidelity+": True,
    "fidelity−": False,
    "characterisation": True,
    "unfaithfulness": False,
    "deletion": True,
    "insertion": False,
}
"""Measure → which direction is the faithful one."""


class Compared(NamedTuple):
    """One measure of two orders of rows.

    Attributes:
        one, other: Its value for each.
        difference: Of the first minus the second, with its 95 % interval.
    """

    one: float
    other: float
    difference: Mean

    def is_better(self, measure: str) -> bool:
        """Whether the first order is the more faithful one and the interval leaves out 0."""
        return self.difference.low > 0 if HIGHER_IS_BETTER[measure] else self.difference.high < 0


def scored(subject: Subject, trials: Trials, rows: int, threshold: float = 0.5) -> Floats:
    """(n, 5) what measures are means of: whether the class changes without the explanation and with it alone, the divergence with it
    alone, and the heights of the curves of deletion and insertion.

    Args:
        rows: How many first rows are the explanation; one of `trials.counts`.
        threshold: Where the two classes of a probability meet.
    """
    place = trials.counts.index(rows)
    answer, without, only = (
        classes_of(given, threshold) for given in (subject.given, trials.deleted[:, place], trials.kept[:, place])
    )
    curves = [
        heights(
            subject.plain,
            np.stack([subject.output.of(some[:, k]) for k in range(len(trials.counts))], axis=1),
            trials.counts,
        )
        for some in (trials.deleted, trials.kept)
    ]
    divergence = divergences(probabilities(subject.given), probabilities(trials.kept[:, place]))
    return np.stack([without != answer, only != answer, divergence, *curves], axis=1).astype(np.float64)


def measures(means: Floats) -> Floats:
    """(…, 6) the measures, in the order of `HIGHER_IS_BETTER`, from (…, 5) means of what `scored` gives."""
    plus, minus, divergence, deletion, insertion = np.moveaxis(means, -1, 0)
    score = characterisation(plus, minus)
    return np.stack([plus, minus, score, 1 - np.exp(-divergence), deletion, insertion], axis=-1)


def compared(one: Floats, other: Floats, entity: NDArray[np.int64], seed: int = 0) -> dict[str, Compared]:
    """Measure → both orders and their difference, with a bootstrap over entities, whose examples are drawn together.

    Args:
        one, other: (n, 5) what `scored` gives for each order.
        entity: (n,) whose example each is.
    """
    values = [measures(each.mean(axis=0)) for each in (one, other)]
    drawn = measures(drawn_means(one, entity, seed)) - measures(drawn_means(other, entity, seed))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return {
        name: Compared(float(a), float(b), Mean(float(a - b), float(least), float(most)))
        for name, a, b, least, most in zip(HIGHER_IS_BETTER, *values, low, high, strict=True)
    }
