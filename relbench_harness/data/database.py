"""A database: tables in canonical order whose foreign keys point inside it. Cuts in time are prefixes of its tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc

from relbench_harness.data.digest import digest
from relbench_harness.data.table import Instant, Table, nanoseconds
from relbench_harness.errors import InputError, nearest


class Database(Mapping[str, Table]):
    """Immutable tables by name. Every foreign key is the row number of a present parent, or null."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self._tables = MappingProxyType({table.name: table for table in tables})
        for table in self._tables.values():
            for column, parent in table.references.items():
                if parent not in self._tables:
                    raise InputError(
                        f"foreign key {table.name}.{column} refers to table {parent!r}, which is not in the database; "
                        + nearest(parent, self._tables)
                    )

    def __getitem__(self, name: str) -> Table:
        try:
            return self._tables[name]
        except KeyError:
            raise InputError(f"no table {name!r} in the database; {nearest(name, self._tables)}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._tables

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def __repr__(self) -> str:
        return "Database(" + ", ".join(f"{name}={len(table)}" for name, table in self.items()) + ")"

    @property
    def span(self) -> tuple[int, int]:
        """First and last time of any row, in nanoseconds since 1970."""
        timed = [t.times for t in self.values() if t.times is not None and len(t)]
        if not timed:
            raise InputError("no table of the database has a time column with rows, so time cannot be cut")
        return min(int(t[0]) for t in timed), max(int(t[-1]) for t in timed)

    def upto(self, t: Instant, keep: Mapping[str, int] = MappingProxyType({})) -> Database:
        """The rows older than `t` (`row.time < t`), and at least the first `keep[table]` rows of the tables named there.

        Static tables stay whole. Foreign keys to rows that were cut away become null.
        """
        at = nanoseconds(t)
        return self.prefixes(
            {name: max(int(table.visible(at)[0]), min(keep.get(name, 0), len(table))) for name, table in self.items()}
        )

    def prefixes(self, counts: Mapping[str, int]) -> Database:
        """The first `counts[table]` rows of each table; foreign keys to rows that were cut away become null."""
        return Database(_detach(table.prefix(counts[name]), self, counts) for name, table in self.items())

    def without(self, columns: Iterable[tuple[str, str]]) -> Database:
        """The database without the given (table, column) pairs; a pair that names nothing is an error."""
        gone: dict[str, set[str]] = {}
        for name, column in columns:
            table = self[name]
            if column not in table.rows.column_names:
                raise InputError(f"no column {column!r} in table {name!r}; {nearest(column, table.rows.column_names)}")
            if column == table.time:
                raise InputError(
                    f"column {column!r} is the time of table {name!r}, by which all is cut; it cannot be hidden"
                )
            gone.setdefault(name, set()).add(column)
        return Database(table.without(gone.get(name, ())) for name, table in self.items())

    def with_stypes(self, declared: Mapping[str, Mapping[str, str]]) -> Database:
        """The database with semantic types declared for columns; a column that names nothing is an error."""
        for name, columns in declared.items():
            for column in columns:
                if column not in self[name].rows.column_names:
                    known = self[name].rows.column_names
                    raise InputError(f"stypes: no column {column!r} in table {name!r}; {nearest(column, known)}")
        tables = [replace(t, stypes=MappingProxyType(dict(declared.get(name, {})))) for name, t in self.items()]
        result = Database(tables)
        if "fingerprint" in self.__dict__:
            result.__dict__["fingerprint"] = self.fingerprint
        return result

    @cached_property
    def fingerprint(self) -> str:
        """A digest of every table's structure and values: equal databases have equal fingerprints, wherever built."""
        parts: list[bytes] = []
        for name in sorted(self):
            table = self[name]
            head = (name, table.key, table.time, sorted(table.references.items()))
            parts.append(repr(head).encode())
            parts.append(digest(table.rows))
        return digest(parts).hex()[:32]


def _detach(table: Table, whole: Database, counts: Mapping[str, int]) -> Table:
    """`table` with null where a foreign key names a row past its parent's first `counts` rows."""
    rows = table.rows
    for column, parent in table.references.items():
        if counts[parent] < len(whole[parent]):
            values = rows.column(column)
            beyond = pc.greater_equal(values, counts[parent])
            if pc.any(beyond).as_py():
                mended = pc.if_else(pc.fill_null(beyond, False), pa.scalar(None, pa.int64()), values)
                rows = rows.set_column(rows.column_names.index(column), column, mended)
    return table if rows is table.rows else replace(table, rows=rows)
