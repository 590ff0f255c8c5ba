"""One table in canonical order: the invariant on which visibility, adjacency and prefix cuts rest.

Rows with a time are sorted by it, the primary key is the row number, a foreign key is the row number of its parent
(null where it dangles). Hence the rows older than any instant are a prefix, found by one binary search.
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Instant = pd.Timestamp | int
"""A point in time: a UTC timestamp without zone, or nanoseconds since 1970."""


def _frozen(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)


# tables, graphs and encoders hold such mappings, and the worker processes of a loader may need to get them by pickle
copyreg.pickle(MappingProxyType, lambda frozen: (_frozen, (dict(frozen),)))


def nanoseconds(t: Instant) -> int:
    """`t` as nanoseconds since 1970 (UTC)."""
    if isinstance(t, pd.Timestamp):
        if t.tz is not None:
            t = t.tz_convert("UTC").tz_localize(None)
        return int(t.as_unit("ns").value)
    return int(t)


@dataclass(frozen=True)
class Table:
    """An immutable table in canonical order.

    Args:
        name: The table's name in its database.
        rows: All columns; `time` is `timestamp[ns]`, keys are `int64` row numbers.
        key: The primary-key column, if any; equal to the row number.
        time: The time column, if any; rows are sorted by it and none is null.
        references: Foreign-key column → name of the parent table.
        origin: The key each row had at its source, where canonical order renumbered the rows; else None.
        dropped: How many rows of the source were left out because they had no time.
        stypes: Column → semantic type (pytorch-frame's names), where the manifest declares one.
    """

    name: str
    rows: pa.Table
    key: str | None = None
    time: str | None = None
    references: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    origin: pa.Array | pa.ChunkedArray | None = None
    dropped: int = 0
    stypes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @cached_property
    def times(self) -> NDArray[np.int64] | None:
        """(rows,) nanoseconds since 1970, ascending; None for a static table."""
        if self.time is None:
            return None
        column = self.rows.column(self.time)
        return np.asarray(column.cast(pa.int64()).to_numpy())

    def visible(self, t: Instant | NDArray[np.int64]) -> NDArray[np.int64]:
        """How many leading rows are older than each of `t` (nanoseconds): `row.time < t`. All rows of a static table."""
        at = t if isinstance(t, np.ndarray) else np.asarray([nanoseconds(t)], dtype=np.int64)
        if self.times is None:
            return np.full(at.shape, len(self), dtype=np.int64)
        return np.searchsorted(self.times, at, side="left").astype(np.int64)

    def parents(self, column: str) -> NDArray[np.int64]:
        """(rows,) row numbers of the parents that foreign key `column` names, −1 where there is none."""
        return np.asarray(pc.fill_null(self.rows.column(column), -1).to_numpy(), dtype=np.int64)

    @property
    def attributes(self) -> list[str]:
        """Columns that may become features: neither keys nor the row's time."""
        keys = {self.key, self.time, *self.references}
        return [name for name in self.rows.column_names if name not in keys]

    def prefix(self, count: int) -> Table:
        """The first `count` rows."""
        if count >= len(self):
            return self
        origin = None if self.origin is None else self.origin.slice(0, count)
        return replace(self, rows=self.rows.slice(0, count), origin=origin)

    def without(self, columns: Iterable[str]) -> Table:
        """The table without `columns` (those it lacks are ignored)."""
        gone = [c for c in self.rows.column_names if c in set(columns)]
        if not gone:
            return self
        return replace(
            self,
            rows=self.rows.drop_columns(gone),
            key=None if self.key in gone else self.key,
            references=MappingProxyType({c: p for c, p in self.references.items() if c not in gone}),
        )
