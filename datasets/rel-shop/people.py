"""Who shops and who serves: customers with their hidden traits, addresses and devices; stores, employees, shifts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from . import settings as s
from .catalogue import times

CITIES = ("Aachen", "Bergen", "Cadiz", "Delft", "Erfurt", "Faro", "Gdansk", "Halle")


@dataclass(frozen=True)
class Customers:
    """Customers in order of joining; `first[e]:first[e + 1]` join during epoch e, those before `first[0]` before it all.

    `loyal`, `appetite`, `taste` and `owl` are hidden: no table shows them.
    """

    joined: NDArray[np.int64]
    first: NDArray[np.int64]
    store: NDArray[np.int32]
    address: NDArray[np.int32]
    device: NDArray[np.int32]
    loyal: NDArray[np.int8]
    appetite: NDArray[np.int8]
    taste: NDArray[np.int8]
    owl: NDArray[np.bool_]
    born: NDArray[np.int16]
    newsletter: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.joined)


def people(seed: int, scale: float, stores: int) -> Customers:
    random = s.stream(seed, 2)
    n = max(50, round(s.CUSTOMERS * scale))
    initial = round(n * s.INITIAL_CUSTOMERS)
    edges = initial + np.round(np.linspace(0, n - initial, s.EPOCHS + 1)).astype(np.int64)
    parts = [np.sort(s.START - random.integers(60, 90 * 86_400, initial) * s.SECOND)]
    for epoch in range(s.EPOCHS):
        # a first visit follows on a later day of the same epoch
        day = random.integers(0, s.EPOCH_DAYS - 3, edges[epoch + 1] - edges[epoch])
        second = random.integers(7 * 3_600, 23 * 3_600, len(day))
        parts.append(np.sort(s.instant(epoch) + day * s.DAY + second * s.SECOND))
    born = random.integers(1940, 2008, n).astype(np.int16)
    born[random.random(n) < 0.12] = 0
    joined = np.concatenate(parts)
    return Customers(
        joined=joined,
        first=edges,
        store=random.integers(0, stores, n).astype(np.int32),
        address=_shared(random, n, 0.35, (2, 5)),
        device=_shared(random, n, 0.15, (3, 6)),
        loyal=(random.random(n) < s.LOYAL).astype(np.int8),
        appetite=(random.random(n) < s.LARGE_APPETITE).astype(np.int8),
        taste=random.integers(0, s.TASTES, n).astype(np.int8),
        owl=random.random(n) < s.NIGHT_OWL,
        born=born,
        newsletter=random.random(n) < 0.4,
    )


def _shared(random: np.random.Generator, n: int, share: float, sizes: tuple[int, int]) -> NDArray[np.int32]:
    """(n,) number of the group each belongs to: a `share` of all in groups of `sizes`, the others alone."""
    grouped = int(n * share)
    lengths = random.integers(sizes[0], sizes[1] + 1, grouped // sizes[0] + 1)
    together = np.repeat(np.arange(len(lengths)), lengths)[:grouped]
    alone = np.arange(n - grouped) + (together[-1] + 1 if grouped else 0)
    groups = np.concatenate([together, alone])
    members = groups[random.permutation(n)]
    # groups in the order in which their first members join
    _, first = np.unique(members, return_index=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first, kind="stable")] = np.arange(len(first))
    return np.asarray(number[members], dtype=np.int32)


def _since(group: NDArray[np.int32], joined: NDArray[np.int64]) -> NDArray[np.int64]:
    """When the first member of each group joined."""
    return np.asarray(joined[np.unique(group, return_index=True)[1]])


@dataclass(frozen=True)
class Staff:
    """Employees in order of hiring; `roster[season, store, position]` is who holds a position."""

    hired: NDArray[np.int64]
    store: NDArray[np.int32]
    courtesy: NDArray[np.int8]
    wage: NDArray[np.float64]
    roster: NDArray[np.int64]


def staff(seed: int, stores: int) -> Staff:
    random = s.stream(seed, 3)
    seasons = s.EPOCHS // s.SEASON
    hired, store, slot = [], [], []
    for season in range(seasons):
        replaced = np.ones((stores, s.POSITIONS), np.bool_) if season == 0 else random.random((stores, 4)) < 0.2
        where = np.argwhere(replaced)
        days = 90 if season == 0 else 12
        hired.append(s.instant(season * s.SEASON) - random.integers(3_600, days * 86_400, len(where)) * s.SECOND)
        store.append(where[:, 0])
        slot.append(np.column_stack([np.full(len(where), season), where]))
    order = np.argsort(np.concatenate(hired), kind="stable")
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    roster = np.empty((seasons, stores, s.POSITIONS), np.int64)
    at = 0
    for season in range(seasons):
        if season:
            roster[season] = roster[season - 1]
        here = slot[season]
        roster[season, here[:, 1], here[:, 2]] = number[at : at + len(here)]
        at += len(here)
    # one of the positions is always held by someone rude, so that no store is ruder than another
    rude = np.concatenate(slot)[order, 2] == 0
    courtesy = np.where(rude, 1, random.integers(2, 6, at)).astype(np.int8)
    return Staff(
        hired=np.concatenate(hired)[order],
        store=np.concatenate(store)[order].astype(np.int32),
        courtesy=courtesy,
        wage=np.round(random.normal(15, 2, at), 2),
        roster=roster,
    )


def shifts(seed: int, epoch: int, crew: Staff) -> tuple[dict[str, NDArray[np.generic]], NDArray[np.bool_]]:
    """The shifts of an epoch, by time, and (days, halves, stores) whether a rude employee serves."""
    random = s.stream(seed, 4, epoch)
    roster = crew.roster[epoch // s.SEASON]
    stores = len(roster)
    position = random.integers(0, s.POSITIONS, (s.EPOCH_DAYS, 2, stores))
    employee = roster[np.arange(stores), position]
    begin = (np.arange(s.EPOCH_DAYS) * s.DAY)[:, None] + np.array([s.OPENS, s.CHANGES]) * 3_600 * s.SECOND
    end = begin + np.array([s.CHANGES - s.OPENS, s.CLOSES - s.CHANGES]) * 3_600 * s.SECOND
    rows: dict[str, NDArray[np.generic]] = {
        "starts": (s.instant(epoch) + np.repeat(begin.ravel(), stores)),
        "store_id": np.tile(np.arange(stores), s.EPOCH_DAYS * 2),
        "employee_id": employee.ravel(),
        "ends": (s.instant(epoch) + np.repeat(end.ravel(), stores)),
    }
    return rows, crew.courtesy[employee] == 1


def tables(customers: Customers, crew: Staff, seed: int, stores: int) -> dict[str, pa.Table]:
    """customers, addresses, devices, stores and employees, in canonical order."""
    random = s.stream(seed, 5)
    homes, machines = int(customers.address.max()) + 1, int(customers.device.max()) + 1
    word = lambda words, n: pa.array(words).take(pa.array(random.integers(0, len(words), n)))  # noqa: E731
    return {
        "addresses": pa.table(
            {
                "address_id": np.arange(homes),
                "known_since": times(_since(customers.address, customers.joined)),
                "kind": word(("flat", "house", "office"), homes),
                "district": random.integers(1, 40, homes),
            }
        ),
        "devices": pa.table(
            {
                "device_id": np.arange(machines),
                "known_since": times(_since(customers.device, customers.joined)),
                "kind": word(("phone", "tablet", "laptop"), machines),
                "year": random.integers(2014, 2024, machines),
            }
        ),
        "stores": pa.table(
            {
                "store_id": np.arange(stores),
                "city": word(CITIES, stores),
                "square_metres": random.integers(12, 90, stores) * 20,
            }
        ),
        "employees": pa.table(
            {
                "employee_id": np.arange(len(crew.hired)),
                "hired": times(crew.hired),
                "store_id": crew.store.astype(np.int64),
                "courtesy": crew.courtesy.astype(np.int64),
                "wage": crew.wage,
            }
        ),
        "customers": pa.table(
            {
                "customer_id": np.arange(len(customers)),
                "joined": times(customers.joined),
                "store_id": customers.store.astype(np.int64),
                "address_id": customers.address.astype(np.int64),
                "device_id": customers.device.astype(np.int64),
                "born": pa.array(customers.born.astype(np.int64), mask=customers.born == 0),
                "newsletter": customers.newsletter,
            }
        ),
    }
