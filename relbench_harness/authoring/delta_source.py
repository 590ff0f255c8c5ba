"""Tables of a lakehouse: one Delta table, or a folder of them, each read at its newest version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from relbench_harness.authoring.credentials import cleansing
from relbench_harness.authoring.older_rows import Older
from relbench_harness.authoring.sources import Reading, SourceTable
from relbench_harness.data.spark_tables import delta_table
from relbench_harness.errors import InputError


@dataclass(frozen=True)
class DeltaSource:
    """Delta tables at a path or an object store's URI (whose credentials come from the environment)."""

    uri: str
    ordered: bool = True

    @property
    def label(self) -> str:
        return f"Delta tables in {self.uri.rstrip('/').rpartition('/')[2] or 'a bucket'}/"

    @contextmanager
    def open(self) -> Iterator[Reading]:
        with cleansing(self.uri, f"{self.label} cannot be read"):
            yield _Delta({name: delta_table(where) for name, where in self._found().items()})

    def _found(self) -> dict[str, str]:
        if "://" in self.uri:
            return {self.uri.rstrip("/").rpartition("/")[2]: self.uri}
        folder = Path(self.uri).expanduser()
        if (folder / "_delta_log").is_dir():
            return {folder.resolve().name: str(folder)}
        found = {log.parent.name: str(log.parent) for log in sorted(folder.glob("*/_delta_log"))}
        if not found:
            raise InputError(f"{folder} holds no Delta table")
        return found


@dataclass(frozen=True)
class _Delta:
    opened: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def tables(self) -> list[SourceTable]:
        return [SourceTable(name) for name in self.opened]

    def batches(self, table: SourceTable) -> Iterator[pa.RecordBatch]:
        return self._rows(table, None)

    def rest(self, table: SourceTable, older: Older, known: pa.Schema) -> Iterator[pa.RecordBatch]:
        column = ds.field(older.column)
        low, high = older.ends(self.opened[table.name].to_pyarrow_dataset().schema.field(older.column).type)
        return self._rows(table, (column < low) | (column >= high) | column.is_null())

    def count(self, table: SourceTable, older: Older) -> int:
        dataset = self.opened[table.name].to_pyarrow_dataset()
        low, high = older.ends(dataset.schema.field(older.column).type)
        column = ds.field(older.column)
        return int(dataset.count_rows(filter=(column >= low) & (column < high)))

    def _rows(self, table: SourceTable, where: pc.Expression | None) -> Iterator[pa.RecordBatch]:
        dataset = self.opened[table.name].to_pyarrow_dataset()
        seen = False
        for batch in dataset.to_batches(batch_size=100_000, filter=where):
            seen = True
            yield batch
        if not seen:
            yield pa.RecordBatch.from_pylist([], schema=dataset.schema)
