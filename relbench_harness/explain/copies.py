"""Many variants of examples in one database: each has a copy of the rows around it for itself, some of them left out.

So one call of `predict` answers them all, whatever the method. Invariant: the database is in canonical order, its copies share no
row, and a row that is left out is gone: what named it names nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.explain.surroundings import Surroundings
from relbench_harness.features.copied_rows import Sources
from relbench_harness.protocol.method import Examples, Ragged, TrainingLabels

Rows = NDArray[np.int64]
Removed = Mapping[str, Rows]
"""Table → ascending row numbers that are left out."""


@dataclass(frozen=True)
class Variant:
    """An example, by its position, with some of the rows around it left out."""

    position: int
    around: Surroundings
    removed: Removed


class Copier:
    """Makes copies of rows of one database.

    Args:
        whole: The examples that variants name by position.
    """

    def __init__(self, whole: Examples) -> None:
        self.whole = whole
        self._parents: dict[tuple[str, str], Rows] = {}
        self._known = _labels_by_entity(whole.training)

    def copied(self, variants: Sequence[Variant]) -> tuple[Examples, Sources]:
        """Examples, one for each of `variants`, about a database of copies; and what each row is a copy of."""
        held = {name: self._held(name, variants) for name in self.whole.database}
        database = Database(self._table(table, held) for name, table in self.whole.database.items())
        at = np.asarray([variant.position for variant in variants], np.int64)
        entity = held[self.whole.task.entity_table].places(np.arange(len(variants)), self.whole.entity[at])
        training = self._training(at, entity)
        examples = replace(self.whole.take(at), database=database, entity=entity, labels=None, training=training)
        return examples, {name: rows.source for name, rows in held.items()}

    def _held(self, name: str, variants: Sequence[Variant]) -> _Held:
        empty = np.zeros(0, np.int64)
        parts = []
        for variant in variants:
            rows = variant.around.rows.get(name, empty)
            gone = variant.removed.get(name)
            parts.append(rows if gone is None or not len(gone) else rows[~np.isin(rows, gone, assume_unique=True)])
        source = np.concatenate([empty, *parts])
        owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return _Held.of(source, owner, len(self.whole.database[name]))

    def _table(self, table: Table, held: Mapping[str, _Held]) -> Table:
        mine = held[table.name]
        rows = table.rows.take(pa.array(mine.source))
        if table.key is not None:
            rows = _with(rows, table.key, pa.array(np.arange(len(mine.source), dtype=np.int64)))
        for column, parent in table.references.items():
            if (table.name, column) not in self._parents:
                self._parents[table.name, column] = table.parents(column)
            named = held[parent].places(mine.owner, self._parents[table.name, column][mine.source])
            rows = _with(rows, column, pa.array(named, pa.int64(), mask=named < 0))
        return replace(table, rows=rows, origin=None)

    def _training(self, at: Rows, entity: Rows) -> TrainingLabels | None:
        training, whole = self.whole.training, self.whole.entity[at]
        if training is None or isinstance(training.values, Ragged):
            return None
        order, starts = self._known
        some = whole < len(starts) - 1
        first = np.where(some, starts[np.minimum(whole, len(starts) - 2)], 0)
        count = np.where(some, starts[np.minimum(whole + 1, len(starts) - 1)] - first, 0)
        inner = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        rows = order[np.repeat(first, count) + inner]
        return TrainingLabels(np.repeat(entity, count), training.time[rows], training.values[rows])


@dataclass(frozen=True)
class _Held:
    """The copies of rows of one table, in canonical order.

    Attributes:
        source: (m,) row that each is a copy of, ascending.
        owner: (m,) whose copy it is.
    """

    source: Rows
    owner: Rows
    _keys: Rows
    _at: Rows
    _size: int

    @classmethod
    def of(cls, source: Rows, owner: Rows, size: int) -> _Held:
        # rows of a table with a time are in its order, so that copies in order of their sources are as well
        order = np.argsort(source, kind="stable")
        source, owner = source[order], owner[order]
        keys = owner * size + source
        at = np.argsort(keys, kind="stable")
        return cls(source, owner, keys[at], at, size)

    def places(self, owner: Rows, source: Rows) -> Rows:
        """(n,) where the copy of `source` that belongs to `owner` is, −1 where there is none."""
        wanted = owner * self._size + source
        found = np.searchsorted(self._keys, wanted)
        inside = np.minimum(found, max(len(self._keys) - 1, 0))
        if not len(self._keys):
            return np.full(len(wanted), -1, np.int64)
        return np.where((source >= 0) & (self._keys[inside] == wanted), self._at[inside], -1)


def _with(rows: pa.Table, column: str, values: pa.Array) -> pa.Table:
    at = rows.column_names.index(column)
    return rows.set_column(at, rows.schema.field(at).with_nullable(True), values)


def _labels_by_entity(training: TrainingLabels | None) -> tuple[Rows, Rows]:
    """Training's labels in the order of their entities, and where each entity's begin."""
    if training is None or not len(training.entity):
        return np.zeros(0, np.int64), np.zeros(2, np.int64)
    order = np.argsort(training.entity, kind="stable").astype(np.int64)
    starts = np.searchsorted(training.entity[order], np.arange(int(training.entity.max()) + 2))
    return order, starts.astype(np.int64)
