"""How old the newest row is that an example may see, and training examples made as old as later ones will be.

In the frozen regime the database ends before most test examples: their newest row may be years old, while every training
example sees rows up to its own time. A model that never saw stale history trusts it too much.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.protocol.method import Examples


def staleness_of(examples: Examples) -> NDArray[np.int64]:
    """(times,) nanoseconds between an example and the end of what it sees, one for each distinct time of the examples."""
    first = np.unique(examples.time, return_index=True)[1]
    return np.asarray((examples.time - examples.cutoff)[first], dtype=np.int64)


def simulate_staleness(
    examples: Examples, staleness: NDArray[np.int64], random: np.random.Generator, share: float = 1.0
) -> Examples:
    """`examples`, a `share` of them seeing rows up to one of `staleness` before their own time, at most as much as they saw.

    Args:
        staleness: (s,) nanoseconds, from which one is drawn at random for each example.
    """
    drawn = random.choice(staleness, size=len(examples))
    if share < 1:
        drawn = drawn * (random.random(len(examples)) < share)
    return replace(examples, cutoff=np.minimum(examples.cutoff, examples.time - drawn))
