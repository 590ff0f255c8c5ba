"""Training questions made as stale as the ones to be answered.

In the frozen regime the database ends before most questions are asked: a test question's newest row may be years old,
while every training question sees rows up to its own day. A model that never saw stale history trusts it too much.
Here a training question's database is cut as long before it as later questions have it. Whether that helps differs by
task, and a few hundred questions of validation, or a few rehearsals at cut-offs inside the training data, hardly tell; the
mean of forests grown both ways (`blend`) is close to the better one everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from relbench_harness.protocol.method import Examples

Way = Literal["fresh", "stale", "mixed"]
"""Training questions as they are, cut back, or both."""
Staleness = Literal["fresh", "stale", "mixed", "blend"]
WAYS: Mapping[Staleness, tuple[Way, ...]] = {
    "blend": ("fresh", "mixed"),
    "mixed": ("mixed",),
    "stale": ("stale",),
    "fresh": ("fresh",),
}
"""How training questions are shown to the forests whose mean answers."""

Gaps = NDArray[np.int64]


def gaps(questions: Examples) -> Gaps:
    """The distinct times between a question and the end of what it sees, one per time at which questions are asked."""
    first = np.unique(questions.time, return_index=True)[1]
    return np.asarray((questions.time - questions.cutoff)[first], dtype=np.int64)


def stale(examples: Examples, gaps: Gaps, seed: int) -> Examples:
    """`examples`, each question cut back by one of `gaps` (at random, at least as much as it was)."""
    drawn = np.random.default_rng([seed, 77]).choice(gaps, size=len(examples))
    return replace(examples, cutoff=np.minimum(examples.cutoff, examples.time - drawn))


def origins(train: Examples, gaps: Gaps, most: int) -> Iterator[tuple[NDArray[np.int64], Examples]]:
    """Rehearsals of the frozen regime inside `train`, latest first.

    Yields:
        The rows of `train` whose label windows had closed at an origin, and the questions that follow it within the
        longest of `gaps`, seeing what was there at the origin.
    """
    horizon = int(train.task.horizon.value)
    span = int(gaps.max()) + horizon
    end = int(train.time.max()) + horizon
    for number in range(1, most + 1):
        origin = end - number * span
        before = np.flatnonzero(train.time + horizon <= origin)
        after = np.flatnonzero((train.time >= origin) & (train.time < origin + span))
        if len(before) < 2 * len(after) or not len(after):
            return
        asked = train.take(after)
        yield before, replace(asked, cutoff=np.minimum(asked.cutoff, origin))
