"""Whether a source is as it was: a value that changes when its rows do.

Invariant: two equal states mean that no row was written in between. A source that gives no such value is never taken for unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from relbench_harness.authoring.credentials import cleansing
from relbench_harness.authoring.delta_source import DeltaSource
from relbench_harness.authoring.duckdb_source import DuckDBSource
from relbench_harness.authoring.file_source import FolderSource
from relbench_harness.authoring.sources import Source
from relbench_harness.authoring.sql_source import SqlSource

State = dict[str, list[int]] | str
"""File → size and time of change, or what a server says of its transactions."""


def state_of(source: Source) -> State | None:
    """The state of a source; None where it cannot be known, as for MySQL and object stores."""
    if isinstance(source, SqlSource):
        if source.dialect == "sqlite":
            return _of_database(Path(source.url.database or ""), "-wal")
        return _of_postgresql(source) if source.dialect == "postgresql" else None
    if isinstance(source, DuckDBSource):
        return _of_database(source.path, ".wal")
    if isinstance(source, FolderSource):
        return _of_files(source.folder)
    if isinstance(source, DeltaSource) and "://" not in source.uri:
        return _of_files(Path(source.uri).expanduser())
    return None


def _of_database(path: Path, log: str) -> State:
    return _described([path, path.with_name(path.name + log)], path.parent)


def _of_files(folder: Path) -> State:
    return _described(sorted(path for path in folder.rglob("*") if path.is_file()), folder)


def _described(paths: Iterable[Path], folder: Path) -> State:
    found = [(path, path.stat()) for path in paths if path.is_file()]
    # an empty log is left behind by readers and says nothing
    return {
        path.relative_to(folder).as_posix(): [stat.st_size, stat.st_mtime_ns]
        for path, stat in found
        if stat.st_size or not path.name.endswith(("-wal", ".wal"))
    }


def _of_postgresql(source: SqlSource) -> State:
    """Which transactions have ended: a transaction that writes gets a number, one that only reads gets none."""
    import sqlalchemy as sa

    with cleansing(source.uri, f"{source.label} cannot be read"):
        engine = sa.create_engine(source.url.set(drivername="postgresql+psycopg"))
        try:
            with engine.connect() as connection:
                said = connection.exec_driver_sql(
                    "SELECT oid::text || ' ' || txid_current_snapshot()::text FROM pg_database WHERE datname = current_database()"
                )
                return str(said.scalar_one())
        finally:
            engine.dispose()
