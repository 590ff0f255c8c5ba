"""Changes of a database that take something away from a predictor: a column's values, a table, a foreign key.

Invariant: what leaves here is in canonical order, and no row shows what was not there before it: values come from rows that are no
younger. Only what changes is written anew; all other columns are shared with the database before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.errors import InputError, nearest
from relbench_harness.explain.explanation import Part
from relbench_harness.protocol.audit.rearranged import Draft, Rows, own_rows, rearranged
from relbench_harness.protocol.method import Examples, Ragged, TrainingLabels
from relbench_harness.temporal.visibility import no_younger

NEAR = 512
"""Rows before a row, those of its own instant included, from which it takes a value."""


class Change(Protocol):
    """One way to take a part of the data away."""

    @property
    def part(self) -> Part: ...

    @property
    def is_random(self) -> bool:
        """Whether another seed gives another database."""
        ...

    def made(self, examples: Examples, seed: int) -> Examples:
        """`examples` about the changed database; the same object where nothing changes."""
        ...


def donors(table: Table, rng: np.random.Generator, near: int = NEAR) -> NDArray[np.int64]:
    """(rows,) for each row one that is no younger, of similar time; in a static table a permutation of all rows."""
    count = len(table)
    if table.times is None:
        return rng.permutation(count).astype(np.int64)
    end = no_younger(table.times)
    width = np.minimum(end, near)
    return (end - 1 - np.floor(rng.random(count) * width).astype(np.int64)).astype(np.int64)


@dataclass(frozen=True)
class PermutedColumn:
    """A column whose values are exchanged among rows of similar time; of a foreign key, which parents rows have."""

    table: str
    column: str
    is_random: bool = True

    @property
    def part(self) -> Part:
        return Part("column", table=self.table, column=self.column)

    def made(self, examples: Examples, seed: int) -> Examples:
        table = examples.database[self.table]
        if self.column not in table.rows.column_names:
            return examples
        if self.column in (table.key, table.time):
            raise InputError(f"column {self.column!r} of table {self.table!r} is its key or its time, which order the rows")
        # rows that come later change no draw of an earlier row
        chosen = donors(table, np.random.default_rng([seed, crc32(self.table.encode())]))
        values = table.rows.column(self.column).take(pa.array(chosen))
        at = table.rows.column_names.index(self.column)
        rows = table.rows.set_column(at, table.rows.schema.field(self.column), values)
        return replace(examples, database=_with(examples.database, replace(table, rows=rows)))


@dataclass(frozen=True)
class SetColumn:
    """A column that has the value of one row, `row`, in all of them.

    Whoever names the row answers for its age: no example may be older.
    """

    table: str
    column: str
    row: int
    is_random: bool = False

    @property
    def part(self) -> Part:
        return Part("column", table=self.table, column=self.column)

    def made(self, examples: Examples, seed: int) -> Examples:
        table = examples.database[self.table]
        if self.column in (table.key, table.time) or self.column in table.references:
            raise InputError(f"column {self.column!r} of table {self.table!r} is a key or its time, which is never set")
        values = table.rows.column(self.column).take(pa.array(np.full(len(table), self.row)))
        at = table.rows.column_names.index(self.column)
        rows = table.rows.set_column(at, table.rows.schema.field(self.column), values)
        return replace(examples, database=_with(examples.database, replace(table, rows=rows)))


@dataclass(frozen=True)
class HiddenTable:
    """A table without rows, but for those that belong to the examples."""

    table: str
    is_random: bool = False

    @property
    def part(self) -> Part:
        return Part("table", table=self.table)

    def made(self, examples: Examples, seed: int) -> Examples:
        kept = _own(examples).get(self.table, np.zeros(0, np.int64))
        if len(kept) == len(examples.database[self.table]):
            return examples
        return without_rows(examples, {self.table: Draft(kept)})


@dataclass(frozen=True)
class CutKey:
    """A foreign key that names nobody, so that no path leads over it."""

    table: str
    column: str
    is_random: bool = False

    @property
    def part(self) -> Part:
        return Part("path", table=self.table, path=f"{self.table}[{self.column}]", column=self.column)

    def made(self, examples: Examples, seed: int) -> Examples:
        table = examples.database[self.table]
        if self.column not in table.references:
            raise InputError(
                f"table {self.table!r} has no foreign key {self.column!r}; {nearest(self.column, table.references)}"
            )
        nobody = pa.nulls(len(table), pa.int64())
        at = table.rows.column_names.index(self.column)
        rows = table.rows.set_column(at, table.rows.schema.field(self.column).with_nullable(True), nobody)
        return replace(examples, database=_with(examples.database, replace(table, rows=rows)))


def _with(database: Database, changed: Table) -> Database:
    return Database(changed if name == changed.name else table for name, table in database.items())


def every_column(database: Database) -> tuple[PermutedColumn, ...]:
    """The change of each attribute and each foreign key."""
    return tuple(
        PermutedColumn(name, column)
        for name, table in database.items()
        for column in table.rows.column_names
        if column not in (table.key, table.time)
    )


def every_table(examples: Examples) -> tuple[HiddenTable, ...]:
    """The change of each table but that of the entities."""
    return tuple(HiddenTable(name) for name in examples.database if name != examples.task.entity_table)


def every_key(database: Database) -> tuple[CutKey, ...]:
    return tuple(CutKey(name, column) for name, table in database.items() for column in table.references)


def _own(examples: Examples) -> dict[str, Rows]:
    """The rows that belong to the examples; those that labels of training are about may go."""
    return own_rows(replace(examples, training=None))


def without_rows(examples: Examples, drafts: Mapping[str, Draft]) -> Examples:
    """The examples about the rows of `drafts`; labels of training about rows that are gone go too."""
    moved = rearranged(examples.database, drafts).moved(examples)
    training = moved.training
    if training is None or isinstance(training.values, Ragged) or (training.entity >= 0).all():
        return moved
    there = training.entity >= 0
    return replace(moved, training=TrainingLabels(training.entity[there], training.time[there], training.values[there]))
