"""The true distribution of every label given what is visible: in closed form, from the beliefs written with the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.random import Generator
from numpy.typing import NDArray

from relbench_harness.data.truth import Truth

from . import catalogue
from . import settings as s
from .catalogue import CATEGORIES, COLOURS, MATERIALS, STEP, Catalogue
from .macro_f1 import leading, named
from .shopping import Assortment

GRID = 1024
"""Multiples of `STEP` on which spending is distributed; no median lies beyond."""
DAMPING = 1e-7 ** (1 / GRID)
"""Weight of each further step, so that the probability of what lies beyond the grid folds back 1e-7 times smaller."""
CHUNK = 256


@dataclass(frozen=True)
class Known:
    """What is believed about the customers of some questions, all asked at the start of one epoch."""

    epoch: int
    churn: NDArray[np.float64]
    fraud: NDArray[np.float64]
    appetite: NDArray[np.float64]
    taste: NDArray[np.float64]
    favourites: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64] | slice) -> Known:
        return Known(
            self.epoch,
            self.churn[rows],
            self.fraud[rows],
            self.appetite[rows],
            self.taste[rows],
            self.favourites[rows],
        )


def known(folder: Path, entity: NDArray[np.int64], time: int) -> Known:
    """The beliefs about customers `entity` at `time`, as they were written when the rows were drawn."""
    epoch, late = divmod(time - s.START, s.EPOCH)
    if late or not 0 <= epoch < s.EPOCHS:
        raise ValueError(f"the truth is known at the starts of the {s.EPOCHS} epochs, not at {np.datetime64(time, 'ns')}")
    with pa.memory_map(str(folder / f"{epoch:02d}.arrow"), "r") as source:
        table = pa.ipc.open_file(source).read_all()
    written = np.asarray(table["customer_id"])
    rows = np.searchsorted(written, entity)
    if len(entity) and not (written[rows.clip(max=len(written) - 1)] == entity).all():
        raise ValueError(f"the truth about a customer is unknown at {np.datetime64(time, 'ns')}")

    def column(name: str) -> NDArray[np.float64]:
        return np.asarray(table[name])[rows]

    return Known(
        int(epoch),
        column("churn"),
        column("fraud"),
        column("appetite"),
        np.column_stack([column(f"taste{k}") for k in range(s.TASTES)]),
        np.column_stack([column(f"favourite{k}") for k in range(s.REMEMBERED)]).astype(np.int64),
    )


@dataclass(frozen=True)
class World:
    """What is fixed in a world: its parameters and its catalogue."""

    folder: Path
    goods: Catalogue
    causes: frozenset[str]

    @cached_property
    def repeat(self) -> float:
        return s.REPEAT if "repeat" in self.causes else 0.0

    @cached_property
    def eager(self) -> NDArray[np.float64]:
        """(2,) expected purchases beyond the first of small and large appetite."""
        return s.APPETITE if "appetite" in self.causes else np.full(2, s.NO_APPETITE)

    def offer(self, epoch: int) -> Assortment:
        return Assortment.of(self.goods, epoch, catalogue.affinity("taste" in self.causes))


def lines_chance(z: NDArray[np.generic], eager: NDArray[np.float64]) -> list[NDArray[np.generic]]:
    """The generating function of how many lines a customer who comes buys in an epoch, at `z`, for each appetite."""
    one = z * np.exp(s.LINES * (z - 1))
    return [one * np.exp(each * (one - 1)) for each in eager]


# -- each task --------------------------------------------------------------------------------------------------------


def binary(chance: NDArray[np.float64]) -> Truth:
    return Truth(chance, lambda random: pa.array((random.random(len(chance)) < chance).astype(np.int64)))


def spend(world: World, who: Known) -> Truth:
    """Spending is a compound sum: none if the customer stays away, else lines × (price × quantity).

    Its distribution given taste and appetite has the generating function G(φ(ω)), inverted by a fast Fourier transform on
    the grid of prices; the beliefs mix it.
    """
    offer = world.offer(who.epoch)
    steps = np.round(offer.price / STEP).astype(np.int64)
    waves = _waves(steps)
    by_taste = offer.share @ waves
    median = np.concatenate(
        [_medians(world, who.take(slice(at, at + CHUNK)), waves, by_taste) for at in range(0, len(who.churn), CHUNK)]
        or [np.empty(0)]
    )
    unit = float(s.QUANTITY @ np.arange(1, 4))
    fresh = who.taste @ (offer.share @ offer.price)
    known = (who.favourites >= 0).sum(axis=1)
    old = np.where(who.favourites >= 0, offer.price[who.favourites], 0).sum(axis=1) / np.maximum(known, 1)
    repeat = world.repeat * (known > 0)
    purchases = 1 + world.eager[0] * (1 - who.appetite) + world.eager[1] * who.appetite
    each = unit * ((1 - repeat) * fresh + repeat * old)
    expectation = (1 - who.churn) * purchases * (1 + s.LINES) * each

    def draw(random: Generator) -> pa.Array:
        comes = np.flatnonzero(random.random(len(who.churn)) >= who.churn)
        owner, product, quantity = simulated(random, world, who.take(comes), offer)
        paid = np.bincount(owner, weights=offer.price[product] * quantity, minlength=len(comes))
        total = np.zeros(len(who.churn))
        total[comes] = paid
        return pa.array(total)

    return Truth(median, draw, expectation)


def _waves(steps: NDArray[np.int64]) -> NDArray[np.complex128]:
    """(products, GRID / 2 + 1) characteristic function of the amount of one line of each product."""
    log = np.log(DAMPING) - 2j * np.pi * np.arange(GRID // 2 + 1) / GRID
    one = np.exp(log[None, :] * steps[:, None])
    return np.asarray(s.QUANTITY[0] * one + s.QUANTITY[1] * one**2 + s.QUANTITY[2] * one**3)


def _medians(
    world: World, who: Known, waves: NDArray[np.complex128], by_taste: NDArray[np.complex128]
) -> NDArray[np.float64]:
    valid = who.favourites >= 0
    known = valid.sum(axis=1)
    old = (waves[who.favourites] * valid[:, :, None]).sum(axis=1) / np.maximum(known, 1)[:, None]
    repeat = (world.repeat * (known > 0))[:, None]
    total = np.zeros_like(old)
    for k in range(s.TASTES):
        line = (1 - repeat) * by_taste[k] + repeat * old
        small, large = lines_chance(line, world.eager)
        weight = who.taste[:, k, None] * who.appetite[:, None]
        total += (who.taste[:, k, None] - weight) * small + weight * large
    given_coming = np.cumsum(np.fft.irfft(total, n=GRID, axis=1) / DAMPING ** np.arange(GRID), axis=1)
    below = who.churn[:, None] + (1 - who.churn[:, None]) * given_coming
    return np.asarray((below < 0.5).sum(axis=1) * STEP)


def products(world: World, who: Known, k: int = 10) -> Truth:
    """A product is among those bought with probability 1 − G(1 − its share of lines), mixed over the beliefs."""
    offer = world.offer(who.epoch)
    top = [_likeliest(world, who.take(slice(at, at + CHUNK)), offer, k) for at in range(0, len(who.churn), CHUNK)]

    def draw(random: Generator) -> pa.Array:
        owner, product, _ = simulated(random, world, who, offer)
        pairs = np.unique(owner * len(offer.price) + product)
        counts = np.bincount(pairs // len(offer.price), minlength=len(who.churn))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(pairs % len(offer.price)))

    return Truth(np.concatenate(top) if top else np.empty((0, k), np.int64), draw)


def _likeliest(world: World, who: Known, offer: Assortment, k: int) -> NDArray[np.int64]:
    valid = who.favourites >= 0
    known = valid.sum(axis=1)
    repeat = world.repeat * (known > 0)
    chance = np.zeros((len(who.churn), len(offer.price)))
    old = np.zeros_like(chance)
    row, column = np.nonzero(valid)
    np.add.at(old, (row, who.favourites[row, column]), 1 / known[row])
    for taste in range(s.TASTES):
        share = (1 - repeat)[:, None] * offer.share[taste] + repeat[:, None] * old
        small, large = lines_chance(1 - share, world.eager)
        weight = who.taste[:, taste, None] * who.appetite[:, None]
        chance += (who.taste[:, taste, None] - weight) * (1 - small) + weight * (1 - large)
    return np.asarray(np.argsort(-chance, axis=1, kind="stable")[:, :k])


def simulated(
    random: Generator, world: World, who: Known, offer: Assortment
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Lines bought in an epoch by customers who come, drawn from the beliefs: (lines,) owner, product, quantity."""
    n = len(who.churn)
    appetite = (random.random(n) < who.appetite).astype(np.int64)
    taste = (random.random(n)[:, None] > np.cumsum(who.taste, axis=1)[:, :-1]).sum(axis=1)
    purchases = 1 + random.poisson(world.eager[appetite])
    lines = purchases + random.poisson(s.LINES * purchases)
    owner = np.repeat(np.arange(n), lines)
    product = np.empty(len(owner), np.int64)
    for k in range(s.TASTES):
        here = np.flatnonzero(taste[owner] == k)
        edges = offer.edges[k]
        product[here] = np.searchsorted(edges, random.random(len(here)) * edges[-1], side="right")
    known = (who.favourites >= 0).sum(axis=1)[owner]
    again = np.flatnonzero((random.random(len(owner)) < world.repeat) & (known > 0))
    which = (random.random(len(again)) * known[again]).astype(np.int64)
    product[again] = who.favourites[owner[again], which]
    quantity = 1 + np.searchsorted(np.cumsum(s.QUANTITY)[:-1], random.random(len(owner)), side="right")
    return owner, product, quantity


def category(world: World, entity: NDArray[np.int64], cutoff: NDArray[np.int64]) -> Truth:
    """Bayes: the brand's speciality is judged from its products launched before `cutoff`, whose categories are labels.

    P(c) ∝ P(look, price | c) · Σ_s P(s | earlier products) · P(c | s).
    """
    goods, kinds = world.goods, len(CATEGORIES)
    seen = "look" in world.causes
    look = (
        catalogue.look(len(COLOURS), seen)[:, goods.colour[entity]].T
        * catalogue.look(len(MATERIALS), seen)[:, goods.material[entity]].T
        * catalogue.price_chance(goods.list_price[entity], seen)
    )
    own = catalogue.SPECIAL if "brand" in world.causes else 0.0
    given = own * np.eye(kinds) + (1 - own) / kinds
    said = np.zeros((len(entity), kinds))
    for place, (product, before) in enumerate(zip(entity, cutoff, strict=True)):
        earlier = (goods.brand == goods.brand[product]) & (goods.launched < before)
        said[place] = np.log(given)[:, goods.category[earlier]].sum(axis=1)
    speciality = np.exp(said - said.max(axis=1, keepdims=True, initial=-np.inf))
    joint = look * ((speciality / speciality.sum(axis=1, keepdims=True)) @ given)
    chance = joint / joint.sum(axis=1, keepdims=True)

    def draw(random: Generator) -> pa.Array:
        code = (random.random(len(entity))[:, None] > np.cumsum(chance, axis=1)[:, :-1]).sum(axis=1)
        return pa.array(CATEGORIES).take(pa.array(code))

    return Truth(leading(chance, named(chance)), draw, chance, classes=CATEGORIES)


def all_epochs(folder: Path, entity: NDArray[np.int64], time: NDArray[np.int64], one: Callable[[Known], Truth]) -> Truth:
    """The truth of questions asked at several times, each time's by `one`."""
    instants = np.unique(time)
    if len(instants) == 1:
        return one(known(folder, entity, int(instants[0])))
    rows = [np.flatnonzero(time == at) for at in instants]
    parts = [one(known(folder, entity[here], int(at))) for here, at in zip(rows, instants, strict=True)]
    back = np.argsort(np.concatenate(rows), kind="stable")

    def draw(random: Generator) -> pa.Array:
        return pa.concat_arrays([part.draw(random) for part in parts]).take(pa.array(back))

    expected = [part.expectation for part in parts if part.expectation is not None]
    return Truth(
        np.concatenate([part.answers for part in parts])[back],
        draw,
        np.concatenate(expected)[back] if expected else None,
    )
