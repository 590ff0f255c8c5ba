"""Which items could be recommended to an entity, and what speaks for each of them at the example's cut-off.

Candidates come from four sources, all on interactions older than the cut-off: the entity's own items, the most popular ones
of recent windows, the most popular ones among interactions that share a parent with the entity (its city, its team), and those
often met by the entities that met the same items (item-to-item co-visitation, Linden et al. 2003, cosine). Where there are few
items, all of them are candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.distinct import distinct
from relbench_harness.data.table import Table
from relbench_harness.errors import UnsupportedTaskError
from relbench_harness.features.alike_items import AlikeItems, codes_of, likeness_columns
from relbench_harness.features.block import Column, Features
from relbench_harness.features.encode import Encoder, fit_encoders
from relbench_harness.features.pair_features import PairFeatures, rank_in_run
from relbench_harness.features.shared_parent_features import SharedParentFeatures, is_telling, latest_group
from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.closed_labels import closed_labels
from relbench_harness.temporal.interactions import (
    InteractionPath,
    Interactions,
    interaction_paths,
    interactions,
    past_answers,
    shared_parents,
)
from relbench_harness.temporal.paths import KeyPath
from relbench_harness.temporal.visibility import ALWAYS, Rows, gather, visible

Pairs = tuple[NDArray[np.int64], NDArray[np.int64], Features]
"""(p,) index of the example, ascending; (p,) row number of the item, distinct within an example; features of the p pairs."""


LABEL_WINDOWS = 24
"""How many windows after the last of training are computed for each cut-off, at most, where past labels name items."""


class Candidates(Protocol):
    """A way to find candidates."""

    def fit(self, train: Examples) -> FittedCandidates:
        """Fixes paths and vocabularies on the rows visible at the end of training."""


class FittedCandidates(Protocol):
    """Candidates and their features, the same columns for any examples of the schema."""

    def pairs(self, examples: Examples) -> Pairs:
        """The candidates of all examples."""


@dataclass(frozen=True)
class InteractionCandidates:
    """Candidates by the interactions of entities and items.

    Attributes:
        windows: Lengths in multiples of the task's horizon over which interactions are counted, besides all time: one setting
            fits tasks of days and of years.
        own, popular, related: How many candidates come from the entity's own items (latest first), from each of the two
            shortest windows' most popular, and from co-visitation.
        shared: How many come from the most popular items among interactions that share a parent with the entity, lately and in
            all time, for each such parent.
        all_items: With at most this many items, every item is a candidate.
        latest: Only the latest so many distinct items of an entity count for co-visitation.
        max_paths: How many tables of interactions are read.
        max_shared: How many ways to a shared parent are followed in each of them.
        past_labels: Whether the items of the task's own past labels are interactions too.
    """

    windows: tuple[float, ...] = (0.25, 1.0, 3.0, 12.0)
    own: int = 60
    popular: int = 40
    related: int = 60
    shared: int = 20
    all_items: int = 200
    latest: int = 60
    max_paths: int = 3
    max_shared: int = 4
    past_labels: bool = True

    def fit(self, train: Examples) -> FittedCandidates:
        task = train.task
        found = interaction_paths(train.database, task.entity_table, task.item_table or "", self.max_paths)
        if not found:
            raise UnsupportedTaskError(
                f"task {task.id}: no table's foreign keys lead to both {task.entity_table!r} and {task.item_table!r}, "
                "so there are no interactions to rank items by"
            )
        items = train.known[task.item_table or ""]
        shared = {path.name: self._shared(train.known, path) for path in found}
        return FittedInteractionCandidates(self, found, shared, likeness_columns(items), fit_encoders(items))

    def _shared(self, known: Database, path: InteractionPath) -> tuple[KeyPath, ...]:
        """The ways to shared parents that say what is popular."""
        ways = shared_parents(known, path)
        groups = interactions(known, path, ways).groups
        return tuple(way for way in ways if is_telling(groups[way.name]))[: self.max_shared]


class PairColumns(Protocol):
    """What says something of pairs of an entity and an item."""

    def columns(self, number: NDArray[np.int64], item: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """(pairs,) values by name, for pairs of an entity's number and an item."""


class _Part(NamedTuple):
    """The pairs of the examples of one cut-off, and what the interactions say of each."""

    example: NDArray[np.int64]
    item: NDArray[np.int64]
    columns: dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class FittedInteractionCandidates:
    """The tables of interactions, what is popular within which groups, what makes items alike, and their own columns.

    Attributes:
        shared: Name of a path → the ways from its interactions to parents that entities share.
        likeness: See `likeness_columns`.
        encoders: Of the items' own columns.
    """

    method: InteractionCandidates
    paths: tuple[InteractionPath, ...]
    shared: Mapping[str, tuple[KeyPath, ...]]
    likeness: tuple[str, ...]
    encoders: tuple[Encoder, ...]

    def pairs(self, examples: Examples) -> Pairs:
        """Candidates and their features, found for the examples of one cut-off after the other."""
        found = {path.name: interactions(examples.database, path, self.shared[path.name]) for path in self.paths}
        if self.method.past_labels and examples.task.sql is not None:
            found["answers"] = past_answers(closed_labels(examples, LABEL_WINDOWS))
        codes = self._codes(examples.database[examples.task.item_table or ""])
        parts = [self._at(int(cutoff), examples, found, codes) for cutoff in np.unique(examples.cutoff)]
        order = np.argsort(np.concatenate([part.example for part in parts]), kind="stable")
        example = np.concatenate([part.example for part in parts])[order]
        item = np.concatenate([part.item for part in parts])[order]
        names = parts[0].columns
        columns = [Column(name, np.concatenate([part.columns[name] for part in parts])[order]) for name in names]
        rows, at = examples.database[examples.task.item_table or ""].rows, examples.cutoff[example]
        for encoder in self.encoders:
            if encoder.column in rows.column_names:
                columns += encoder.columns(rows.column(encoder.column), item, at, "item.")
        return example, item, Features(len(item), tuple(columns))

    def _at(self, cutoff: int, examples: Examples, found: Mapping[str, Interactions], codes: Mapping[str, Rows]) -> _Part:
        """The pairs of the examples that share `cutoff`, and what the interactions say of each."""
        members = np.flatnonzero(examples.cutoff == cutoff)
        entity, number = np.unique(examples.entity[members], return_inverse=True)
        table, horizon = examples.database[examples.task.item_table or ""], int(examples.task.horizon.value)
        windows = {f"{w:g} horizons": cutoff - int(w * horizon) for w in self.method.windows} | {"all time": ALWAYS}
        method, items = self.method, len(table)
        views = {
            name: PairFeatures(some.before(cutoff), entity, items, cutoff, horizon, windows, method.latest)
            for name, some in found.items()
        }
        lately = {name: windows[name] for name in (*list(windows)[1:2], "all time")}
        groups = [(name, group) for name, view in views.items() for group in self._groups(name, view, examples, lately)]
        if items <= method.all_items:
            keys = np.arange(len(entity) * items)
        else:
            candidates = [view.keys(method.own, method.popular, method.related) for view in views.values()]
            candidates += [group.keys(method.shared) for _, group in groups]
            keys = distinct(np.concatenate(candidates))
        there = np.flatnonzero(visible(table, keys % items, cutoff))
        row, item = np.divmod(keys[there], items)
        # one run of candidates per entity, handed to each of its examples
        starts = np.searchsorted(row, np.arange(len(entity) + 1))
        example = np.repeat(members, np.diff(starts)[number])
        at = np.repeat(starts[number], np.diff(starts)[number]) + rank_in_run(example)
        alike = [
            (f"{name}, equal {column}", AlikeItems(view.own, len(entity), code, lately))
            for name, view in views.items()
            for column, code in codes.items()
        ]
        sources: list[tuple[str, PairColumns]] = [*views.items(), *groups, *alike]
        columns = {
            f"{name}: {what}": values.astype(np.float32)[at]
            for name, made in sources
            for what, values in made.columns(row, item).items()
        }
        return _Part(example, item[at], columns)

    def _groups(
        self, name: str, view: PairFeatures, examples: Examples, windows: Mapping[str, int]
    ) -> Iterator[SharedParentFeatures]:
        """What is popular among interactions that share a parent with the entities, for each way to one."""
        for way in self.shared.get(name, ()):
            group = latest_group(view.own, way.name, len(view.entity))
            if way.tables[-1] == examples.task.entity_table:
                group = gather(examples.database[way.tables[-1]].parents(way.columns[-1]), view.entity, -1)
            yield SharedParentFeatures(way.name, view.seen, group, view.items, windows)

    def _codes(self, items: Table) -> dict[str, Rows]:
        """Column that makes items alike → see `codes_of`."""
        return {column: codes_of(items, column) for column in self.likeness if column in items.rows.column_names}
