"""Tables from a folder of CSV and Parquet files: one table per file, or per sub-folder of Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from relbench_harness.authoring.csv_files import csv_batches
from relbench_harness.authoring.parquet_files import metadata, parquet_batches
from relbench_harness.authoring.sources import Reading, SourceTable
from relbench_harness.errors import InputError

CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


@dataclass(frozen=True)
class FolderSource:
    """A folder of CSV or Parquet files. Declares no keys."""

    folder: Path
    ordered: bool = True

    @property
    def label(self) -> str:
        return f"files in {self.folder.resolve().name}/"

    @contextmanager
    def open(self) -> Iterator[Reading]:
        yield _Files(self.folder, self._found())

    def _found(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in sorted(self.folder.iterdir()):
            if path.is_dir():
                parts = sorted(path.rglob("*.parquet")) or sorted(p for s in CSV for p in path.rglob(f"*{s}"))
                name = path.name
            else:
                suffix = next((s for s in (*CSV, ".parquet") if path.name.lower().endswith(s)), None)
                parts, name = ([path] if suffix else []), path.name[: -len(suffix or "")]
            if not parts or name.startswith((".", "_")):
                continue
            if name in found:
                raise InputError(f"{self.folder} holds two tables called {name!r}: {found[name][0].name} and {path.name}")
            found[name] = parts
        if not found:
            raise InputError(f"{self.folder} holds neither CSV nor Parquet files")
        return found


@dataclass(frozen=True)
class _Files:
    folder: Path
    paths: dict[str, list[Path]]
    notes: list[str] = field(default_factory=list)

    def tables(self) -> list[SourceTable]:
        return [SourceTable(name, rows=_count(paths)) for name, paths in self.paths.items()]

    def batches(self, table: SourceTable) -> Iterator[pa.RecordBatch]:
        paths = self.paths[table.name]
        yield from (
            parquet_batches(self.folder, table.name, paths)
            if paths[0].suffix == ".parquet"
            else csv_batches(paths, self.notes)
        )


def _count(paths: list[Path]) -> int | None:
    if paths[0].suffix != ".parquet":
        return None
    return sum(int(metadata(path).num_rows) for path in paths)
