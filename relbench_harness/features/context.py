"""The company a question keeps: window features of its parents, as they stood at the question's cut-off.

A driver's form is also his team's form. The parents are those the own row names and, for an entity without foreign
keys, those that its latest visible rows name.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.features.block import Features
from relbench_harness.features.encode import Encoder, fit_encoders
from relbench_harness.features.entity import gather, visible_parents
from relbench_harness.features.history import ChildPath, History, child_paths
from relbench_harness.features.windows import FittedWindows, Windows
from relbench_harness.protocol.method import Examples

LIGHT = Windows(rows=(1, 5, 20), hops=1, extremes=False, contrasts=False)
"""Windows for parents: fewer than an entity gets of its own."""


@dataclass(frozen=True)
class Parent:
    """How to reach one parent: by foreign key `key` of the own row, or of the latest row along `path`."""

    key: str
    table: str
    path: ChildPath | None = None

    @property
    def name(self) -> str:
        return f"own {self.key}" if self.path is None else f"latest {self.path.name}.{self.key}"

    def rows(self, examples: Examples) -> NDArray[np.int64]:
        """(n,) row numbers of the parent in its table, −1 where none is visible."""
        if self.path is None:
            table = examples.database[examples.task.entity_table]
            return visible_parents(examples, table, self.key, examples.entity, shown=examples.task.own_row_visible)
        history = History.along(examples.database, self.path)
        first, last = history.seen(examples.entity, examples.cutoff)
        latest = np.where(last > first, gather(history.rows, np.where(last > first, last - 1, -1), -1), -1)
        return visible_parents(examples, examples.database[self.path.table], self.key, latest)


@dataclass(frozen=True)
class ParentContext:
    """Attributes and window features of the question's parents.

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
    """The parents of a task's questions: one per (foreign key's table) from own row and from latest rows."""
    database, entity = train.database, train.task.entity_table
    found = [Parent(key, parent) for key, parent in database[entity].references.items()]
    tables = {parent.table for parent in found}
    paths = sorted(child_paths(database, entity, 1), key=lambda path: -len(train.known[path.table].rows))
    for path in sorted(paths, key=lambda path: -len(database[path.table].references)):
        for key, parent in database[path.table].references.items():
            if key != path.steps[-1].key and parent not in tables:
                tables.add(parent)
                found.append(Parent(key, parent, path))
    return found[:most]


@dataclass(frozen=True)
class FittedParentContext:
    parents: tuple[tuple[Parent, tuple[Encoder, ...], FittedWindows], ...]

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
                for column in encoder.columns(table.rows.column(encoder.column), rows, examples.cutoff, prefix)
            ]
            features = features.concat(Features(len(examples), tuple(columns)))
            features = features.concat(windows.transform_at(examples, rows, prefix))
        return features
