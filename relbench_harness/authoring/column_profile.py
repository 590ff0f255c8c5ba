"""What the values of staged tables say: how many, how many different, how many missing, from where to where."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from relbench_harness.authoring.identifiers import quoted, text
from relbench_harness.authoring.staging import Staged


@dataclass(frozen=True)
class ColumnProfile:
    """Counts of one column."""

    name: str
    type: pa.DataType
    rows: int
    missing: int
    distinct: int

    @property
    def present(self) -> int:
        return self.rows - self.missing

    @property
    def unique(self) -> bool:
        """Whether every row has a value of its own."""
        return self.rows > 0 and self.missing == 0 and self.distinct == self.rows

    @property
    def kind(self) -> str:
        """`whole`, `text`, `time`, `number`, `flag` or `other`: what it can serve as."""
        if pa.types.is_boolean(self.type):
            return "flag"
        if pa.types.is_integer(self.type) or (pa.types.is_decimal(self.type) and self.type.scale == 0):
            return "whole"
        if pa.types.is_timestamp(self.type):
            return "time"
        if pa.types.is_string(self.type):
            return "text"
        return "number" if pa.types.is_floating(self.type) or pa.types.is_decimal(self.type) else "other"


def rows_of(path: Path) -> str:
    """The rows of the Parquet file `path` as a relation in SQL."""
    # the path of a file is no pattern, and what stands in it is no column
    literal = re.sub(r"([*?\[])", r"[\1]", str(path))
    return f"read_parquet({text(literal)}, hive_partitioning = false)"


class Workbench:
    """DuckDB over staged tables, each a view of its own name, within a bound of memory.

    Nothing else stands in its main schema but what `Numbering` names by `free`.
    """

    def __init__(self, folder: Path, memory: str = "768MB", threads: int = 2) -> None:
        spill = folder / "spill"
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        self.connection.execute(f"SET memory_limit = {text(memory)}")
        self.connection.execute(f"SET temp_directory = {text(str(spill))}")
        self.connection.execute(f"SET threads = {int(threads)}")
        self.connection.execute("SET enable_progress_bar = false")

    def view(self, name: str, path: Path) -> None:
        """The Parquet file `path` under `name`."""
        self.connection.execute(f"CREATE OR REPLACE VIEW {quoted(name)} AS SELECT * FROM {rows_of(path)}")

    def row(self, sql: str) -> tuple[object, ...]:
        # a result that is not read to its end would block the connection
        return tuple(self.connection.execute(sql).fetchall()[0])

    def number(self, sql: str) -> int:
        value = self.row(sql)[0]
        return int(value) if value is not None else 0  # type: ignore[call-overload]

    def distinct(self, view: str, columns: Sequence[str]) -> int:
        """How many different combinations without nulls `columns` have."""
        listed = ", ".join(quoted(c) for c in columns)
        known = " AND ".join(f"{quoted(c)} IS NOT NULL" for c in columns)
        return self.number(f"SELECT count(*) FROM (SELECT DISTINCT {listed} FROM {quoted(view)} WHERE {known})")

    def profile(self, view: str, staged: Staged, keyed: bool = False) -> dict[str, ColumnProfile]:
        """The profile of each column; counts of different values are estimates where the table is `keyed` already."""
        parts = []
        for field in staged.schema:
            name = quoted(field.name)
            parts.append(f"count({name}), approx_count_distinct({name})")
        counts = self.row(f"SELECT {', '.join(parts)} FROM {quoted(view)}")
        profiles = {}
        for index, field in enumerate(staged.schema):
            present, distinct = (int(v) for v in counts[index * 2 : index * 2 + 2])  # type: ignore[call-overload]
            if not keyed and present == staged.rows and (distinct > 0.8 * staged.rows or staged.rows <= 50_000):
                # only a column that may be a key is worth the exact count
                distinct = self.distinct(view, [field.name])
            profiles[field.name] = ColumnProfile(field.name, field.type, staged.rows, staged.rows - present, distinct)
        return profiles
