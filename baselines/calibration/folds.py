"""Choices on validation that do not overfit: what is compared was fitted on other entities.

Invariant: all examples of an entity are in one fold, and differences vary by entity, since its examples are no independent evidence.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
"""Parts of validation; each is judged by what the others say."""


def entity_folds(entity: NDArray[np.int64], seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows to fit on and rows to judge by, for each of at most `FOLDS` folds."""
    found, which = np.unique(entity, return_inverse=True)
    fold = np.random.default_rng([seed, 43]).permutation(len(found))[which] % FOLDS
    for number in range(min(FOLDS, len(found))):
        yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)


def is_above_noise(gains: NDArray[np.float64], entity: NDArray[np.int64], noise: float) -> bool:
    """Whether the mean of `gains` is above 0 by more than `noise` standard errors, clustered by entity.

    Args:
        gains: (n,) by how much each example's loss is smaller.
        entity: (n,) whom each example is about.
    """
    clusters = np.bincount(np.unique(entity, return_inverse=True)[1], gains - gains.mean())
    return bool(gains.sum() > noise * np.sqrt((clusters**2).sum()))
