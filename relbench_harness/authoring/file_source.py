"""Tables from a folder of CSV and Parquet files: one table per file, or per sub-folder of such files."""

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
PARQUET = ".parquet"


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
        found, others = self._found()
        yield _Files(self.folder, found, [_left_out(others)] if others else [])

    def _found(self) -> tuple[dict[str, list[Path]], list[str]]:
        """The files of each table, and the names of files that are of no kind that is read."""
        found: dict[str, list[Path]] = {}
        others: list[str] = []
        for path in sorted(self.folder.iterdir()):
            if path.name.startswith((".", "_")):
                continue
            files = [p for p in sorted(path.rglob("*")) if p.is_file()] if path.is_dir() else [path]
            files = [p for p in files if not p.name.startswith((".", "_"))]
            parquet = [p for p in files if _suffix(p) == PARQUET]
            parts = parquet or [p for p in files if _suffix(p)]
            others += [str(p.relative_to(self.folder)) for p in files if p not in parts]
            if not parts:
                continue
            name = path.name if path.is_dir() else path.name[: -len(_suffix(path))]
            if name in found:
                raise InputError(f"{self.folder} holds two tables called {name!r}: {found[name][0].name} and {path.name}")
            found[name] = parts
        if not found:
            holds = f"; it holds {_some(others)}" if others else "; it is empty"
            raise InputError(f"{self.folder} holds neither CSV nor Parquet files{holds}")
        return found, others


def _suffix(path: Path) -> str:
    """The end of a file's name, in lower case, that says how it is read; '' for one that is not."""
    return next((s for s in (*CSV, PARQUET) if path.name.lower().endswith(s)), "")


def _left_out(others: list[str]) -> str:
    return f"{len(others)} file{'s' * (len(others) > 1)} of other kinds than CSV and Parquet left out: {_some(others)}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


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
            if _suffix(paths[0]) == PARQUET
            else csv_batches(paths, self.notes)
        )


def _count(paths: list[Path]) -> int | None:
    if _suffix(paths[0]) != PARQUET:
        return None
    return sum(int(metadata(path).num_rows) for path in paths)
