"""One epoch of shopping by a block of customers: who comes was decided before; here is when, what and how much.

Everything is drawn from the block's own stream of random numbers, so the rows do not depend on who draws them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from . import settings as s
from .catalogue import Catalogue
from .people import Customers


@dataclass(frozen=True)
class Assortment:
    """What an epoch offers: `share` (tastes, products) the probability of each product in a line that is no repeat."""

    share: NDArray[np.float64]
    edges: NDArray[np.float64]
    price: NDArray[np.float32]
    stains: NDArray[np.bool_]
    own_label: NDArray[np.bool_]

    @classmethod
    def of(cls, goods: Catalogue, epoch: int, liked: NDArray[np.float64]) -> Assortment:
        """`liked`: (tastes, categories) factor on the weight of a product."""
        weight = goods.weight[epoch] * liked[:, goods.category]
        share = weight / weight.sum(axis=1, keepdims=True)
        return cls(share, np.cumsum(share, axis=1), goods.price[epoch], goods.stains, goods.own_label)


@dataclass
class Basket:
    """The rows of a block in an epoch. `visit_of` and `bought_in` number visits and purchases within the block."""

    visitor: NDArray[np.int64]
    visited: NDArray[np.int64]
    web: NDArray[np.bool_]
    rude: NDArray[np.bool_]
    minutes: NDArray[np.int16]
    visit_of: NDArray[np.int64]
    bought: NDArray[np.int64]
    card: NDArray[np.bool_]
    amount: NDArray[np.float64]
    small_night: NDArray[np.bool_]
    any_own: NDArray[np.bool_]
    bought_in: NDArray[np.int64]
    position: NDArray[np.int8]
    product: NDArray[np.int32]
    quantity: NDArray[np.int8]
    returned_after: NDArray[np.int64]
    reason: NDArray[np.int8]


REASONS = ("size", "changed mind", "stains", "fraud")
STAINS, FRAUD = 2, 3


def shop(
    random: Generator,
    epoch: int,
    who: NDArray[np.int64],
    customers: Customers,
    favourites: NDArray[np.int32],
    offer: Assortment,
    rude_shift: NDArray[np.bool_],
    repeats: bool,
    appetite: NDArray[np.float64],
) -> Basket:
    """What the customers `who`, all of whom come, do in an epoch. `favourites` and `appetite` are theirs, row by row."""
    purchases = 1 + random.poisson(appetite)
    browses = random.poisson(s.BROWSE, len(who))
    visits = purchases + browses
    owner = np.repeat(np.arange(len(who)), visits)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(visits) - visits, visits)
    buys = np.flatnonzero(place < purchases[owner])
    visited, web, rude = _visits(random, epoch, who[owner], customers, rude_shift)
    bought = visited[buys] + random.integers(60, 25 * 60, len(buys)) * s.SECOND
    bought = np.minimum(bought, s.instant(epoch + 1) - s.SECOND)
    lines = 1 + random.poisson(s.LINES, len(buys))
    bought_in = np.repeat(np.arange(len(buys)), lines)
    position = np.arange(len(bought_in)) - np.repeat(np.cumsum(lines) - lines, lines)
    shopper = owner[buys][bought_in]
    product = _chosen(random, customers.taste[who[shopper]], favourites[shopper], offer, repeats)
    quantity = 1 + np.searchsorted(np.cumsum(s.QUANTITY)[:-1], random.random(len(product)), side="right")
    amount = np.bincount(bought_in, weights=offer.price[product] * quantity, minlength=len(buys))
    hour = (bought // (3_600 * s.SECOND)) % 24
    after, reason = _returns(random, offer.stains[product])
    return Basket(
        visitor=who[owner],
        visited=visited,
        web=web,
        rude=rude,
        minutes=np.clip(random.lognormal(2.5, 0.6, len(owner)), 1, 240).astype(np.int16),
        visit_of=buys,
        bought=bought,
        card=random.random(len(buys)) < 0.5,
        amount=amount,
        small_night=((hour >= s.CLOSES) | (hour < 6)) & (amount < s.SMALL),
        any_own=np.bincount(bought_in, weights=offer.own_label[product], minlength=len(buys)) > 0,
        bought_in=bought_in,
        position=position.astype(np.int8),
        product=product,
        quantity=quantity.astype(np.int8),
        returned_after=after,
        reason=reason,
    )


def _visits(
    random: Generator, epoch: int, visitor: NDArray[np.int64], customers: Customers, rude_shift: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """When, whether on the web, and whether a rude employee was on shift."""
    n, start = len(visitor), s.instant(epoch)
    weekday = (np.arange(s.EPOCH_DAYS) + start // s.DAY + 3) % 7
    day = _pick(random, s.WEEKDAY[weekday], n)
    # those who joined in this epoch come on a later day of it
    since = (customers.joined[visitor] - start) // s.DAY
    fresh = since >= 0
    day = np.where(fresh, since + 1 + day % np.where(fresh, s.EPOCH_DAYS - 1 - since, 1), day)
    night = customers.owl[visitor] & (random.random(n) < s.NIGHT_SHARE)
    web = night | (random.random(n) < s.WEB)
    hour = np.where(night, s.NIGHT_HOURS[random.integers(0, len(s.NIGHT_HOURS), n)], _pick(random, s.HOUR, n))
    # no row falls on the very start of an epoch, where questions are asked
    visited = start + day * s.DAY + (hour * 3_600 + random.integers(1, 3_600, n)) * s.SECOND
    half = (hour >= s.CHANGES).astype(np.int64)
    served = rude_shift[day, half, customers.store[visitor]]
    return visited, web, served & ~web


def _pick(random: Generator, weight: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    edges = np.cumsum(weight) / weight.sum()
    return np.minimum(np.searchsorted(edges, random.random(n), side="right"), len(weight) - 1)


def _chosen(
    random: Generator,
    taste: NDArray[np.int8],
    favourites: NDArray[np.int32],
    offer: Assortment,
    repeats: bool,
) -> NDArray[np.int32]:
    """The product of each line: one of the customer's last, or a fresh choice by taste."""
    drawn = random.random(len(taste))
    fresh = np.empty(len(taste), np.int32)
    for k in range(s.TASTES):
        here = np.flatnonzero(taste == k)
        edges = offer.edges[k]
        fresh[here] = np.searchsorted(edges, drawn[here] * edges[-1], side="right")
    known = (favourites >= 0).sum(axis=1)
    again = (random.random(len(taste)) < s.REPEAT) & (known > 0)
    which = (random.random(len(taste)) * known).astype(np.int64)
    old = np.take_along_axis(favourites, which[:, None], axis=1)[:, 0]
    return np.where(again, old, fresh).astype(np.int32) if repeats else fresh


def _returns(random: Generator, stains: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Nanoseconds until each line is returned (0: never) and why."""
    n = len(stains)
    chance = random.random(n)
    stained = stains & (chance < s.STAIN_RETURNED)
    other = ~stained & (random.random(n) < s.RETURNED)
    after = random.integers(36 * 3_600, 12 * 86_400, n) * s.SECOND
    reason = np.where(stained, STAINS, random.integers(0, 2, n)).astype(np.int8)
    return np.where(stained | other, after, 0), reason
