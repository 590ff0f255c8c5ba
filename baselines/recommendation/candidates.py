"""Which items could be recommended to an entity, and what speaks for each of them at the example's cut-off.

Candidates come from three sources, all on interactions older than the cut-off: the entity's own items, the most popular ones
of recent windows, and those often met by the entities that met the same items (item-to-item co-visitation, Linden et al. 2003,
cosine). Where there are few items, all of them are candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import InputError
from relbench_harness.features.block import Features
from relbench_harness.features.encode import Encoder, fit_encoders
from relbench_harness.features.label_history import closed_labels
from relbench_harness.protocol.method import Examples

from ..interactions import ALWAYS, Events, Trail, answers, events, trails
from .pair_features import PairFeatures, rank_in_run, renumbered


@dataclass(frozen=True)
class Pairs:
    """Candidates of some examples.

    Attributes:
        example: (p,) index of the example, ascending.
        item: (p,) row number of the item; an example's items are distinct.
        values: (p, f) what speaks for the pair, NaN where there is nothing to say.
        names: The f features.
        categorical: (f,) which of them are codes.
    """

    example: NDArray[np.int64]
    item: NDArray[np.int64]
    values: NDArray[np.float32]
    names: tuple[str, ...]
    categorical: NDArray[np.bool_]

    @staticmethod
    def of(example: NDArray[np.int64], item: NDArray[np.int64], features: Features) -> Pairs:
        return Pairs(example, item, features.to_matrix(), tuple(features.names), features.native)

    def take(self, rows: NDArray[np.int64]) -> Pairs:
        return replace(self, example=self.example[rows], item=self.item[rows], values=self.values[rows])

    def beside(self, features: Features) -> Pairs:
        """The same candidates with further features."""
        more = Pairs.of(self.example, self.item, features)
        values = np.concatenate([self.values, more.values], axis=1)
        categorical = np.concatenate([self.categorical, more.categorical])
        return replace(self, values=values, names=self.names + more.names, categorical=categorical)


class Candidates(Protocol):
    """A way to find candidates."""

    def fit(self, train: Examples) -> FittedCandidates:
        """Fixes paths and vocabularies on the rows visible at the end of training."""
        ...


class FittedCandidates(Protocol):
    """Candidates and their features, the same columns for any examples of the schema."""

    def pairs(self, examples: Examples) -> Pairs: ...


@dataclass(frozen=True)
class InteractionCandidates:
    """Candidates by the interactions of entities and items.

    Attributes:
        windows: Lengths in multiples of the task's horizon over which interactions are counted, besides all time: one setting
            fits tasks of days and of years.
        own, popular, related: How many candidates come from the entity's own items (latest first), from each of the two
            shortest windows' most popular, and from co-visitation.
        all_items: With at most this many items, every item is a candidate.
        latest: Only the latest so many distinct items of an entity count for co-visitation.
        max_paths: How many tables of interactions are read.
        past_labels: Whether the items of the task's own past labels are interactions too.
    """

    windows: tuple[float, ...] = (0.25, 1.0, 3.0, 12.0)
    own: int = 60
    popular: int = 40
    related: int = 60
    all_items: int = 200
    latest: int = 60
    max_paths: int = 3
    past_labels: bool = True

    def fit(self, train: Examples) -> FittedCandidates:
        task, found = train.task, trails(train.database, train.task, self.max_paths)
        if not found:
            raise InputError(
                f"task {task.id}: no table's foreign keys lead to both {task.entity_table!r} and {task.item_table!r} "
                "within two steps, so there are no interactions to rank items by"
            )
        return FittedInteractionCandidates(self, found, fit_encoders(train.known[task.item_table or ""]))


@dataclass(frozen=True)
class FittedInteractionCandidates:
    """The tables of interactions, and the encoders of the items' own columns."""

    method: InteractionCandidates
    paths: tuple[Trail, ...]
    encoders: tuple[Encoder, ...]

    def pairs(self, examples: Examples) -> Pairs:
        """Candidates and their features, found for the examples of one cut-off after the other."""
        found = {path.name: events(examples.database, path) for path in self.paths}
        if self.method.past_labels and examples.task.sql is not None:
            found["answers"] = answers(closed_labels(examples, windows=24))
        parts = [self._at(int(cutoff), examples, found) for cutoff in np.unique(examples.cutoff)]
        example, item = (np.concatenate([getattr(part, name) for part in parts]) for name in ("example", "item"))
        values = np.concatenate([part.values for part in parts])
        pairs = replace(parts[0], example=example, item=item, values=values).take(np.argsort(example, kind="stable"))
        return pairs.beside(self._attributes(pairs, examples))

    def _at(self, cutoff: int, examples: Examples, found: Mapping[str, Events]) -> Pairs:
        """The pairs of the examples that share `cutoff`."""
        asked = np.flatnonzero(examples.cutoff == cutoff)
        entity, number = np.unique(examples.entity[asked], return_inverse=True)
        table, method = examples.database[examples.task.item_table or ""], self.method
        horizon = int(examples.task.horizon.value)
        windows = {f"{w:g} horizons": cutoff - int(w * horizon) for w in method.windows} | {"all time": ALWAYS}
        views = {}
        for name, interactions in found.items():
            seen = interactions.before(cutoff)
            own = renumbered(seen, entity)
            views[name] = PairFeatures(seen, own, len(entity), len(table), cutoff, horizon, windows, method.latest)
        keys = np.arange(len(entity) * len(table))
        if len(table) > method.all_items:
            candidates = [view.keys(method.own, method.popular, method.related) for view in views.values()]
            keys = np.unique(np.concatenate(candidates))
        row, item = np.divmod(keys[keys % len(table) < table.visible(cutoff)[0]], len(table))
        columns = {
            f"{name}: {what}": column for name, view in views.items() for what, column in view.columns(row, item).items()
        }
        values = np.stack(list(columns.values()), axis=1).astype(np.float32)
        # one run of candidates per entity, handed to each of its examples
        starts = np.searchsorted(row, np.arange(len(entity) + 1))
        counts = np.diff(starts)[number]
        example = np.repeat(asked, counts)
        at = np.repeat(starts[number], counts) + rank_in_run(example)
        return Pairs(example, item[at], values[at], tuple(columns), np.zeros(len(columns), bool))

    def _attributes(self, pairs: Pairs, examples: Examples) -> Features:
        """The items' own columns."""
        rows = examples.database[examples.task.item_table or ""].rows
        at = examples.cutoff[pairs.example]
        columns = [
            column
            for encoder in self.encoders
            if encoder.column in rows.column_names
            for column in encoder.columns(rows.column(encoder.column), pairs.item, at, "item.")
        ]
        return Features(len(pairs.item), tuple(columns))
