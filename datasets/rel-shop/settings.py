"""The constants of the world: its clock, its sizes, the causes and their strengths. docs/rel-shop.md explains them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator, Philox, SeedSequence

from relbench_harness.errors import InputError

# -- the clock: everything that a customer decides is decided at the start of an epoch ---------------------------------
SECOND = 10**9
DAY = 86_400 * SECOND
EPOCH_DAYS = 30
EPOCH = EPOCH_DAYS * DAY
EPOCHS = 24
SEASON = 3
"""Epochs per season; prices, staff and the catalogue change with the season, and the cuts lie between seasons."""
START = int(np.datetime64("2023-01-02", "ns").astype(np.int64))


def instant(epoch: int) -> int:
    """The start of an epoch, nanoseconds since 1970."""
    return START + epoch * EPOCH


# -- causes -----------------------------------------------------------------------------------------------------------
CAUSES = (
    "rude",
    "stain",
    "night",
    "price",
    "recency",
    "interaction",
    "drift",
    "loyalty",
    "store",
    "appetite",
    "taste",
    "repeat",
    "rings",
    "brand",
    "look",
)


def chosen(causes: str) -> frozenset[str]:
    """The causes that `all`, `none` or names joined by `+` switch on."""
    if causes in ("all", "none"):
        return frozenset(CAUSES if causes == "all" else ())
    named = [c for c in str(causes).split("+") if c]
    for name in named:
        if name not in CAUSES:
            raise InputError(f"rel-shop knows no cause {name!r}; known: all, none or {', '.join(CAUSES)} joined by +")
    return frozenset(named)


class Strength(NamedTuple):
    """Additions to the log-odds of coming to the shop in an epoch."""

    base: float = 1.3
    rude: float = -1.7
    stain: float = -1.4
    night: float = -1.9
    night_before_drift: float = 1.1
    price: float = -1.8
    recency: float = -2.6
    interaction: float = 0.75
    loyalty: float = 0.9
    store: float = 0.7


STRENGTH = Strength()
RECENCY_DAYS = 42.0
SMALL = 30.0
"""A purchase below this amount is small."""
NIGHT_MOST = 2
"""So many small purchases at night have the full effect."""
PRICE_UNIT = 0.15
"""A rise of log price by this much over comparable products has the full effect; twice as much is the most."""
DRIFT_EPOCH = EPOCHS // 2
ACTIVE_DAYS = 90
BOUGHT_DAYS = 180

# -- hidden traits ----------------------------------------------------------------------------------------------------
LOYAL = 0.5
STORE_LEVELS = np.array([-1.0, 0.0, 1.0])
APPETITE = np.array([0.35, 2.4])
"""Expected purchases beyond the first, in an epoch in which a customer comes, of small and of large appetite."""
LARGE_APPETITE = 0.4
NO_APPETITE = float(APPETITE[0] * (1 - LARGE_APPETITE) + APPETITE[1] * LARGE_APPETITE)
TASTES = 4
TASTE_LIKED, TASTE_OTHER = 6.0, 0.5
REPEAT = 0.3
REMEMBERED = 6

# -- shopping ---------------------------------------------------------------------------------------------------------
BROWSE = 0.35
LINES = 1.2
"""Expected lines of a purchase beyond the first."""
QUANTITY = np.array([0.76, 0.17, 0.07])
WEB = 0.35
NIGHT_OWL, NIGHT_SHARE = 0.25, 0.7
RETURNED, STAIN_RETURNED = 0.05, 0.4
WEEKDAY = np.array([0.9, 0.85, 0.95, 1.05, 1.35, 1.6, 0.7])
HOUR = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0.5, 0.9, 1.2, 1.3, 1.1, 0.9, 0.8, 0.9, 1.2, 1.6, 1.7, 1.2, 0.7, 0.35, 0, 0])
NIGHT_HOURS = np.array([22, 23, 0, 1, 2, 3, 4, 5])
OPENS, CHANGES, CLOSES = 8, 15, 22

# -- fraud ------------------------------------------------------------------------------------------------------------
FRAUD, FRAUD_CONTAGION = 0.002, 0.16
FRAUD_EPOCHS = 2
NO_RINGS_FRAUD = 0.005

# -- sizes at scale 1 -------------------------------------------------------------------------------------------------
CUSTOMERS = 1_500
INITIAL_CUSTOMERS = 0.42
STORES = 6
POSITIONS = 4
BRANDS = 40
FIRST_PRODUCTS = 6
"""Products per brand at the opening; later each brand launches at most one in a season."""
LAUNCH = 0.75
BLOCK = 16_384
"""Customers whose shopping is drawn from one stream of random numbers."""


def stream(seed: int, *name: int) -> Generator:
    """The random numbers called `name`: the same whoever draws them, in whatever order."""
    return Generator(Philox(SeedSequence((seed, *name))))
