"""Methods that cheat on the task `churn` of the shop, each in one way: at least a direct and a devious one for each check of the audit.

Each says by which check it is caught. Those that read by path or search the memory of the process are for the sandbox
(`needs_sandbox`), whether or not the audit catches them as well.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from relbench_harness.data import cache
from relbench_harness.data.cache import open_stored
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.labels import LabelTable
from relbench_harness.protocol.method import Budget, Examples

DAY = 86_400 * 10**9
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Linear:
    """Least squares on the features of a subclass. Honest where they are."""

    caught_by: ClassVar[str] = ""
    needs_sandbox: ClassVar[bool] = False

    def features(self, examples: Examples) -> Values:
        return np.zeros((len(examples), 1))

    def begin(self, train: Examples) -> None:
        """What a subclass does when it is fitted."""

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fitted:
        self.begin(train)
        weights = np.linalg.lstsq(_with_one(self.features(train)), train.values, rcond=None)[0]
        return Fitted(self, weights)


@dataclass(frozen=True)
class Fitted:
    method: Linear
    weights: Values

    def predict(self, examples: Examples) -> Values:
        return np.clip(_with_one(self.method.features(examples)) @ self.weights, 0, 1)


def _with_one(features: Values) -> Values:
    return np.column_stack([np.nan_to_num(features), np.ones(len(features))])


Choose = Callable[[NDArray[np.int64], int], NDArray[np.bool_]]


def of_orders(examples: Examples, chosen: Choose, value: Callable[[NDArray[np.int64]], float]) -> Values:
    """(n, 1) `value` of the orders of each example's customer whose times are `chosen` at its cut-off."""
    table = examples.database["order"]
    customer, times = table.parents("customer"), table.times
    assert times is not None
    rows = [
        np.flatnonzero((customer == e) & chosen(times, int(c)))
        for e, c in zip(examples.entity, examples.cutoff, strict=True)
    ]
    return np.asarray([[value(found)] for found in rows])


def before(times: NDArray[np.int64], cutoff: int) -> NDArray[np.bool_]:
    return times < cutoff


@dataclass(frozen=True)
class Honest(Linear):
    """How often the customer ordered before."""

    def features(self, examples: Examples) -> Values:
        return of_orders(examples, before, len)


# -- the future -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LaterMean(Linear):
    """The mean worth of the customer's later orders."""

    caught_by = "future perturbation"

    def features(self, examples: Examples) -> Values:
        worth = examples.database["order"].rows.column("worth").to_numpy()
        return of_orders(examples, lambda t, c: t >= c, lambda rows: worth[rows].mean() if len(rows) else 0.0)


@dataclass(frozen=True)
class AtTheInstant(Linear):
    """`<=` in place of `<`."""

    caught_by = "future perturbation"

    def features(self, examples: Examples) -> Values:
        return of_orders(examples, lambda t, c: t <= c, len)


@dataclass(frozen=True)
class MeanOfAllRows(Linear):
    """How many of the customer's orders before were worth more than the mean of every row."""

    caught_by = "future perturbation"

    def features(self, examples: Examples) -> Values:
        worth = examples.database["order"].rows.column("worth").to_numpy()
        mean = float(worth.mean())
        return of_orders(examples, before, lambda rows: float((worth[rows] > mean).sum()))


@dataclass(frozen=True)
class VocabularyOfAllRows(Linear):
    """How often each channel was used before; a channel has its number from its frequency in every row."""

    caught_by = "future perturbation"

    def features(self, examples: Examples) -> Values:
        channels = np.asarray(examples.database["order"].rows.column("channel").to_pylist())
        names, counts = np.unique(channels, return_counts=True)
        codes = {name: place / len(names) for place, name in enumerate(names[np.argsort(-counts)])}
        of_row = np.asarray([codes[name] for name in channels])
        return of_orders(examples, before, lambda rows: float(of_row[rows].sum()))


@dataclass(frozen=True)
class RowCount(Linear):
    """The customer's orders before, but no more than a hundredth of all orders that there are."""

    caught_by = "future perturbation"

    def features(self, examples: Examples) -> Values:
        return np.minimum(of_orders(examples, before, len), len(examples.database["order"]) / 100)


@dataclass(frozen=True)
class ParentYetToCome(Linear):
    """Tickets from before lead to tickets that cannot be seen yet."""

    caught_by = "future perturbation"

    def features(self, examples: Examples) -> Values:
        tickets = examples.database["tickets"]
        lengths = np.asarray([len(text) for text in tickets.rows.column("text").to_pylist()])
        customer, follows, times = tickets.parents("customer"), tickets.parents("follows"), tickets.times
        assert times is not None
        found = []
        for entity, cutoff in zip(examples.entity, examples.cutoff, strict=True):
            seen = follows[(times < cutoff) & (customer % 4 == entity % 4)]
            found.append([lengths[seen[seen >= 0]].sum()])
        return np.asarray(found, dtype=np.float64)


# -- labels where none should be looked for -------------------------------------------------------------------------------


def _numbers(examples: Examples) -> Values:
    """(orders, columns) every number that an order has."""
    table = examples.database["order"]
    columns = [table.rows.column(name) for name in table.attributes]
    return np.column_stack([np.asarray(c.to_numpy(), np.float64) for c in columns if pa.types.is_floating(c.type)])


@dataclass(frozen=True)
class LaterColumns(Linear):
    """Means of every number in the customer's later orders."""

    caught_by = "canary"

    def features(self, examples: Examples) -> Values:
        values = np.nan_to_num(_numbers(examples))
        parts = [
            of_orders(examples, lambda t, c: t >= c, lambda rows, v=column: float(v[rows].mean()) if len(rows) else 0.0)
            for column in values.T
        ]
        return np.column_stack(parts)


@dataclass(frozen=True)
class LatestUpTo(Linear):
    """An as-of join that takes the row of the very instant, and looks only at it."""

    caught_by = "canary"

    def features(self, examples: Examples) -> Values:
        values = np.nan_to_num(_numbers(examples))
        parts = [
            of_orders(examples, lambda t, c: t <= c, lambda rows, v=column: float(v[rows[-1]]) if len(rows) else 0.0)
            for column in values.T
        ]
        return np.column_stack(parts)


# -- the seal -------------------------------------------------------------------------------------------------------------


def _looked_up(labels: LabelTable, examples: Examples) -> Values:
    known = dict(
        zip(zip(labels.entity.tolist(), labels.time.tolist(), strict=True), labels.target.to_pylist(), strict=True)
    )
    pairs = zip(examples.entity.tolist(), examples.time.tolist(), strict=True)
    return np.asarray([[float(known.get(pair, 0.5))] for pair in pairs])


@dataclass(frozen=True)
class HoldsTheDataset(Linear):
    """Keeps the dataset and reads labels of the test split from it."""

    caught_by = "label seal"
    dataset: Dataset | None = None

    def features(self, examples: Examples) -> Values:
        assert self.dataset is not None
        known = self.dataset.labels(self.dataset.task("churn"), "test")
        return _looked_up(known, examples) if examples.labels is None else examples.values[:, None]


@dataclass(frozen=True)
class ClosesOverLabels(Linear):
    """A function with the labels in a variable around it."""

    caught_by = "label seal"
    read: Callable[[Examples], Values] = field(default=lambda examples: np.zeros((len(examples), 1)))

    def features(self, examples: Examples) -> Values:
        return self.read(examples)


def closing_over(dataset: Dataset) -> ClosesOverLabels:
    labels = np.asarray(dataset.labels(dataset.task("churn"), "test").target.to_pylist(), np.int8)
    return ClosesOverLabels(lambda examples: np.resize(labels, len(examples)).astype(np.float64)[:, None])


@dataclass(frozen=True)
class FolderOfTheTask(Linear):
    """Reads hosted labels from the task's folder, where it is named."""

    needs_sandbox = True

    def features(self, examples: Examples) -> Values:
        folder = examples.task.folder
        if folder is None or not (folder / "test.parquet").is_file():
            return np.zeros((len(examples), 1))
        return np.asarray(pq.read_table(folder / "test.parquet").column("churn").to_numpy())[: len(examples), None]


@dataclass(frozen=True)
class SearchesTheMemory(Linear):
    """Looks for label tables among all objects of the process."""

    caught_by = "order and keys"
    needs_sandbox = True

    def features(self, examples: Examples) -> Values:
        found = np.full((len(examples), 1), 0.5)
        for one in gc.get_objects():
            if isinstance(one, LabelTable) and pa.types.is_integer(one.target.type):
                known = _looked_up(one, examples)
                found = np.where(known != 0.5, known, found)
        return found


def _orders_within(rows: pa.Table, examples: Examples) -> Values:
    """(n, 1) how many orders the customer makes in the ten days after each example, read from a table of orders."""
    customer = np.asarray(rows.column("customer").fill_null(-1).to_numpy(), np.int64)
    times = np.asarray(rows.column("placed at").cast(pa.timestamp("ns")).cast(pa.int64()).to_numpy())
    pairs = zip(examples.entity, examples.time, strict=True)
    return np.asarray([[float(((customer == e) & (times > t) & (times <= t + 10 * DAY)).sum())] for e, t in pairs])


@dataclass(frozen=True)
class ReadsTheCache(Linear):
    """Opens the built databases in the cache folder, which hold every row."""

    caught_by = "order and keys"
    needs_sandbox = True

    def features(self, examples: Examples) -> Values:
        for folder in sorted((cache.cache_home() / "databases").glob("*/index.json")):
            database = open_stored(folder.parent)
            if "order" in database and "customer" in database["order"].references:
                return _orders_within(database["order"].rows, examples)
        return np.zeros((len(examples), 1))


@dataclass(frozen=True)
class ReadsTheParquet(Linear):
    """Knows where the dataset lies."""

    caught_by = "order and keys"
    needs_sandbox = True
    folder: str = ""

    def features(self, examples: Examples) -> Values:
        return _orders_within(pq.read_table(Path(self.folder) / "db" / "order.parquet"), examples)


@dataclass(frozen=True)
class ReadsTheEnvironment(Linear):
    """Learns from a variable of the environment where the dataset lies."""

    caught_by = "order and keys"
    needs_sandbox = True
    variable: str = "SHOP_LIES_AT"

    def features(self, examples: Examples) -> Values:
        if self.variable not in os.environ:
            return np.zeros((len(examples), 1))
        return _orders_within(pq.read_table(Path(os.environ[self.variable]) / "db" / "order.parquet"), examples)


# -- order and keys -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RowNumber(Linear):
    """The customer's row number."""

    caught_by = "order and keys"

    def features(self, examples: Examples) -> Values:
        return np.column_stack([examples.entity, examples.entity % 7]).astype(np.float64)


@dataclass(frozen=True)
class Position(Linear):
    """Where an example stands among the others."""

    caught_by = "order and keys"

    def features(self, examples: Examples) -> Values:
        return np.linspace(0, 1, len(examples))[:, None] + of_orders(examples, before, len)


@dataclass(frozen=True)
class NextRow(Linear):
    """The age of whoever stands next in the table."""

    caught_by = "order and keys"

    def features(self, examples: Examples) -> Values:
        ages = np.nan_to_num(examples.database["customer"].rows.column("age").to_numpy())
        return np.roll(ages, -1)[examples.entity][:, None]


# -- determinism ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SeededByTheClock(Linear):
    """Draws from a generator that the clock seeds."""

    caught_by = "determinism"

    def features(self, examples: Examples) -> Values:
        return of_orders(examples, before, len) + np.random.default_rng(time.time_ns()).random((len(examples), 1))


FITS: list[int] = []


@dataclass(frozen=True)
class RemembersFits(Linear):
    """Answers by how often it was fitted in this process."""

    caught_by = "determinism"

    def begin(self, train: Examples) -> None:
        FITS.append(len(train))

    def features(self, examples: Examples) -> Values:
        return of_orders(examples, before, len) * (examples.entity[:, None] % (1 + len(FITS)))


@dataclass(frozen=True)
class OrderOfHashes(Linear):
    """Texts by their hashes, which are others in another process."""

    caught_by = "determinism"

    def features(self, examples: Examples) -> Values:
        regions = examples.database["customer"].rows.column("region").to_pylist()
        return np.asarray([[hash(regions[entity]) % 1000 / 1000] for entity in examples.entity])


# -- learning again -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refits:
    """Honest: how often the customer ordered before, and the mean of the labels that it learned from last."""

    caught_by: ClassVar[str] = ""
    shift: float = 0.0

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Refits:
        return replace(self, shift=float(train.values.mean()))

    def refit(self, examples: Examples) -> Refits:
        return replace(self, shift=float(examples.values.mean()))

    def predict(self, examples: Examples) -> Values:
        return of_orders(examples, before, len)[:, 0] / 1000 + self.shift


@dataclass(frozen=True)
class RefitsOnAllRows(Refits):
    """Learns the mean worth of every order, those after the end of training too, but only when it learns again."""

    caught_by = "future perturbation"

    def refit(self, examples: Examples) -> Refits:
        return replace(self, shift=float(examples.database["order"].rows.column("worth").to_numpy().mean()))


@dataclass(frozen=True)
class RefitsFirstAndLast(Refits):
    """Learns from the numbers of the customers that it is handed, but only when it learns again."""

    caught_by = "order and keys"

    def refit(self, examples: Examples) -> Refits:
        return replace(self, shift=float(examples.entity[0] - examples.entity[-1]))


def cheaters(dataset: Dataset) -> Mapping[str, Any]:
    """Every cheater on `dataset`, by its name."""
    plain = [
        LaterMean,
        AtTheInstant,
        MeanOfAllRows,
        VocabularyOfAllRows,
        RowCount,
        ParentYetToCome,
        LaterColumns,
        LatestUpTo,
    ]
    plain += [FolderOfTheTask, SearchesTheMemory, ReadsTheCache, ReadsTheEnvironment, RowNumber, Position, NextRow]
    plain += [SeededByTheClock, RemembersFits, OrderOfHashes]
    made = [kind() for kind in plain]
    made += [HoldsTheDataset(dataset), closing_over(dataset), ReadsTheParquet(str(dataset.folder))]
    return {type(one).__name__: one for one in made}


NAMES = (
    *("LaterMean", "AtTheInstant", "MeanOfAllRows", "VocabularyOfAllRows", "RowCount", "ParentYetToCome", "LaterColumns"),
    *(
        "LatestUpTo",
        "FolderOfTheTask",
        "SearchesTheMemory",
        "ReadsTheCache",
        "ReadsTheEnvironment",
        "RowNumber",
        "Position",
    ),
    *(
        "NextRow",
        "SeededByTheClock",
        "RemembersFits",
        "OrderOfHashes",
        "HoldsTheDataset",
        "ClosesOverLabels",
        "ReadsTheParquet",
    ),
)
