"""What the rows reveal about hidden traits: exact posteriors, updated once per epoch.

Loyalty (two kinds) and the level of the store (three) decide together whether a customer comes, so they are judged
together: given the store's level its customers are independent, hence the level's posterior is the product of what each
of them says. Appetite is judged from how often, taste from what was bought; both are independent of the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import settings as s


@dataclass
class Beliefs:
    """Posteriors, one row per customer unless said otherwise.

    Attributes:
        loyal: (n, levels) probability that the customer is loyal, given the level of the store.
        store: (stores, levels) log of the unnormalised posterior of each store's level.
        appetite: (n,) log-odds of a large appetite.
        taste: (n, tastes) log of the unnormalised posterior.
    """

    loyal: NDArray[np.float64]
    store: NDArray[np.float64]
    appetite: NDArray[np.float64]
    taste: NDArray[np.float32]

    @classmethod
    def prior(cls, customers: int, stores: int) -> Beliefs:
        levels = len(s.STORE_LEVELS)
        return cls(
            np.full((customers, levels), s.LOYAL),
            np.zeros((stores, levels)),
            np.full(customers, np.log(s.LARGE_APPETITE / (1 - s.LARGE_APPETITE))),
            np.zeros((customers, s.TASTES), np.float32),
        )

    def store_weights(self) -> NDArray[np.float64]:
        """(stores, levels) posterior of each store's level."""
        weight = np.exp(self.store - self.store.max(axis=1, keepdims=True))
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))

    def taste_weights(self, rows: slice | NDArray[np.int64]) -> NDArray[np.float64]:
        log = self.taste[rows].astype(np.float64)
        weight = np.exp(log - log.max(axis=1, keepdims=True))
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))

    def large_appetite(self, rows: slice | NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(1 / (1 + np.exp(-self.appetite[rows])))


def logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-x)))


def coming(seen: NDArray[np.float64], loyalty: bool, store: bool) -> NDArray[np.float64]:
    """(n, levels, 2) probability of coming for each store level and each kind of customer (flighty, loyal).

    Args:
        seen: (n,) log-odds from the visible causes.
    """
    level = s.STRENGTH.store * s.STORE_LEVELS * store
    kind = s.STRENGTH.loyalty * np.array([-1.0, 1.0]) * loyalty
    return logistic(seen[:, None, None] + level[None, :, None] + kind[None, None, :])


def expected(chance: NDArray[np.float64], loyal: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) probability of coming given what is visible. `weight`: (n, levels) posterior of the store's level."""
    given_level = chance[:, :, 1] * loyal + chance[:, :, 0] * (1 - loyal)
    return np.asarray((given_level * weight).sum(axis=1))


def learned(
    chance: NDArray[np.float64], loyal: NDArray[np.float64], came: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Posterior of loyalty after an epoch, and (n, levels) what it says about the store: the log-likelihood."""
    seen = np.where(came[:, None, None], chance, 1 - chance)
    joint = np.stack([(1 - loyal) * seen[:, :, 0], loyal * seen[:, :, 1]])
    total = joint.sum(axis=0)
    return joint[1] / total, np.log(total)


def appetite_odds(purchases: NDArray[np.int64]) -> NDArray[np.float64]:
    """Change of the log-odds of a large appetite on seeing so many purchases in an epoch."""
    small, large = s.APPETITE
    return np.asarray((purchases - 1) * np.log(large / small) - (large - small))
