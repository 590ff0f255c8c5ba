"""Where tables come from: what every kind of source offers, and the choice of one by URI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from relbench_harness.errors import InputError

SCHEMES = ("postgresql://", "mysql://", "mariadb://", "sqlite:///", "duckdb:///", "delta://", "a folder of CSV or Parquet")


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


def open_source(uri: str) -> Source:
    """The source that `uri` names. Raises `InputError` for a scheme that is not known or a folder that is not there."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return _folder(Path(uri).expanduser())
    kind = scheme.lower().split("+")[0]
    if kind in ("postgresql", "postgres", "mysql", "mariadb", "sqlite"):
        from relbench_harness.authoring.sql_source import sql_source

        return sql_source(uri)
    if kind == "duckdb":
        from relbench_harness.authoring.duckdb_source import DuckDBSource

        return DuckDBSource(Path(rest.removeprefix("/") if not rest.startswith("//") else rest[1:]).expanduser())
    if kind in ("delta", "s3", "gs", "az", "abfss"):
        from relbench_harness.authoring.delta_source import DeltaSource

        return DeltaSource(uri.removeprefix("delta://"))
    if kind == "file":
        return _folder(Path(rest))
    raise InputError(f"no source of the kind {kind!r}; known: {', '.join(SCHEMES)}")


def _folder(path: Path) -> Source:
    from relbench_harness.authoring.delta_source import DeltaSource
    from relbench_harness.authoring.file_source import FolderSource

    if not path.exists():
        raise InputError(f"no folder {path} to import from; a database is named by its URI, such as postgresql://host/name")
    if path.is_file():
        known = {".db": "sqlite", ".sqlite": "sqlite", ".sqlite3": "sqlite", ".duckdb": "duckdb"}
        if path.suffix in known:
            return open_source(f"{known[path.suffix]}:///{path}")
        raise InputError(f"{path} is one file; name the folder that holds the tables, or sqlite:///… or duckdb:///…")
    if (path / "_delta_log").is_dir() or any(path.glob("*/_delta_log")):
        return DeltaSource(str(path))
    return FolderSource(path)
