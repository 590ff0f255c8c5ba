"""Which classes to name for the best expected macro F1, given the true probabilities.

The likeliest class of each question is best for accuracy, not for macro F1: that counts every class alike, so a class that
is named rarely gains more by one name more. There is no closed form; this climbs to a point where no other name for any
one question scores better on average over labels drawn from the probabilities.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DRAWS = 2_000
SWEEPS = 20


def named(chance: NDArray[np.float64], draws: int = DRAWS) -> NDArray[np.int64]:
    """(n,) class of each question.

    Args:
        chance: (n, classes) probabilities of independent labels.
    """
    n, classes = chance.shape
    random = np.random.default_rng(0)
    edges = np.cumsum(chance, axis=1)[:, :-1]
    label = np.stack([(random.random(n)[:, None] > edges).sum(axis=1) for _ in range(draws)], axis=1).astype(np.int8)
    choice = chance.argmax(axis=1)
    every = np.arange(classes)
    count = np.stack([(label == c).sum(axis=0) for c in every], axis=1).astype(np.float64)
    hit = np.stack([(label[choice == c] == c).sum(axis=0) for c in every], axis=1).astype(np.float64)
    times = np.bincount(choice, minlength=classes)
    for _ in range(SWEEPS):
        before = choice.copy()
        for i in range(n):
            old = choice[i]
            mine = label[i][:, None] == every
            hit[:, old] -= mine[:, old]
            times[old] -= 1
            without, live = _f1(hit, count, times)
            with_it, _ = _f1(hit + mine, count, times + 1)
            rest, alive = without.sum(axis=1, keepdims=True), live.sum(axis=1, keepdims=True)
            mean = ((rest - without + with_it) / (alive + ~live)).mean(axis=0)
            # a gain below what adding up loses is none, or ties would never settle
            choice[i] = mean.argmax() if mean.max() > mean[old] + 1e-12 else old
            hit[:, choice[i]] += mine[:, choice[i]]
            times[choice[i]] += 1
        if (choice == before).all():
            break
    return choice


def _f1(
    hit: NDArray[np.float64], count: NDArray[np.float64], times: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(draws, classes) F1 of each class, 0 where it neither occurs nor is named; and whether it occurs or is named."""
    either = count + times
    return 2 * hit / np.maximum(either, 1), either > 0


def leading(chance: NDArray[np.float64], choice: NDArray[np.int64]) -> NDArray[np.float64]:
    """`chance` with the largest entry of each row moved to its `choice`, the two changing places."""
    rows, best = np.arange(len(chance)), chance.argmax(axis=1)
    moved = chance.copy()
    # a little more than its equals, so that it is found where all are alike
    moved[rows, choice] = chance[rows, best] * (1 + 1e-6)
    moved[rows, best] = np.where(choice == best, moved[rows, best], chance[rows, choice])
    return moved
