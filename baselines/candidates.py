"""Which items could answer a recommendation question, and what speaks for each of them at the question's time.

Candidates come from three sources, all on events older than the question's cut-off: the entity's own items, the most
popular ones of recent windows, and those often met by the entities that met the same items (item-to-item co-visitation,
Linden et al. 2003, cosine). Where there are few items, all of them are candidates. Windows are multiples of the task's
horizon, so one setting fits tasks of days and of years.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from relbench_harness.errors import InputError
from relbench_harness.features.block import Features
from relbench_harness.features.encode import Encoder, fit_encoders
from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.closed_labels import closed_labels

from .interactions import ALWAYS, Events, Trail, answers, events, trails

DAY = 86_400_000_000_000
YEAR = 365 * DAY


@dataclass(frozen=True)
class Pairs:
    """Candidates of some questions.

    Attributes:
        question: (p,) index of the question, ascending.
        item: (p,) row number of the item; a question's items are distinct.
        values: (p, f) what speaks for the pair, NaN where there is nothing to say.
        names: The f features.
        categorical: (f,) which of them are codes.
    """

    question: NDArray[np.int64]
    item: NDArray[np.int64]
    values: NDArray[np.float32]
    names: tuple[str, ...]
    categorical: NDArray[np.bool_]

    def take(self, rows: NDArray[np.int64]) -> Pairs:
        return replace(self, question=self.question[rows], item=self.item[rows], values=self.values[rows])

    def beside(self, features: Features) -> Pairs:
        """The same candidates with further features."""
        return replace(
            self,
            values=np.concatenate([self.values, features.to_matrix()], axis=1),
            names=(*self.names, *features.names),
            categorical=np.concatenate([self.categorical, features.native]),
        )


class Candidates(Protocol):
    """A way to find candidates."""

    def fit(self, train: Examples) -> FittedCandidates:
        """Fixes trails and vocabularies on the rows visible at the end of training."""
        ...


class FittedCandidates(Protocol):
    """Candidates and their features, the same columns for any questions of the schema."""

    def pairs(self, questions: Examples) -> Pairs: ...


@dataclass(frozen=True)
class Sources:
    """How candidates are found.

    Attributes:
        windows: Lengths in multiples of the task's horizon over which events are counted, besides all time.
        own, popular, related: How many candidates come from the entity's own items (latest first), from each of the two
            shortest windows' most popular, and from co-visitation.
        trails: How many tables of events are read.
        past_labels: Whether the task's own answers to past questions are events too.
        all_items: With at most this many items, every item is a candidate.
        memory: Only the latest so many distinct items of an entity count for co-visitation.
    """

    windows: tuple[float, ...] = (0.25, 1.0, 3.0, 12.0)
    own: int = 60
    popular: int = 40
    related: int = 60
    all_items: int = 200
    memory: int = 60

    trails: int = 3
    past_labels: bool = True

    def fit(self, train: Examples) -> FittedCandidates:
        task, found = train.task, trails(train.database, train.task, self.trails)
        if not found:
            raise InputError(
                f"task {task.id}: no table's foreign keys lead to both {task.entity_table!r} and {task.item_table!r} "
                "within two steps, so there are no interactions to rank items by"
            )
        return FittedSources(self, found, fit_encoders(train.known[task.item_table or ""]))


@dataclass(frozen=True)
class FittedSources:
    """Sources with their tables of events and the items' encoders."""

    sources: Sources
    trails: tuple[Trail, ...]
    items: tuple[Encoder, ...]

    def events(self, questions: Examples) -> dict[str, Events]:
        """Events by name: those of every trail and, where the task's SQL tells them, the answers to past questions."""
        found = {trail.name: events(questions.database, trail) for trail in self.trails}
        if self.sources.past_labels and questions.task.sql is not None:
            found["answers"] = answers(closed_labels(questions, windows=24))
        return found

    def pairs(self, questions: Examples) -> Pairs:
        """Candidates and their features, one group of questions with equal cut-off after the other."""
        met = self.events(questions)
        parts = []
        for cutoff in np.unique(questions.cutoff):
            asked = np.flatnonzero(questions.cutoff == cutoff)
            seen = {name: found.before(int(cutoff)) for name, found in met.items()}
            items = len(questions.database[questions.task.item_table or ""])
            parts.append(_Moment(self.sources, questions, asked, int(cutoff), items, seen).pairs())
        question = np.concatenate([part.question for part in parts])
        order = np.argsort(question, kind="stable")
        pairs = replace(
            parts[0],
            question=question[order],
            item=np.concatenate([part.item for part in parts])[order],
            values=np.concatenate([part.values for part in parts])[order],
        )
        return pairs.beside(self._attributes(pairs, questions))

    def _attributes(self, pairs: Pairs, questions: Examples) -> Features:
        """The items' own columns."""
        table = questions.database[questions.task.item_table or ""]
        at = questions.cutoff[pairs.question]
        columns = [
            column
            for encoder in self.items
            if encoder.column in table.rows.column_names
            for column in encoder.columns(table.rows.column(encoder.column), pairs.item, at, "item.")
        ]
        return Features(len(pairs.item), tuple(columns))


@dataclass(frozen=True)
class _Moment:
    """Questions that share a cut-off, and the events before it."""

    sources: Sources
    questions: Examples
    asked: NDArray[np.int64]
    cutoff: int
    items: int
    seen: Mapping[str, Events]

    def pairs(self) -> Pairs:
        entity, self_index = np.unique(self.questions.entity[self.asked], return_inverse=True)
        views = [_View(self, name, found, entity) for name, found in self.seen.items()]
        if self.items <= self.sources.all_items:
            keys = np.arange(len(entity) * self.items)
        else:
            keys = np.unique(np.concatenate([view.candidates() for view in views]))
        row, item = np.divmod(keys[self._there(keys % self.items)], self.items)
        columns: dict[str, NDArray[np.float64]] = {}
        for view in views:
            for name, values in view.features(row, item).items():
                columns[f"{view.name}: {name}"] = values
        # one block of candidates per entity, handed to each of its questions
        starts = np.searchsorted(row, np.arange(len(entity) + 1))
        counts = np.diff(starts)[self_index]
        question = np.repeat(self.asked, counts)
        inner = np.arange(len(question)) - np.repeat(np.cumsum(counts) - counts, counts)
        at = np.repeat(starts[self_index], counts) + inner
        values = np.stack(list(columns.values()), axis=1).astype(np.float32)
        return Pairs(question, item[at], values[at], tuple(columns), np.zeros(len(columns), bool))

    def _there(self, item: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each item's own row is visible."""
        times = self.questions.database[self.questions.task.item_table or ""].times
        return np.ones(len(item), bool) if times is None else np.asarray(times[item] < self.cutoff)


class _View:
    """One trail at one moment, from the side of the entities asked about (renumbered 0 … n − 1)."""

    def __init__(self, moment: _Moment, name: str, seen: Events, entity: NDArray[np.int64]) -> None:
        self.moment, self.name, self.seen, self.size = moment, name, seen, len(entity)
        place = np.searchsorted(entity, seen.entity).clip(max=max(len(entity) - 1, 0))
        mine = entity[place] == seen.entity if len(entity) else np.zeros(len(seen), bool)
        self.own = Events(place[mine], seen.item[mine], seen.time[mine])
        horizon = int(moment.questions.task.horizon.value)
        self.starts = {f"{w:g} horizons": moment.cutoff - int(w * horizon) for w in moment.sources.windows}
        self.starts["all time"] = ALWAYS
        self.last_year = moment.cutoff - YEAR
        self.horizon = horizon
        self.related = self._related()

    def popularity(self, start: int) -> NDArray[np.float64]:
        return np.bincount(self.seen.since(start).item, minlength=self.moment.items).astype(np.float64)

    def candidates(self) -> NDArray[np.int64]:
        """Sorted keys row · items + item."""
        sources, items = self.moment.sources, self.moment.items
        mine = _latest(self.own.distinct, sources.own)
        parts = [mine.entity * items + mine.item]
        for start in [*list(self.starts.values())[:2], ALWAYS]:
            counts = self.popularity(start)
            top = np.argsort(-counts, kind="stable")[: sources.popular]
            top = top[counts[top] > 0]
            parts.append((np.arange(self.size)[:, None] * items + top).ravel())
        parts.append(self._most_related())
        return np.unique(np.concatenate(parts))

    def _related(self) -> sparse.csr_matrix:
        """(entities, items) summed cosine similarity of each item to the entity's latest ones."""
        items, memory = self.moment.items, self.moment.sources.memory
        everyone = _latest(self.seen.distinct, memory)
        width = int(everyone.entity.max(initial=0)) + 1
        met = sparse.csr_matrix((np.ones(len(everyone)), (everyone.entity, everyone.item)), shape=(width, items))
        degree = np.sqrt(np.maximum(np.asarray(met.sum(axis=0)).ravel(), 1))
        scaled = (met @ sparse.diags(1 / degree)).tocsr()
        mine = _latest(self.own.distinct, memory)
        own = sparse.csr_matrix((np.ones(len(mine)), (mine.entity, mine.item)), shape=(self.size, items))
        weights = (own @ sparse.diags(1 / degree)).tocsr()
        found: sparse.csr_matrix = (weights @ (met.T.tocsr() @ scaled)).tocsr()
        found.sort_indices()
        return found

    def _most_related(self) -> NDArray[np.int64]:
        found = self.related.tocoo()
        order = np.lexsort((found.col, -found.data, found.row))
        row = found.row[order].astype(np.int64)
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        best = order[rank < self.moment.sources.related]
        return np.asarray(found.row[best].astype(np.int64) * self.moment.items + found.col[best])

    def features(self, row: NDArray[np.int64], item: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """What this trail says for each pair of an entity (by number) and an item."""
        items, cutoff = self.moment.items, self.moment.cutoff
        wanted = row * items + item
        columns = {"related": _at(self.related, row, item)}
        for name, start in self.starts.items():
            popular, mine = self.popularity(start), self.own.since(start)
            columns[f"popularity {name}"] = popular[item] / max(popular.sum(), 1)
            columns[f"rank {name}"] = _ranks(popular)[item]
            columns[f"own {name}"] = _counts(mine.entity * items + mine.item, wanted)
            columns[f"activity {name}"] = np.bincount(mine.entity, minlength=self.size)[row].astype(np.float64)
        season = self.seen.since(self.last_year).before(self.last_year + self.horizon)
        columns["popularity a year ago"] = np.bincount(season.item, minlength=items)[item] / max(len(season), 1)
        mine = self.own.since(self.last_year).before(self.last_year + self.horizon)
        columns["own a year ago"] = _counts(mine.entity * items + mine.item, wanted)
        columns["item's last"] = _age(_last(self.seen.item, self.seen.time, items)[item], cutoff)
        columns["item's first"] = _age(-_last(self.seen.item[::-1], -self.seen.time[::-1], items)[item], cutoff)
        latest = self.own.distinct
        key = latest.entity * items + latest.item
        order = np.argsort(key)
        columns["own last"] = _age(_lookup(key[order], latest.time[order], wanted), cutoff)
        columns["own distinct"] = np.bincount(latest.entity, minlength=self.size)[row].astype(np.float64)
        return columns


def _latest(distinct: Events, most: int) -> Events:
    """Each entity's `most` latest of its distinct items."""
    order = np.lexsort((-distinct.time, distinct.entity))
    entity = distinct.entity[order]
    return distinct.of(order[np.arange(len(order)) - np.searchsorted(entity, entity) < most])


def _at(matrix: sparse.csr_matrix, row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.float64]:
    """The entries of a matrix with sorted indices; 0 where it holds none."""
    width = matrix.shape[1]
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    return np.nan_to_num(_lookup(rows * width + matrix.indices, matrix.data, row * width + column))


def _lookup(keys: NDArray[np.int64], values: NDArray[np.generic], wanted: NDArray[np.int64]) -> NDArray[np.float64]:
    """The value of each wanted key, NaN where ascending `keys` lack it."""
    if not len(keys):
        return np.full(len(wanted), np.nan)
    place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[place] == wanted, values[place].astype(np.float64), np.nan)


def _counts(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.float64]:
    """How often each wanted key occurs among `keys`."""
    ordered = np.sort(keys)
    ends = np.searchsorted(ordered, wanted, side="right")
    return (ends - np.searchsorted(ordered, wanted, side="left")).astype(np.float64)


def _last(keys: NDArray[np.int64], values: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """(size,) the last value of each key in the order given, NaN without one."""
    found = np.full(size, np.nan)
    found[keys] = values
    return found


def _age(time: NDArray[np.float64], cutoff: int) -> NDArray[np.float64]:
    """Days from `time` to the cut-off; NaN for no time at all."""
    return np.where(time > float(ALWAYS), (cutoff - time) / DAY, np.nan)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many values are greater: equal values share a rank, so that row numbers say nothing."""
    return (len(values) - np.searchsorted(np.sort(values), values, side="right")).astype(np.float64)
