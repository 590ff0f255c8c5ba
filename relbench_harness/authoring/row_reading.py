"""How the rows of a source's tables get to disk, and which of their columns are read as times.

Invariant: whoever reads them, what is staged is what the source holds when the import ends reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from relbench_harness.authoring.column_profile import Workbench
from relbench_harness.authoring.declared import keyed_columns
from relbench_harness.authoring.sources import Reading, SourceTable
from relbench_harness.authoring.staging import Progress, Staged, stage
from relbench_harness.authoring.table_choice import column_of
from relbench_harness.authoring.text_times import type_times
from relbench_harness.authoring.time_formats import check_format, read_as_times


@dataclass(frozen=True)
class Desk:
    """What reading tables takes.

    Attributes:
        tables: The tables that are imported.
        zone: The time zone of times that carry none.
        formats: `table.column` → the form in which its values are times.
        keep: Columns, as `table.column`, that are taken though they are named like secrets.
    """

    tables: Mapping[str, SourceTable]
    scratch: Path
    bench: Workbench
    progress: Progress
    zone: str
    formats: Mapping[str, str]
    keep: tuple[str, ...] = ()

    def stage(self, name: str, batches: Iterator[pa.RecordBatch], part: str = "") -> Staged:
        """The rows of table `name` as Parquet; `part` tells their file from others of the table."""
        path = self.scratch / f"{list(self.tables).index(name)}{part}.parquet"
        return stage(name, batches, path, self.progress, self.zone, keyed_columns(name, self.tables))

    def read_texts(self, staged: Mapping[str, Staged]) -> None:
        """Make times of the text columns that hold times."""
        for name, one in staged.items():
            self.bench.view(name, one.path)
            type_times(one, self.zone, self.bench)

    def read_formats(self, staged: Mapping[str, Staged], formats: Mapping[str, str]) -> None:
        """Make times of the columns that `formats` names. Raises `InputError` for one that is not there or reads otherwise."""
        columns = {name: one.schema.names for name, one in staged.items()}
        for place, form in formats.items():
            table, column = column_of("--time", place, columns)
            check_format(f"--time {table}={column}:{form}", form)
            read_as_times(staged[table], column, form, self.zone, self.bench)


class Rows(Protocol):
    """A way to read the tables of a source."""

    def read(self, reading: Reading, desk: Desk) -> dict[str, Staged]:
        """The rows of every table of the desk, while the source is open."""
        ...

    def read_times(self, staged: Mapping[str, Staged], desk: Desk) -> None:
        """Make times of what holds times, in place."""
        ...


class AllRows:
    """Every row is read."""

    def read(self, reading: Reading, desk: Desk) -> dict[str, Staged]:
        return {name: desk.stage(name, reading.batches(table)) for name, table in desk.tables.items()}

    def read_times(self, staged: Mapping[str, Staged], desk: Desk) -> None:
        desk.read_texts(staged)
        desk.read_formats(staged, desk.formats)
