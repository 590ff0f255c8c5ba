"""Training questions made as stale as the ones to be answered.

In the frozen regime the database ends before most questions are asked: a test question's newest row may be years old,
while every training question sees rows up to its own day. A model that never saw stale history trusts it too much.
Here a training question's database is cut as long before it as later questions have it. Whether that helps differs by
task; rolling-origin cut-offs inside the training data decide, where the truth is known and no later label is touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from relbench_harness.protocol.method import Examples

Staleness = Literal["fresh", "stale", "mixed"]
"""Training questions as they are, cut back, or both."""
CHOICES: tuple[Staleness, ...] = ("mixed", "stale", "fresh")

Gaps = NDArray[np.int64]


def gaps(questions: Examples) -> Gaps:
    """The distinct times between a question and the end of what it sees, one per time at which questions are asked."""
    first = np.unique(questions.time, return_index=True)[1]
    return np.asarray((questions.time - questions.cutoff)[first], dtype=np.int64)


def stale(examples: Examples, gaps: Gaps, seed: int) -> Examples:
    """`examples`, all questions of one time cut back by one of `gaps` (at random, at least as much as they were)."""
    times, which = np.unique(examples.time, return_inverse=True)
    drawn = np.random.default_rng([seed, 77]).choice(gaps, size=len(times))
    return replace(examples, cutoff=np.minimum(examples.cutoff, examples.time - drawn[which]))


def both(first: Examples, second: Examples) -> Examples:
    """The questions of `first`, then those of `second`, about the same database."""
    labels = None if first.labels is None else np.concatenate([first.values, second.values])
    return replace(
        first,
        entity=np.concatenate([first.entity, second.entity]),
        time=np.concatenate([first.time, second.time]),
        cutoff=np.concatenate([first.cutoff, second.cutoff]),
        labels=labels,
    )


def aged(examples: Examples, gaps: Gaps, way: Staleness, seed: int) -> Examples:
    """`examples` as training is to show them."""
    if way == "fresh":
        return examples
    old = stale(examples, gaps, seed)
    return old if way == "stale" else both(examples, old)


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
