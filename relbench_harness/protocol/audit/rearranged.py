"""A database whose rows are moved, left out, repeated or changed, with every key that points at them following.

Invariant: what leaves here is in canonical order, and `places` says where each old row lies, so that examples about it can
follow and item numbers that a method answers can be read back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.protocol.method import Examples, Labels, Ragged, TrainingLabels

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Draft:
    """The rows that a table is to have.

    Attributes:
        source: (m,) the old row that each new row is made of.
        added: (m,) whether a new row is one more beside its source; None if none is.
        columns: Columns of attributes or time with other values, m each.
        parents: Foreign keys with other values: m old row numbers of the parent table, −1 for none.
    """

    source: Rows
    added: NDArray[np.bool_] | None = None
    columns: Mapping[str, pa.Array | pa.ChunkedArray] = field(default_factory=lambda: MappingProxyType({}))
    parents: Mapping[str, Rows] = field(default_factory=lambda: MappingProxyType({}))

    def places(self, count: int) -> Rows:
        """(count,) the new row of each old one, −1 where it is gone."""
        found = np.full(count, -1, np.int64)
        kept = np.arange(len(self.source)) if self.added is None else np.flatnonzero(~self.added)
        found[self.source[kept]] = kept
        return found


@dataclass(frozen=True)
class Rearranged:
    """A rearranged database.

    Attributes:
        places: Table → new row of each old row, −1 where it is gone. A table that is not named stands as it stood.
    """

    database: Database
    places: Mapping[str, Rows]

    def moved(self, examples: Examples) -> Examples:
        """`examples` about the same rows, of this database; their labels and those of training follow."""
        entities, training = examples.task.entity_table, examples.training
        if training is not None:
            values = self._labels(examples, training.values)
            training = TrainingLabels(self._at(entities, training.entity), training.time, values)
        return replace(
            examples,
            database=self.database,
            entity=self._at(entities, examples.entity),
            labels=None if examples.labels is None else self._labels(examples, examples.labels),
            training=training,
        )

    def _at(self, table: str, rows: Rows) -> Rows:
        """The new numbers of `rows`. Rows that the database never held, such as those of entities yet to come, stay beyond it."""
        places = self.places.get(table)
        if places is None or not len(rows):
            return rows
        beyond = rows - len(places) + len(self.database[table])
        return np.where(rows < len(places), places[np.minimum(rows, len(places) - 1)], beyond) if len(places) else beyond

    def _labels(self, examples: Examples, labels: Labels) -> Labels:
        if not isinstance(labels, Ragged):
            return labels
        owner = np.repeat(np.arange(len(labels.offsets) - 1), np.diff(labels.offsets))
        values = self._at(str(examples.task.item_table), labels.values)
        return Ragged(labels.offsets, values[np.lexsort((values, owner))])

    def read_back(self, predictions: NDArray[np.generic], item_table: str | None) -> NDArray[np.generic]:
        """`predictions` with old numbers of items; an item that was not there before is numbered from −2 downwards."""
        places = self.places.get(str(item_table))
        if places is None or not np.issubdtype(predictions.dtype, np.integer):
            return predictions
        old = -2 - np.arange(len(self.database[str(item_table)]))
        kept = np.flatnonzero(places >= 0)
        old[places[kept]] = kept
        named = predictions.astype(np.int64)
        return np.where(named >= 0, old[np.maximum(named, 0)], named)


def rearranged(database: Database, drafts: Mapping[str, Draft]) -> Rearranged:
    """`database` with the rows of `drafts`; foreign keys to rows that are gone become null."""
    places = {name: draft.places(len(database[name])) for name, draft in drafts.items()}
    return Rearranged(Database(_table(table, drafts.get(name), places) for name, table in database.items()), places)


def _table(table: Table, draft: Draft | None, places: Mapping[str, Rows]) -> Table:
    if draft is None and not set(table.references.values()) & set(places):
        return table
    rows = table.rows if draft is None else table.rows.take(pa.array(draft.source))
    changed: dict[str, pa.Array | pa.ChunkedArray] = {} if draft is None else dict(draft.columns)
    if draft is not None and table.key is not None:
        changed[table.key] = pa.array(np.arange(len(draft.source), dtype=np.int64))
    for column, parent in table.references.items():
        named = table.parents(column)
        if draft is not None:
            named = draft.parents.get(column, named[draft.source])
        if parent in places:
            known = places[parent]
            named = np.where(named >= 0, known[np.maximum(named, 0)], -1) if len(known) else np.full(len(named), -1)
        changed[column] = pa.array(named, pa.int64(), mask=named < 0)
    for column, values in changed.items():
        rows = rows.set_column(rows.column_names.index(column), rows.schema.field(column).with_nullable(True), values)
    return replace(table, rows=rows, origin=None)


def own_rows(examples: Examples) -> dict[str, Rows]:
    """The rows that belong to examples, whatever their time: entities, labelled items, what training's labels are about,
    and, where the task shows an example's own row, the parents that it names."""
    task, table = examples.task, examples.database[examples.task.entity_table]
    training = examples.training
    found = {table.name: [examples.entity]}
    if training is not None:
        found[table.name].append(training.entity)
    if task.item_table is not None:
        known = [examples.labels, None if training is None else training.values]
        found.setdefault(task.item_table, []).extend(labels.values for labels in known if isinstance(labels, Ragged))
    if task.own_row_visible:
        for column, parent in table.references.items():
            named = table.parents(column)[examples.entity]
            found.setdefault(parent, []).append(named[named >= 0])
    # training's labels may be about rows that this database does not hold yet
    return {name: _unique(rows, len(examples.database[name])) for name, rows in found.items()}


def _unique(rows: list[Rows], count: int) -> Rows:
    whole = np.unique(np.concatenate(rows)) if rows else np.zeros(0, np.int64)
    return whole[whole < count].astype(np.int64)
