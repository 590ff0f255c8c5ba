"""Training examples split by their own time, for a model that learns from the earlier ones and is read on the later ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.protocol.method import Examples


class EarlierPart(NamedTuple):
    """The earlier examples, and the time of the first one after them, nanoseconds."""

    examples: Examples
    since: int


def earlier_part(examples: Examples, share: float) -> EarlierPart:
    """The earlier `share` of the examples, those of one time together; where there is one time, all of them."""
    order = np.sort(examples.time)
    since = int(order[min(len(order) - 1, int(share * len(order)))])
    early = examples.time < since
    return EarlierPart(examples.take(np.flatnonzero(early)) if early.any() else examples, since)


def numbers_since(examples: Examples, since: int) -> NDArray[np.int64]:
    """The numbers of the examples at `since` or later, ascending."""
    return np.flatnonzero(examples.time >= since)
