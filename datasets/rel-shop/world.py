"""The simulation: epoch after epoch, all customers decide, shop and are written to disk in time order.

Within an epoch customers are independent of each other, so blocks of them are drawn in parallel, each from its own
stream of random numbers; what one customer learns from another becomes visible at the start of the next epoch. An epoch
is therefore a slice of time that can be sorted, numbered and written while nothing older or younger is in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from . import belief, catalogue, people
from . import settings as s
from .shopping import FRAUD, REASONS, STAINS, Assortment, Basket, shop
from .state import Memory, fraud_chance, signals
from .writing import Stream, write


@dataclass
class Returned:
    """Returns that are decided but not yet written."""

    time: NDArray[np.int64]
    line: NDArray[np.int64]
    product: NDArray[np.int32]
    reason: NDArray[np.int8]
    refund: NDArray[np.float64]

    def take(self, rows: NDArray[np.generic]) -> Returned:
        return Returned(*(getattr(self, f.name)[rows] for f in fields(self)))

    @classmethod
    def joined(cls, parts: list[Returned]) -> Returned:
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))


class World:
    """One world, determined by its parameters.

    Args:
        workers: Threads that draw blocks of customers; the rows do not depend on it.
    """

    def __init__(self, scale: float, seed: int, causes: frozenset[str], workers: int | None = None) -> None:
        self.scale, self.seed, self.causes = scale, seed, causes
        self.workers = workers or len(os.sched_getaffinity(0))
        self.stores = max(2, round(s.STORES * scale))
        self.goods = catalogue.stock(seed, scale, causes)
        self.customers = people.people(seed, scale, self.stores)
        self.crew = people.staff(seed, self.stores)
        self.level = s.stream(seed, 6).integers(0, len(s.STORE_LEVELS), self.stores)
        self.liked = catalogue.affinity("taste" in causes)
        self.memory = Memory.blank(len(self.customers), len(self.goods))
        self.beliefs = belief.Beliefs.prior(len(self.customers), self.stores)
        nothing = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int8))
        self.pending = Returned(*nothing, np.empty(0))

    def write(self, folder: Path) -> dict[str, Path]:
        """Every table as an Arrow file in `folder`, and what is true of the labels in `folder/truth`."""
        (folder / "truth").mkdir()
        static = {
            **catalogue.tables(self.goods),
            **people.tables(self.customers, self.crew, self.seed, self.stores),
        }
        paths = {name: write(table, folder / f"{name}.arrow") for name, table in static.items()}
        streams = {
            "shifts": Stream(folder, "shifts", times=("starts", "ends")),
            "visits": Stream(
                folder, "visits", words={"channel": ("store", "web")}, missing={"store_id": -1}, times=("time",)
            ),
            "transactions": Stream(folder, "transactions", words={"payment": ("cash", "card")}, times=("time",)),
            "lines": Stream(folder, "lines", times=("time",)),
            "returns": Stream(folder, "returns", words={"reason": REASONS}, times=("time",)),
        }
        with ThreadPoolExecutor(self.workers) as pool:
            for epoch in range(s.EPOCHS):
                self._epoch(epoch, streams, folder / "truth", pool)
        paths |= {name: stream.finish() for name, stream in streams.items()}
        return paths

    # -- one epoch ----------------------------------------------------------------------------------------------------

    def _epoch(self, epoch: int, streams: dict[str, Stream], truth: Path, pool: ThreadPoolExecutor) -> None:
        count = int(self.customers.first[epoch])
        found = signals(self.memory, self.customers, epoch, count, self.causes)
        seen = s.STRENGTH.base + sum(found.values(), np.zeros(count))
        chance = belief.coming(seen, "loyalty" in self.causes, "store" in self.causes)
        weight = self.beliefs.store_weights()[self.customers.store[:count]]
        come = belief.expected(chance, self.beliefs.loyal[:count], weight)
        fraud = fraud_chance(self.memory, self.customers, count, self.causes)
        self._write_truth(truth / f"{epoch:02d}.arrow", epoch, come, fraud, found)
        offer = Assortment.of(self.goods, epoch, self.liked)
        rows, rude = people.shifts(self.seed, epoch, self.crew)
        rows = {"shift_id": np.arange(len(rows["starts"])) + streams["shifts"].rows, **rows}
        streams["shifts"].append(rows)
        last_line = self.memory.last_line.copy()
        self.memory.turn()
        edges = range(0, int(self.customers.first[epoch + 1]), s.BLOCK)
        done = list(pool.map(lambda first: self._block(epoch, first, chance, fraud, offer, rude), edges))
        for _, _, said in done:
            self.beliefs.store += said
        basket = _together([basket for basket, _, _ in done])
        guilty = np.concatenate([g for _, g, _ in done])
        self.memory.fraud[0, guilty] = True
        line, shopper = self._write_shopping(epoch, streams, basket)
        self._compare_prices(epoch, basket, shopper)
        self._write_returns(epoch, streams["returns"], basket, line, guilty, last_line)

    def _block(
        self,
        epoch: int,
        first: int,
        chance: NDArray[np.float64],
        fraud: NDArray[np.float64],
        offer: Assortment,
        rude: NDArray[np.bool_],
    ) -> tuple[Basket, NDArray[np.int64], NDArray[np.float64]]:
        """Who comes, what they do, who commits fraud, and what their coming says about the stores."""
        random = s.stream(self.seed, 10, epoch, first // s.BLOCK)
        people, beliefs = self.customers, self.beliefs
        old = max(first, min(first + s.BLOCK, len(chance)))
        last = max(old, min(first + s.BLOCK, int(people.first[epoch + 1])))
        here = slice(first, old)
        drawn, suspect = random.random(s.BLOCK)[: old - first], random.random(s.BLOCK)[: old - first]
        true = chance[here][np.arange(old - first), self.level[people.store[here]], people.loyal[here]]
        came = drawn < true
        beliefs.loyal[here], likelihood = belief.learned(chance[here], beliefs.loyal[here], came)
        said = np.zeros_like(beliefs.store)
        for level in range(said.shape[1]):
            said[:, level] = np.bincount(people.store[here], weights=likelihood[:, level], minlength=self.stores)
        who = np.concatenate([first + np.flatnonzero(came), np.arange(old, last)])
        eager = s.APPETITE[people.appetite[who]] if "appetite" in self.causes else np.full(len(who), s.NO_APPETITE)
        before = self.memory.favourites[who]
        basket = shop(random, epoch, who, people, before, offer, rude, "repeat" in self.causes, eager)
        self._learn(basket, who, before, offer)
        self.memory.remember(basket, first, last)
        return basket, first + np.flatnonzero(suspect < fraud[here]), said

    def _learn(self, basket: Basket, who: NDArray[np.int64], favourites: NDArray[np.int32], offer: Assortment) -> None:
        """What a block's purchases reveal about appetite and taste."""
        place = np.searchsorted(who, basket.visitor[basket.visit_of])
        if "appetite" in self.causes:
            self.beliefs.appetite[who] += belief.appetite_odds(np.bincount(place, minlength=len(who)))
        if "taste" in self.causes:
            shopper = place[basket.bought_in]
            again = (favourites[shopper] == basket.product[:, None]).sum(axis=1)
            known = (favourites[shopper] >= 0).sum(axis=1)
            repeats = s.REPEAT * (known > 0) * ("repeat" in self.causes)
            for k in range(s.TASTES):
                likely = (1 - repeats) * offer.share[k][basket.product] + repeats * again / np.maximum(known, 1)
                self.beliefs.taste[who, k] += np.bincount(shopper, weights=np.log(likely), minlength=len(who))

    # -- what needs everyone ------------------------------------------------------------------------------------------

    def _write_shopping(
        self, epoch: int, streams: dict[str, Stream], basket: Basket
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Number and write visits, transactions and lines in time order; (lines,) row number and customer of each."""
        order, visit = _numbered(basket.visited, streams["visits"].rows)
        store = np.where(basket.web, -1, self.customers.store[basket.visitor]).astype(np.int64)
        streams["visits"].append(
            {
                "visit_id": visit[order],
                "time": basket.visited[order],
                "customer_id": basket.visitor[order],
                "store_id": store[order],
                "channel": basket.web[order].astype(np.int8),
                "minutes": basket.minutes[order].astype(np.int64),
            }
        )
        order, transaction = _numbered(basket.bought, streams["transactions"].rows)
        streams["transactions"].append(
            {
                "transaction_id": transaction[order],
                "time": basket.bought[order],
                "visit_id": visit[basket.visit_of[order]],
                "customer_id": basket.visitor[basket.visit_of[order]],
                "payment": basket.card[order].astype(np.int8),
                "amount": basket.amount[order],
            }
        )
        within = transaction[basket.bought_in]
        order, line = _numbered(within, streams["lines"].rows)
        product = basket.product[order]
        streams["lines"].append(
            {
                "line_id": line[order],
                "time": basket.bought[basket.bought_in[order]],
                "transaction_id": within[order],
                "product_id": product.astype(np.int64),
                "position": basket.position[order].astype(np.int64) + 1,
                "quantity": basket.quantity[order].astype(np.int64),
                "price": self.goods.price[epoch, product].astype(np.float64),
            }
        )
        shopper = basket.visitor[basket.visit_of[basket.bought_in]]
        # lines of a customer that come later overwrite earlier ones
        self.memory.last_line[shopper[order]] = line[order]
        dark = np.flatnonzero(self.goods.colour[basket.product] == catalogue.DARK_BLUE)
        self.memory.dark = [(shopper[dark], basket.product[dark]), self.memory.dark[0]]
        return line, shopper

    def _compare_prices(self, epoch: int, basket: Basket, shopper: NDArray[np.int64]) -> None:
        """How much more than comparable products what each customer bought has risen over its list price."""
        category = self.goods.category[basket.product]
        rise = np.log(self.goods.price[epoch, basket.product] / self.goods.list_price[basket.product])
        mean = np.bincount(category, weights=rise) / np.maximum(np.bincount(category), 1)
        bought = np.bincount(shopper, minlength=len(self.customers))
        total = np.bincount(shopper, weights=rise - mean[category], minlength=len(self.customers))
        self.memory.excess[:] = total / np.maximum(bought, 1)

    def _write_returns(
        self,
        epoch: int,
        stream: Stream,
        basket: Basket,
        line: NDArray[np.int64],
        guilty: NDArray[np.int64],
        last_line: NDArray[np.int64],
    ) -> None:
        back = np.flatnonzero(basket.returned_after)
        price = self.goods.price[epoch, basket.product[back]].astype(np.float64)
        ordinary = Returned(
            time=basket.bought[basket.bought_in[back]] + basket.returned_after[back],
            line=line[back],
            product=basket.product[back],
            reason=basket.reason[back],
            refund=price * basket.quantity[back],
        )
        random = s.stream(self.seed, 11, epoch)
        when = s.instant(epoch) + random.integers(1, s.EPOCH_DAYS * 86_400, len(guilty)) * s.SECOND
        fraudulent = Returned(
            time=when,
            line=last_line[guilty],
            product=np.full(len(guilty), -1, np.int32),
            reason=np.full(len(guilty), FRAUD, np.int8),
            refund=np.round(random.uniform(5, 60, len(guilty)) * 2) / 2,
        )
        waiting = Returned.joined([self.pending, ordinary, fraudulent])
        waiting = waiting.take(np.argsort(waiting.time, kind="stable"))
        due = int(np.searchsorted(waiting.time, s.instant(epoch + 1)))
        now, self.pending = waiting.take(np.arange(due)), waiting.take(np.arange(due, len(waiting.time)))
        self.memory.stained[now.product[now.reason == STAINS]] = True
        stream.append(
            {
                "return_id": np.arange(due) + stream.rows,
                "time": now.time,
                "line_id": now.line,
                "reason": now.reason,
                "refund": now.refund,
            }
        )

    def _write_truth(
        self,
        path: Path,
        epoch: int,
        come: NDArray[np.float64],
        fraud: NDArray[np.float64],
        found: dict[str, NDArray[np.float64]],
    ) -> None:
        """What is true of the customers who bought of late: probabilities, and what they rest on."""
        rows = np.flatnonzero(self.memory.last_bought[: len(come)] >= s.instant(epoch) - s.BOUGHT_DAYS * s.DAY)
        taste = self.beliefs.taste_weights(rows)
        columns: dict[str, NDArray[np.generic]] = {
            "customer_id": rows,
            "churn": 1 - come[rows],
            "fraud": fraud[rows],
            "appetite": self.beliefs.large_appetite(rows),
            **{f"taste{k}": taste[:, k] for k in range(s.TASTES)},
            **{f"favourite{k}": self.memory.favourites[rows, k] for k in range(s.REMEMBERED)},
            **{f"by_{cause}": added[rows].astype(np.float32) for cause, added in found.items()},
        }
        write(pa.table(columns), path)


def _numbered(key: NDArray[np.int64], offset: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order of rows by `key`, and each row's number in it."""
    order = np.argsort(key, kind="stable")
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(offset, offset + len(order))
    return order, number


def _together(baskets: list[Basket]) -> Basket:
    """The baskets of all blocks as one."""
    return Basket(**{f.name: np.concatenate(list(_shifted(baskets, f.name))) for f in fields(Basket)})


def _shifted(baskets: list[Basket], name: str) -> Iterator[NDArray[np.generic]]:
    """One column of all blocks, positions within a block turned into positions among all."""
    at = 0
    for basket in baskets:
        values = getattr(basket, name)
        yield values + at if name in ("visit_of", "bought_in") else values
        at += len(basket.visited) if name == "visit_of" else len(basket.bought)
