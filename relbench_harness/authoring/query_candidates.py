"""Predictive queries that a schema offers, each with an estimate of what its labels are like, before any SQL is run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.authoring.event_rows import DAY, EventRows, Sample, Window, spoken
from relbench_harness.authoring.name_words import has_key_suffix, spaced
from relbench_harness.authoring.predictive_query import Column, Literal, said
from relbench_harness.data.database import Database
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.labels import Cuts
from relbench_harness.data.stypes import Stype, stype_of
from relbench_harness.data.table import Table

ADDED = re.compile(
    r"amount|price|total|cost|revenue|sales|quantit|qty|points|fees?$|fine|paid|payment|value|spend|spent|charge|salary|"
    r"profit|income|debit|credit|volume|units|hours|minutes|duration|distance|count$|number_of|score|runs|goals|wins",
    re.IGNORECASE,
)
"""Names of columns whose values add up."""
QUANTITY = re.compile(r"quantit|qty|(^|_)units?$", re.IGNORECASE)
PRICE = re.compile(r"(^|_)price$|unit_?(price|cost)", re.IGNORECASE)
TOP = 10
"""Items that are recommended."""


class Estimate(NamedTuple):
    """What labels are like at some cut-offs of training.

    Attributes:
        entities: Active entities at a cut-off, on average.
        examples: Examples of training.
        held_out: Examples of the test split.
        balance: From 0, where all labels are one, to 1, where they tell most.
    """

    entities: float
    examples: float
    held_out: float
    balance: float


TWO_CLASSES = ("churn", "event")
"""Kinds whose label is yes or no."""


@dataclass(frozen=True)
class Candidate:
    """A predictive query.

    Attributes:
        kind: churn, volume, value, level, items, event, next or attribute.
        about: The table of entities, and the table whose rows are counted.
        detail: What tells it from others of its kind: a column or a value.
        path: The foreign key that tells its path from others.
        eval_timestamps: At how many times, a horizon apart, validation and test make examples.
    """

    kind: str
    about: tuple[str, str]
    query: str
    window: Window | None
    estimate: Estimate
    detail: str = ""
    path: str = ""
    eval_timestamps: int = 1

    @property
    def score(self) -> float:
        """How useful it looks, from 0 to 1: its balance times the geometric mean of how many entities, examples of training and of
        test there are, 1,000, 10,000 and 1,000 of which are enough."""
        sizes = ((self.estimate.entities, 3), (self.estimate.examples, 4), (self.estimate.held_out, 3))
        product = np.prod([min(1.0, np.log10(max(size, 1.0)) / enough) for size, enough in sizes])
        return float(product ** (1 / 3) * self.estimate.balance * (0.5 if self.kind == "attribute" else 1.0))

    @property
    def idea(self) -> tuple[object, ...]:
        """What it shares with the same query about other windows."""
        return self.kind, self.about, self.detail, self.path

    @property
    def name(self) -> str:
        """A name for the task, from letters, digits and hyphens."""
        parts = [self.about[0], self.kind, self.about[1] if self.about[1] != self.about[0] else "", self.path, self.detail]
        length = "" if self.window is None else self.window.shown.replace(" ", "")
        plain = re.sub(r"[^A-Za-z0-9]+", "-", "-".join(filter(None, [*parts, length]))).strip("-").lower()
        return plain or self.kind


Labels = Callable[[Sample], NDArray[np.generic]]
"""The labels of one cut-off's active entities."""


def balance(labels: NDArray[np.generic], binary: bool) -> float:
    """4p(1 − p) of a share p; else the entropy of classes, or one less the share of the commonest number."""
    if not len(labels):
        return 0.0
    if binary:
        share = float(np.mean(labels.astype(np.float64)))
        return 4 * share * (1 - share)
    _, counts = np.unique(labels, return_counts=True)
    return 1.0 - float(counts.max()) / len(labels)


class Candidates:
    """The queries about one stream of events."""

    def __init__(self, events: EventRows, cuts: Cuts, database: Database) -> None:
        self.events, self.cuts, self.database = events, cuts, database
        self.end = end = int(database.span[1])
        self.windows = events.windows(cuts, end)
        self.rows = said(Column(events.table.name, None, 1)) + events.via

    def all(self) -> Iterator[Candidate]:
        """Each query in each window."""
        for make in self._recurring() if self.events.recurs else self._once():
            yield from filter(None, map(make, self.windows))

    # -- events that come again -------------------------------------------------------------------------------------------

    def _recurring(self) -> Iterator[Callable[[Window], Candidate | None]]:
        # lines of orders come and stay away with the orders
        if len(self.events.path) == 1:
            yield lambda w: self._made("churn", w, f"{self._count(w)} = 0", lambda s: self._counts(s) == 0)
            yield lambda w: self._made("volume", w, self._count(w), self._counts)
        yield from map(self._number, numbers(self.events.table))
        for column, value in flags(self.events.table):
            yield self._event(column, value)
        for column in classes(self.events.table):
            yield self._next(column)
        for column in self._item_columns() if self.windows else ():
            yield self._items(column)

    def _window(self, window: Window) -> str:
        return "0, {}, {}".format(*spoken(window.length))

    def _active(self, window: Window) -> str:
        number, unit = spoken(window.before)
        return f"COUNT({self.rows}, -{number}, 0, {unit}) > 0"

    def _count(self, window: Window) -> str:
        return f"COUNT({self.rows}, {self._window(window)})"

    def _counts(self, sample: Sample, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        size, future = len(self.events.entities), sample.future
        chosen = None if weights is None else weights[future]
        return np.bincount(self.events.entity[future], chosen, minlength=size)[sample.active].astype(np.float64)

    def _number(self, columns: tuple[str, ...]) -> Callable[[Window], Candidate | None]:
        """The sum of a column, or of the product of two, where it adds up; else its mean."""
        values = np.prod([_floats(self.events.values(column)) for column in columns], axis=0)
        known = np.isfinite(values).astype(np.float64)
        values, adds = np.nan_to_num(values), bool(ADDED.search(spaced(columns[0])))

        def labels(sample: Sample) -> NDArray[np.float64]:
            total = self._counts(sample, values)
            if adds:
                return total
            counts = self._counts(sample, known)
            return total[counts > 0] / counts[counts > 0]

        function, kind = ("SUM", "value") if adds else ("AVG", "level")
        named = " * ".join(said(Column(self.events.table.name, column, 1)) for column in columns) + self.events.via
        return lambda w: self._made(kind, w, f"{function}({named}, {self._window(w)})", labels, " ".join(columns))

    def _event(self, column: str, value: object) -> Callable[[Window], Candidate | None]:
        condition, mask = _condition(self.events, column, value)
        weights = mask.astype(np.float64)

        def make(w: Window) -> Candidate | None:
            target = f"COUNT({self.rows} WHERE {condition}, {self._window(w)}) > 0"
            return self._made("event", w, target, lambda s: self._counts(s, weights) > 0, f"{column} {value}")

        return make

    def _next(self, column: str) -> Callable[[Window], Candidate | None]:
        codes = np.asarray(pc.fill_null(self.events.values(column).combine_chunks().dictionary_encode().indices, -1))
        named = said(Column(self.events.table.name, column, 1)) + self.events.via

        def labels(sample: Sample) -> NDArray[np.generic]:
            entity, first = np.unique(self.events.entity[sample.future], return_index=True)
            return codes[sample.future][first[np.isin(entity, sample.active)]]

        return lambda w: self._made("next", w, f"FIRST({named}, {self._window(w)})", labels, column)

    def _item_columns(self) -> Iterator[str]:
        """Foreign keys, other than those to the entity, to rows that several entities share."""
        taken = self.events.path[0].column
        for column, parent in self.events.table.references.items():
            if column == taken or parent == self.events.entities.name:
                continue
            items = self.events.table.parents(column)[self.events.row]
            known = items >= 0
            pairs = np.unique(self.events.entity[known] * (int(items.max(initial=0)) + 1) + items[known])
            different = len(np.unique(items[known]))
            if different >= TOP and len(pairs) >= 2 * different and not self._come_with(parent, items, known):
                yield column

    def _come_with(self, parent: str, items: NDArray[np.int64], known: NDArray[np.bool_]) -> bool:
        """Whether items are as new as the events that name them, so that nobody can know them before: races of results."""
        born = self.database[parent].times
        return born is not None and float(np.median(self.events.time[known] - born[items[known]])) < self.windows[0].length

    def _items(self, column: str) -> Callable[[Window], Candidate | None]:
        items = self.events.table.parents(column)[self.events.row]
        named = said(Column(self.events.table.name, column, 1)) + self.events.via
        parent = self.events.table.references[column]

        def make(w: Window) -> Candidate | None:
            target = f"LIST_DISTINCT({named}, {self._window(w)}) RANK TOP {TOP}"
            return self._made("items", w, target, lambda s: items[s.future][items[s.future] >= 0], parent)

        return make

    # -- events that come once --------------------------------------------------------------------------------------------

    def _once(self) -> Iterator[Callable[[Window], Candidate | None]]:
        """Whether what has not happened to a young row will: payment of a fine, return of an order."""
        born = self.events.entities.times
        if (
            born is None
            or len(self.events.path) != 1
            or not len(self.events.delays)
            or (self.events.delays <= 0).mean() > 0.5
        ):
            return
        own = said(Column(self.events.entities.name, None, 1))

        def make(w: Window) -> Candidate | None:
            number, unit = spoken(w.before)
            past = f"-{number}, 0, {unit}"
            where = f"COUNT({own}, {past}) > 0 AND COUNT({self.rows}, {past}) = 0"
            return self._made("event", w, f"{self._count(w)} > 0", lambda s: self._counts(s) > 0, where=where)

        yield make

    # -- what comes out ---------------------------------------------------------------------------------------------------

    def _made(
        self, kind: str, w: Window, target: str, labels: Labels, detail: str = "", where: str | None = None
    ) -> Candidate | None:
        samples = list(self.events.samples(w, self.cuts, where is not None))
        found = [labels(sample) for sample in samples if len(sample.active)]
        if not found:
            return None
        joined = np.concatenate(found)
        active = float(np.mean([len(sample.active) for sample in samples]))
        per_cut = len(joined) / len(samples)
        times, balanced = 1 if kind == "items" else self._eval_timestamps(w), balance(joined, kind in TWO_CLASSES)
        if kind == "items":
            # a list of ten says little of entities that have many times more, and rows are recommended to the larger table
            balanced *= min(1.0, 5 * TOP * active / max(per_cut, 1.0))
            balanced *= 1.0 if len(self.events.entities) >= len(self.database[detail]) else 0.5
        estimate = Estimate(active, per_cut * self.events.training_windows(w, self.cuts), active * times, balanced)
        condition = self._active(w) if where is None else where
        query = f"PREDICT {target} FOR EACH {self.events.key}" + ("" if kind == "items" else f" WHERE {condition}")
        about, path = (
            (self.events.entities.name, self.events.table.name),
            "" if self.events.telling is None else self.events.telling.column,
        )
        return Candidate(kind, about, query, w, estimate, detail, path, times)

    def _eval_timestamps(self, w: Window) -> int:
        """As many as fit behind each cut point, up to a year and to a dozen: one season alone is no test."""
        cuts = self.cuts
        fitting = min(cuts.test.value - cuts.val.value, self.end - cuts.test.value) // w.length
        return int(max(1, min(fitting, 365 * DAY // w.length, 12)))


# -- columns -----------------------------------------------------------------------------------------------------------------


def numbers(table: Table, most: int = 3) -> list[tuple[str, ...]]:
    """Columns of numbers that say most: what adds up by its name first, then by how far values spread.

    A quantity and a price of one make a product, the first of all; the price alone adds up to nothing then.
    """
    found = []
    for column in table.attributes:
        values = table.rows.column(column)
        is_other = pa.types.is_boolean(values.type) or pa.types.is_duration(values.type) or has_key_suffix(column)
        if is_other or stype_of(table, column) is not Stype.numerical:
            continue
        floats = _floats(values)
        floats = floats[np.isfinite(floats)]
        if len(floats) and len(np.unique(floats[:10_000])) > 2:
            spread = float(floats.std() / (abs(floats.mean()) + 1e-9))
            found.append((not ADDED.search(spaced(column)), -min(spread, 10.0), column))
    names = [column for _, _, column in sorted(found)]
    quantity = next((name for name in names if QUANTITY.search(spaced(name))), None)
    price = next((name for name in names if PRICE.search(spaced(name))), None)
    if quantity is None or price is None:
        return [(name,) for name in names[:most]]
    return [(quantity, price), *((name,) for name in names if name != price)][:most]


def classes(table: Table, most: int = 2) -> list[str]:
    """Columns of 3 to 20 different texts."""
    found = []
    for column in table.attributes:
        values = table.rows.column(column)
        if (
            _is_text(values)
            and stype_of(table, column) is Stype.categorical
            and 3 <= pc.count_distinct(values).as_py() <= 20
        ):
            found.append(column)
    return found[:most]


def flags(table: Table, most: int = 4) -> list[tuple[str, object]]:
    """Columns with a value that a few rows have: of flags the true one, of categories the two rarest that 1 % of the rows have."""
    found: list[tuple[str, object]] = []
    for column in table.attributes:
        values = table.rows.column(column)
        counts = {entry["values"]: entry["counts"] / len(table) for entry in _counted(values)}
        known = {value: share for value, share in counts.items() if value is not None}
        if set(known) in ({True, False}, {0, 1}, {0.0, 1.0}):
            found.append((column, True if pa.types.is_boolean(values.type) else 1))
        elif _is_text(values) and 2 <= len(known) <= 20:
            rare = sorted((share, value) for value, share in known.items() if 0.01 <= share <= 0.5 and "\n" not in value)
            found += [(column, value) for _, value in rare[:2]]
    return found[:most]


def _counted(values: pa.ChunkedArray) -> list[dict[str, Any]]:
    """Values with their counts, where they are at most 20."""
    kind = values.type
    if not (_is_text(values) or pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return []
    if len(values.slice(0, 1000).unique()) > 20:
        return []
    counted = values.value_counts()
    return list(counted.to_pylist()) if len(counted) <= 21 else []


def _is_text(values: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(values.type) or pa.types.is_large_string(values.type))


def _floats(values: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def _condition(events: EventRows, column: str, value: object) -> tuple[str, NDArray[np.bool_]]:
    named, values = said(Column(events.table.name, column, 1)), events.values(column)
    mask = np.asarray(pc.fill_null(pc.equal(values, pa.scalar(value).cast(values.type)), False))
    assert isinstance(value, bool | int | float | str)
    return f"{named} = {said(Literal(value, 1))}", mask


def attributes(dataset: Dataset, table: Table) -> Iterator[Candidate]:
    """Columns of a timed table's own rows: those that some rows lack, then those that tell most."""
    if table.times is None or table.key is None or not len(table):
        return
    found = []
    for column in table.attributes:
        values, stype = table.rows.column(column), stype_of(table, column)
        if stype not in (Stype.numerical, Stype.categorical) or has_key_suffix(column) or pa.types.is_duration(values.type):
            continue
        missing = values.null_count / len(table)
        before = int(table.visible(dataset.cuts.val)[0])
        known = values.slice(0, before).drop_null()
        if missing > 0.9 or len(known) < 100:
            continue
        is_flag = pa.types.is_boolean(values.type)
        if _is_text(values):
            labels = np.asarray(known.combine_chunks().dictionary_encode().indices)
            if len(np.unique(labels)) > 50:
                continue
        else:
            labels = _floats(known)
        balanced = balance(labels, is_flag) * (1.0 if missing >= 0.01 else 0.5)
        query = f"PREDICT {said(Column(table.name, column, 1))} FOR EACH {said(Column(table.name, table.key, 1))}"
        estimate = Estimate(len(known), len(known), len(table) - int(table.visible(dataset.cuts.test)[0]), balanced)
        found.append(Candidate("attribute", (table.name, table.name), query, None, estimate, column))
    yield from sorted(found, key=lambda candidate: -candidate.score)[:3]
