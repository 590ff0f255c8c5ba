"""Window features of an example's parents, as they stood at the example's cut-off.

A driver's form is also his team's form. The parents are those the own row names and, for an entity without foreign
keys, those that its latest visible rows name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.features.block import Features, sourced
from relbench_harness.features.encode import Encoder, fit_encoders
from relbench_harness.features.origin import Origin
from relbench_harness.features.windows import FittedWindows, Windows
from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.history import History
from relbench_harness.temporal.paths import ForeignKey, KeyPath, child_paths, foreign_keys
from relbench_harness.temporal.routes import Route
from relbench_harness.temporal.visibility import own_parents, visible_parents

LIGHT = Windows(rows=(1, 5, 20), hops=1, extremes=False, contrasts=False)
"""Windows for parents: fewer than an entity gets of its own."""


@dataclass(frozen=True)
class Parent:
    """How to reach one parent: by `key` of the own row, or of the latest row along `path`."""

    key: ForeignKey
    path: KeyPath | None = None

    @property
    def table(self) -> str:
        return self.key.parent

    @property
    def name(self) -> str:
        return f"own {self.key.column}" if self.path is None else f"latest {self.path.name}.{self.key.column}"

    @property
    def route(self) -> Route:
        """From the example's entity to the parent."""
        return (Route() if self.path is None else Route().down(self.path)).up(self.key)

    def rows(self, examples: Examples) -> NDArray[np.int64]:
        """(n,) row numbers of the parent in its table, −1 where none is visible."""
        if self.path is None:
            return own_parents(examples, self.key)
        latest = History.along(examples.database, self.path).latest(examples.entity, examples.cutoff)
        return visible_parents(examples, self.key, latest)


@dataclass(frozen=True)
class ParentContext:
    """Attributes and window features of the example's parents.

    Attributes:
        windows: What to compute for each parent; the default is lighter than an entity's own windows.
        most: At most this many parents, own foreign keys first, then those of the richest child tables.
    """

    windows: Windows = LIGHT
    most: int = 6

    def fit(self, train: Examples) -> FittedParentContext:
        chosen = parents(train, self.most)
        known = train.known
        return FittedParentContext(
            tuple(
                (
                    parent,
                    fit_encoders(known[parent.table]) if parent.path is not None else (),
                    self.windows.fit_for(train, parent.table),
                )
                for parent in chosen
            )
        )


def parents(train: Examples, most: int) -> list[Parent]:
    """The parents of a task's examples: one per (foreign key's table) from own row and from latest rows."""
    database, entity = train.database, train.task.entity_table
    keys = foreign_keys(database)
    found = [Parent(key) for key in keys if key.child == entity]
    tables = {parent.table for parent in found}
    paths = sorted(child_paths(database, entity, 1), key=lambda path: -len(train.known[path.table].rows))
    for path in sorted(paths, key=lambda path: -len(database[path.table].references)):
        for key in keys:
            if key.child == path.table and key not in path.keys and key.parent not in tables:
                tables.add(key.parent)
                found.append(Parent(key, path))
    return found[:most]


@dataclass(frozen=True)
class FittedParentContext:
    """Attributes: wanted: Names of the only columns to compute; None for all."""

    parents: tuple[tuple[Parent, tuple[Encoder, ...], FittedWindows], ...]
    wanted: frozenset[str] | None = None

    def only(self, names: Sequence[str]) -> FittedParentContext:
        """The columns `names` alone; parents that none of them needs are not looked up."""
        wanted = frozenset(names)
        parents = [
            (parent, encoders, windows.only([name for name in names if name.startswith(f"{parent.name}: ")]))
            for parent, encoders, windows in self.parents
            if any(name.startswith(f"{parent.name}: ") for name in names)
        ]
        return FittedParentContext(tuple(parents), wanted)

    def transform(self, examples: Examples) -> Features:
        features = Features(len(examples), ())
        for parent, encoders, windows in self.parents:
            rows = parent.rows(examples)
            table = examples.database[parent.table]
            prefix = f"{parent.name}: "
            columns = [
                column
                for encoder in encoders
                if encoder.column in table.rows.column_names
                for column in sourced(
                    encoder.columns(table.rows.column(encoder.column), rows, examples.cutoff, prefix),
                    Origin(table.name, encoder.column, parent.route),
                )
                if self.wanted is None or column.name in self.wanted
            ]
            features = features.concat(Features(len(examples), tuple(columns)))
            features = features.concat(windows.transform_at(examples, rows, prefix, parent.route))
        return features
