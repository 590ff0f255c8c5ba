"""Four futures: the rows of a database from an instant on scrambled, deleted, duplicated, or joined by others.

Invariant: rows before the instant keep their numbers and values, but for foreign keys to rows that are gone. Rows that belong to
an example (`own`) are there in every future with the values that they had.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.protocol.audit.rearranged import Draft, Rearranged, Rows, rearranged

FEWEST_ADDED, MOST_ADDED = 40, 20_000
"""How many rows are added to a table: as many as are there already, within these bounds."""
TEN_DAYS = 10 * 86_400 * 10**9


@dataclass(frozen=True)
class Future:
    """What is to change from an instant on.

    Attributes:
        instant: Nanoseconds since 1970.
        own: Table → rows that belong to an example.
        about: Table → rows at which half of the foreign keys that are drawn anew point, so that examples are concerned.
    """

    database: Database
    instant: int
    own: Mapping[str, Rows]
    about: Mapping[str, Rows]
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @property
    def later(self) -> int:
        """How many rows at or after the instant belong to no example."""
        return sum(len(self.free(table)) for table in self.database.values())

    def first(self, table: Table) -> int:
        return int(table.visible(self.instant)[0])

    def free(self, table: Table) -> Rows:
        """The rows at or after the instant that belong to no example."""
        late = np.arange(self.first(table), len(table))
        return late[~np.isin(late, self.own.get(table.name, np.zeros(0, np.int64)))]

    def named(self, table: Table, count: int) -> dict[str, Rows]:
        """Foreign keys of `count` rows drawn anew, one in ten of them null."""
        found = {}
        for column, parent in table.references.items():
            drawn = self._drawn(np.arange(len(self.database[parent])), count)
            wanted = self.about.get(parent, np.zeros(0, np.int64))
            if len(wanted):
                drawn = np.where(self.random.random(count) < 0.5, self._drawn(wanted, count), drawn)
            found[column] = np.where(self.random.random(count) < 0.1, -1, drawn)
        return found

    def _drawn(self, rows: Rows, count: int) -> Rows:
        return self.random.choice(rows, count) if len(rows) else np.full(count, -1, np.int64)


def deleted(future: Future) -> Rearranged:
    """Rows from the instant on are gone."""
    return _made(future, lambda table, free: Draft(np.delete(np.arange(len(table)), free)))


def duplicated(future: Future) -> Rearranged:
    """Rows from the instant on are there twice."""

    def draft(table: Table, free: Rows) -> Draft:
        source = np.sort(np.concatenate([np.arange(len(table)), free]))
        return Draft(source, np.append(False, source[1:] == source[:-1]))

    return _made(future, draft)


def added(future: Future) -> Rearranged:
    """More rows from the instant on, half of them at the very instant, with new values and about other entities."""

    def draft(table: Table, free: Rows) -> Draft | None:
        if not len(table):
            return None
        count = int(np.clip(len(free), FEWEST_ADDED, MOST_ADDED))
        source = np.concatenate([np.arange(len(table)), future.random.integers(0, len(table), count)])
        is_new = np.arange(len(source)) >= len(table)
        return _changed(future, table, Draft(source, is_new), is_new)

    return _made(future, draft, empty_too=True)


def scrambled(future: Future) -> Rearranged:
    """Rows from the instant on have other values, point at other rows and lie at other times."""

    def draft(table: Table, free: Rows) -> Draft:
        source = np.arange(len(table))
        return _changed(future, table, Draft(source), np.isin(source, free))

    return _made(future, draft)


VARIANTS: Mapping[str, Callable[[Future], Rearranged]] = {
    "scrambled": scrambled,
    "deleted": deleted,
    "duplicated": duplicated,
    "added": added,
}


def _made(future: Future, draft: Callable[[Table, Rows], Draft | None], empty_too: bool = False) -> Rearranged:
    drafts = {}
    for table in future.database.values():
        free = future.free(table)
        made = draft(table, free) if table.time is not None and (len(free) or empty_too) else None
        if made is not None:
            drafts[table.name] = made
    return rearranged(future.database, drafts)


def _changed(future: Future, table: Table, draft: Draft, mask: NDArray[np.bool_]) -> Draft:
    """`draft` with other values, references and times in the rows of `mask`, in order of time."""
    assert table.times is not None and table.time is not None
    rows, count, random = np.flatnonzero(mask), int(mask.sum()), future.random
    last = max(int(table.times[-1]), future.instant) + TEN_DAYS
    times = table.times[draft.source].copy()
    times[rows] = np.where(random.random(count) < 0.5, future.instant, random.integers(future.instant, last, count))
    order = np.argsort(times, kind="stable")
    mask, source = mask[order], draft.source[order]
    columns: dict[str, pa.Array | pa.ChunkedArray] = {table.time: pa.array(times[order]).cast(pa.timestamp("ns"))}
    other = pa.array(np.where(mask, random.permutation(np.resize(np.arange(len(table)), len(source))), source))
    for column in table.attributes:
        values = table.rows.column(column)
        columns[column] = pc.if_else(pa.array(mask), shifted(values.take(other)), values.take(pa.array(source)))
    parents = {c: np.where(mask, 0, table.parents(c)[source]) for c in table.references}
    for column, named in future.named(table, count).items():
        parents[column][mask] = named
    return Draft(source, None if draft.added is None else draft.added[order], columns, parents)


def shifted(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Fractions and texts that did not occur before; other kinds stay as they are."""
    if pa.types.is_floating(values.type):
        return pc.add(pc.multiply(values.cast(pa.float64()), -3.0), 1e4).cast(values.type, safe=False)
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        return pc.binary_join_element_wise(values, pa.scalar("from the future", values.type), pa.scalar(" ", values.type))
    return values
