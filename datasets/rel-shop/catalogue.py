"""What is for sale: categories, brands, products that keep arriving, their prices and the promotions that change them.

A price list holds for a whole epoch and is announced before it starts, so at the start it is known to everyone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from . import settings as s

CATEGORIES = ("kitchen", "bath", "garden", "office", "toys", "shirts", "trousers", "sports")
DEPARTMENTS = ("home", "home", "outdoor", "home", "leisure", "clothing", "clothing", "outdoor")
COLOURS = ("white", "black", "red", "green", "grey", "dark blue")
MATERIALS = ("cotton", "wood", "steel", "plastic", "glass")
COUNTRIES = ("DE", "FR", "IT", "PL", "PT", "TR")
DARK_BLUE = COLOURS.index("dark blue")
PRICE_MEAN = np.log(np.array([9.0, 7.0, 14.0, 5.0, 8.0, 16.0, 22.0, 18.0]))
PRICE_SPREAD = 0.45
SPECIAL = 0.7
"""A brand's product is of its hidden speciality with this probability, else of any category."""
STEP = 0.5
LIKED = np.array([[0, 1], [2, 7], [5, 6], [3, 4]])
"""The categories that each taste prefers."""


def affinity(on: bool) -> NDArray[np.float64]:
    """(tastes, categories) factor on the weight of a product."""
    if not on:
        return np.ones((s.TASTES, len(CATEGORIES)))
    liked = np.full((s.TASTES, len(CATEGORIES)), s.TASTE_OTHER)
    np.put_along_axis(liked, LIKED, s.TASTE_LIKED, axis=1)
    return liked


def look(values: int, on: bool) -> NDArray[np.float64]:
    """(categories, values) probability of each colour or material given the category."""
    c, v = np.meshgrid(np.arange(len(CATEGORIES)), np.arange(values), indexing="ij")
    weight = 1.0 + on * (4.0 * (v == c % values) + 2.0 * (v == (2 * c + 1) % values))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Catalogue:
    """Products in order of launch.

    Attributes:
        launched: (products,) nanoseconds since 1970, ascending.
        price: (epochs, products) unit price in force.
        weight: (epochs, products) how often it is chosen, apart from taste; 0 before it is for sale.
        promotions: Columns of the table of announced prices, in time order.
    """

    launched: NDArray[np.int64]
    category: NDArray[np.int8]
    brand: NDArray[np.int32]
    colour: NDArray[np.int8]
    material: NDArray[np.int8]
    list_price: NDArray[np.float64]
    facings: NDArray[np.int16]
    own_label: NDArray[np.bool_]
    stains: NDArray[np.bool_]
    speciality: NDArray[np.int8]
    price: NDArray[np.float32]
    weight: NDArray[np.float32]
    promotions: dict[str, NDArray[np.generic]]

    def __len__(self) -> int:
        return len(self.launched)


def price_chance(price: NDArray[np.float64], on: bool) -> NDArray[np.float64]:
    """(n, categories) probability of each list price (a multiple of `STEP`) given the category."""
    from scipy.special import ndtr

    mean = PRICE_MEAN if on else np.full(len(CATEGORIES), PRICE_MEAN.mean())
    upper = np.log(price + STEP / 2)[:, None]
    lower = np.where(price > STEP, np.log(np.maximum(price - STEP / 2, 1e-9)), -np.inf)[:, None]
    return np.asarray(ndtr((upper - mean) / PRICE_SPREAD) - ndtr((lower - mean) / PRICE_SPREAD))


def stock(seed: int, scale: float, causes: frozenset[str]) -> Catalogue:
    """The catalogue of a world."""
    random = s.stream(seed, 1)
    brands = max(4, round(s.BRANDS * scale**0.5))
    speciality = random.integers(0, len(CATEGORIES), brands).astype(np.int8)
    season = s.SEASON * s.EPOCH
    brand = [np.repeat(np.arange(brands), s.FIRST_PRODUCTS)]
    launched = [s.START - random.integers(s.DAY, 90 * s.DAY, len(brand[0]))]
    for number in range(s.EPOCHS // s.SEASON):
        launching = np.flatnonzero(random.random(brands) < s.LAUNCH)
        brand.append(launching)
        launched.append(s.START + number * season + random.integers(s.DAY, season - s.DAY, len(launching)))
    order = np.argsort(np.concatenate(launched), kind="stable")
    who, when = np.concatenate(brand)[order], np.concatenate(launched)[order]
    when -= when % (60 * s.SECOND)
    n = len(who)
    own = random.random(n) < (SPECIAL if "brand" in causes else 0.0)
    category = np.where(own, speciality[who], random.integers(0, len(CATEGORIES), n)).astype(np.int8)
    seen = "look" in causes
    colour = _drawn(random, look(len(COLOURS), seen), category)
    material = _drawn(random, look(len(MATERIALS), seen), category)
    mean = PRICE_MEAN[category] if seen else np.full(n, PRICE_MEAN.mean())
    price = np.maximum(np.round(np.exp(random.normal(mean, PRICE_SPREAD)) / STEP), 1) * STEP
    facings = np.minimum(1 + random.pareto(1.1, n) * 2, 60).astype(np.int16)
    prices, sale, promotions = _prices(random, when, price)
    available = when[None, :] < (s.START + np.arange(s.EPOCHS) * s.EPOCH)[:, None]
    weight = (available * facings * np.where(sale, 1.5, 1.0)).astype(np.float32)
    return Catalogue(
        launched=when,
        category=category,
        brand=who.astype(np.int32),
        colour=colour,
        material=material,
        list_price=price,
        facings=facings,
        own_label=random.random(n) < 0.27,
        stains=(colour == DARK_BLUE) & (random.random(n) < 0.35),
        speciality=speciality,
        price=prices,
        weight=weight,
        promotions=promotions,
    )


def _drawn(random: np.random.Generator, chance: NDArray[np.float64], category: NDArray[np.int8]) -> NDArray[np.int8]:
    edges = np.cumsum(chance, axis=1)[category]
    return np.asarray((random.random(len(category))[:, None] > edges[:, :-1]).sum(axis=1), dtype=np.int8)


def _prices(
    random: np.random.Generator, launched: NDArray[np.int64], listed: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], dict[str, NDArray[np.generic]]]:
    """Prices by epoch, who is on sale when, and the announcements of both."""
    n = len(launched)
    price = np.empty((s.EPOCHS, n), np.float32)
    sale = np.zeros((s.EPOCHS, n), np.bool_)
    log, current = np.zeros(n), listed.copy()
    rows: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8], NDArray[np.float64], int, int]] = []
    for epoch in range(s.EPOCHS):
        start = s.instant(epoch)
        if epoch % s.SEASON == 0:
            announced = start - random.integers(3_600, 10 * 86_400, n) * s.SECOND
            moved = np.flatnonzero((announced > launched) & (random.random(n) < 0.5))
            log[moved] += random.uniform(-0.05, 0.3, len(moved))
            current[moved] = _rounded(listed[moved] * np.exp(log[moved]))
            rows.append((announced[moved], moved, np.zeros(len(moved), np.int8), current[moved], start, 0))
        announced = start - random.integers(3_600, 7 * 86_400, n) * s.SECOND
        cut = np.flatnonzero((announced > launched) & (random.random(n) < 0.08))
        price[epoch] = current
        price[epoch, cut] = _rounded(current[cut] * (1 - random.uniform(0.1, 0.35, len(cut))))
        sale[epoch, cut] = True
        rows.append(
            (announced[cut], cut, np.ones(len(cut), np.int8), price[epoch, cut].astype(float), start, start + s.EPOCH)
        )
    parts = [np.concatenate([np.asarray(r[i]) for r in rows]) for i in range(4)]
    starts = np.concatenate([np.full(len(r[0]), r[4]) for r in rows])
    ends = np.concatenate([np.full(len(r[0]), r[5]) for r in rows])
    order = np.argsort(parts[0], kind="stable")
    names = ("announced", "product_id", "kind", "price")
    table = {name: part[order] for name, part in zip(names, parts, strict=True)}
    return price, sale, {**table, "starts": starts[order], "ends": ends[order]}


def _rounded(price: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.maximum(np.round(price / STEP), 1) * STEP)


def tables(goods: Catalogue) -> dict[str, pa.Table]:
    """categories, brands, products and promotions, in canonical order."""
    number = np.arange
    country = (np.arange(len(goods.speciality)) * 7 + 3) % len(COUNTRIES)
    ends = goods.promotions["ends"]
    return {
        "categories": pa.table(
            {"category_id": number(len(CATEGORIES)), "name": list(CATEGORIES), "department": list(DEPARTMENTS)}
        ),
        "brands": pa.table({"brand_id": number(len(country)), "country": _words(COUNTRIES, country)}),
        "products": pa.table(
            {
                "product_id": number(len(goods)),
                "launched": times(goods.launched),
                "category_id": goods.category.astype(np.int64),
                "brand_id": goods.brand.astype(np.int64),
                "category_name": _words(CATEGORIES, goods.category),
                "colour": _words(COLOURS, goods.colour),
                "material": _words(MATERIALS, goods.material),
                "list_price": goods.list_price,
                "facings": goods.facings.astype(np.int64),
                "own_label": goods.own_label,
            }
        ),
        "promotions": pa.table(
            {
                "promotion_id": number(len(ends)),
                "announced": times(goods.promotions["announced"]),
                "product_id": goods.promotions["product_id"],
                "kind": _words(("new price", "sale"), goods.promotions["kind"]),
                "price": goods.promotions["price"],
                "starts": times(goods.promotions["starts"]),
                "ends": pa.array(ends, mask=ends == 0).cast(pa.timestamp("ns")),
            }
        ),
    }


def times(instants: NDArray[np.generic]) -> pa.Array:
    return pa.array(np.asarray(instants, dtype=np.int64)).cast(pa.timestamp("ns"))


def _words(words: tuple[str, ...], codes: NDArray[np.generic]) -> pa.Array:
    return pa.array(words).take(pa.array(np.asarray(codes, dtype=np.int32)))
