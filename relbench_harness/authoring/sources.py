"""Where tables come from: what every kind of source offers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa


@dataclass(frozen=True)
class Reference:
    """A foreign key: `columns` hold the values of `parent_columns` in `parent`."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


@dataclass(frozen=True)
class SourceTable:
    """A table as its source declares it.

    Attributes:
        rows: How many rows it has, where that is known cheaply; for progress only.
        moments: Columns declared as dates or times, whatever they are stored as.
    """

    name: str
    key: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    rows: int | None = None
    moments: frozenset[str] = frozenset()


class Reading(Protocol):
    """An open source: one consistent view of all its tables."""

    def tables(self) -> list[SourceTable]: ...

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        """The rows of `table`, in pieces of one schema; nothing where the table is empty and untyped."""
        ...


class Source(Protocol):
    """A kind of place that tables come from.

    Attributes:
        label: What a manifest calls it; never a credential.
        ordered: Whether the order of rows means something (files), so that it settles ties in time.
    """

    @property
    def label(self) -> str: ...

    @property
    def ordered(self) -> bool: ...

    def open(self) -> AbstractContextManager[Reading]: ...
