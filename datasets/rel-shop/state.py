"""What the world remembers of each customer between epochs: all of it could be read off the rows so far.

`signals` turns it into the visible causes of coming: additions to the log-odds, one array per cause.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import settings as s
from .people import Customers
from .shopping import Basket


@dataclass
class Memory:
    """Per customer, as of the start of an epoch.

    Attributes:
        favourites: (n, `REMEMBERED`) products of the last lines, latest first, −1 where there were fewer.
        last_line: Row number of the latest line, −1 before the first.
        small_nights: (2, n) small purchases at night in the last epoch and in the one before.
        dark: (customer, product) of recent purchases of dark blue products, by epoch.
        stained: (products,) whether a stain was ever the reason of a return.
        fraud: (`FRAUD_EPOCHS`, n) whether the customer committed fraud in each of the last epochs.
    """

    last_visit: NDArray[np.int64]
    last_bought: NDArray[np.int64]
    card: NDArray[np.bool_]
    own: NDArray[np.bool_]
    favourites: NDArray[np.int32]
    last_line: NDArray[np.int64]
    rude: NDArray[np.bool_]
    small_nights: NDArray[np.int16]
    excess: NDArray[np.float32]
    dark: list[tuple[NDArray[np.int64], NDArray[np.int32]]]
    stained: NDArray[np.bool_]
    fraud: NDArray[np.bool_]

    @classmethod
    def blank(cls, n: int, products: int) -> Memory:
        never = np.iinfo(np.int64).min // 2
        nobody = (np.empty(0, np.int64), np.empty(0, np.int32))
        return cls(
            last_visit=np.full(n, never),
            last_bought=np.full(n, never),
            card=np.zeros(n, np.bool_),
            own=np.zeros(n, np.bool_),
            favourites=np.full((n, s.REMEMBERED), -1, np.int32),
            last_line=np.full(n, -1),
            rude=np.zeros(n, np.bool_),
            small_nights=np.zeros((2, n), np.int16),
            excess=np.zeros(n, np.float32),
            dark=[nobody, nobody],
            stained=np.zeros(products, np.bool_),
            fraud=np.zeros((s.FRAUD_EPOCHS, n), np.bool_),
        )

    def turn(self) -> None:
        """Make room for a new epoch."""
        self.small_nights[1] = self.small_nights[0]
        self.small_nights[0] = 0
        self.fraud[1:] = self.fraud[:-1].copy()
        self.fraud[0] = False
        self.rude[:] = False
        self.excess[:] = 0

    def remember(self, basket: Basket, first: int, last: int) -> None:
        """Take in what the customers `first` to `last` did, all but what needs the others."""
        np.maximum.at(self.last_visit, basket.visitor, basket.visited)
        self.rude[basket.visitor[basket.rude]] = True
        buyer = basket.visitor[basket.visit_of]
        order = np.lexsort((basket.bought, buyer))
        for kept, seen in (
            (self.last_bought, basket.bought),
            (self.card, basket.card),
            (self.own, basket.any_own),
        ):
            kept[buyer[order]] = seen[order]
        self.small_nights[0, first:last] = np.bincount(buyer[basket.small_night] - first, minlength=last - first)
        shopper = buyer[basket.bought_in] - first
        order = np.lexsort((basket.position, basket.bought[basket.bought_in], shopper))
        self.favourites[first:last] = _latest(
            self.favourites[first:last], shopper[order], basket.product[order], last - first
        )


def _latest(old: NDArray[np.int32], shopper: NDArray[np.int64], product: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """The last products of each customer, latest first. The new ones come by shopper, then in order."""
    new = np.bincount(shopper, minlength=n)
    source = np.arange(s.REMEMBERED)[None, :] - new[:, None]
    kept = np.where(source >= 0, np.take_along_axis(old, np.maximum(source, 0), axis=1), -1)
    place = np.repeat(np.cumsum(new), new) - 1 - np.arange(len(shopper))
    recent = place < s.REMEMBERED
    kept[shopper[recent], place[recent]] = product[recent]
    return np.asarray(kept, dtype=np.int32)


def signals(
    memory: Memory, customers: Customers, epoch: int, count: int, causes: frozenset[str]
) -> dict[str, NDArray[np.float64]]:
    """Cause → (count,) addition to the log-odds of coming, for the first `count` customers."""
    now, strength = s.instant(epoch), s.STRENGTH
    found: dict[str, NDArray[np.float64]] = {}
    if "rude" in causes:
        found["rude"] = strength.rude * memory.rude[:count]
    if "stain" in causes:
        hit = np.zeros(count)
        for who, product in memory.dark:
            hit[who[memory.stained[product]]] = 1
        found["stain"] = strength.stain * hit
    if "night" in causes:
        early = "drift" in causes and epoch < s.DRIFT_EPOCH
        weight = strength.night_before_drift if early else strength.night
        found["night"] = weight * np.minimum(memory.small_nights[:, :count].sum(axis=0), s.NIGHT_MOST) / s.NIGHT_MOST
    if "price" in causes:
        found["price"] = strength.price * np.clip(memory.excess[:count] / s.PRICE_UNIT, 0, 2)
    if "recency" in causes:
        since = np.maximum(memory.last_bought[:count], customers.joined[:count])
        found["recency"] = strength.recency * -np.expm1(-(now - since) / s.DAY / s.RECENCY_DAYS)
    if "interaction" in causes:
        signs = np.where(memory.card[:count] == memory.own[:count], 1.0, -1.0)
        found["interaction"] = strength.interaction * np.where(memory.last_line[:count] >= 0, signs, 0.0)
    return found


def fraud_chance(memory: Memory, customers: Customers, count: int, causes: frozenset[str]) -> NDArray[np.float64]:
    """(count,) probability of fraud in the coming epoch."""
    if "rings" not in causes:
        return np.where(memory.last_line[:count] >= 0, s.NO_RINGS_FRAUD, 0.0)
    guilty = memory.fraud[:, :count].any(axis=0)
    near = np.zeros(count, np.bool_)
    for group in (customers.address[:count], customers.device[:count]):
        near |= (np.bincount(group, weights=guilty)[group] - guilty) > 0.5
    chance = s.FRAUD + s.FRAUD_CONTAGION * near
    return np.where(memory.last_line[:count] >= 0, chance, 0.0)
