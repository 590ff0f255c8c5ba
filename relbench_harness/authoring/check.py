"""`dataset check`: everything that can be wrong with a dataset and its tasks, in one report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from relbench_harness.authoring.check_report import Report
from relbench_harness.authoring.dataset_summary import TaskSummary, table_summaries, task_summary
from relbench_harness.authoring.findings import Finding, with_known
from relbench_harness.authoring.future_columns import future_columns
from relbench_harness.authoring.integrity import integrity
from relbench_harness.authoring.label_checks import hosted_findings, split_findings, window_findings
from relbench_harness.authoring.late_dates import late_dates
from relbench_harness.authoring.late_tables import recorded_moves
from relbench_harness.authoring.leakage import database_leaks, task_leaks
from relbench_harness.authoring.schema_diagram import schema_svg
from relbench_harness.data.database import Database
from relbench_harness.data.dataset import Dataset, open_dataset
from relbench_harness.data.labels import SPLITS, Cuts, EmptySplitError, LabelTable, Split
from relbench_harness.errors import InputError


def check_dataset(address: str, only: tuple[str, ...] = ()) -> Report:
    """Check a dataset and its tasks (all, or those named)."""
    dataset = open_dataset(address)
    checking = _Checking(dataset, only or tuple(dataset.task_names))
    findings = list(checking.all())
    manifest = dict(dataset._raw_manifest) if _readable(dataset) else {}
    return Report(
        name=dataset.name,
        description=str(manifest.get("description") or ""),
        findings=with_known(findings, manifest, str(dataset.folder / "manifest.yaml")),
        tables=table_summaries(checking.database) if checking.database is not None else [],
        tasks=checking.summaries,
        cuts=(str(manifest.get("val_timestamp", "")), str(manifest.get("test_timestamp", ""))),
        diagram=schema_svg(checking.database) if checking.database is not None else "",
    )


def _readable(dataset: Dataset) -> bool:
    try:
        return bool(dataset._raw_manifest)
    except InputError:
        return False


@dataclass
class _Checking:
    dataset: Dataset
    names: tuple[str, ...]
    database: Database | None = None
    summaries: list[TaskSummary] = field(default_factory=list)

    def all(self) -> Iterator[Finding]:
        dataset = self.dataset
        try:
            specs = dataset.manifest.tables
        except InputError as error:
            yield Finding("unreadable", "manifest.yaml", str(error))
            return
        cuts: Cuts | None = None
        try:
            cuts = dataset.cuts
        except InputError as error:
            yield Finding("manifest", "val_timestamp", str(error))
        raw, unreadable = _raw_tables(dataset)
        yield from unreadable
        found = list(integrity(raw, specs, cuts)) if raw else []
        yield from found
        try:
            self.database = dataset.database
        except InputError as error:
            if not found and not unreadable:
                yield Finding("unreadable", "tables", str(error))
            return
        if not raw:
            rows = {name: table.rows for name, table in self.database.items()}
            yield from integrity(rows, specs, cuts)
        if cuts is None:
            return
        yield from database_leaks(self.database, cuts.val)
        yield from future_columns(self.database, cuts.val)
        moved = {move.child for move in recorded_moves(dataset._raw_manifest.get("origin") or {})}
        yield from late_dates(self.database, moved)
        for name in self.names:
            yield from self._task(name)

    def _task(self, name: str) -> Iterator[Finding]:
        try:
            task = self.dataset.task(name)
            task.visible_columns(self.dataset.database)
        except InputError as error:
            yield Finding("unreadable", name, str(error))
            return
        tables: dict[Split, LabelTable] = {}
        for split in SPLITS:
            try:
                tables[split] = self.dataset.labels(task, split)
            except InputError as error:
                kind = "split" if isinstance(error, EmptySplitError) else "sql"
                yield Finding(kind, name, f"split {split}: {error}")
        if len(tables) < len(SPLITS):
            return
        self.summaries.append(task_summary(task, tables))
        for find in (split_findings, window_findings, hosted_findings, task_leaks):
            try:
                yield from find(self.dataset, task, tables)
            except InputError as error:
                yield Finding("sql", name, str(error))


def _raw_tables(dataset: Dataset) -> tuple[dict[str, pa.Table], list[Finding]]:
    """Tables as they lie in `db/`; none where the dataset has another source, which checks as it builds."""
    folder = dataset.folder / "db"
    if (dataset.folder / "build.py").is_file() or not folder.is_dir():
        return {}, []
    tables, unreadable = {}, []
    for path in sorted(folder.glob("*.parquet")):
        try:
            tables[path.stem] = pq.read_table(path, memory_map=True)
        except (pa.ArrowInvalid, OSError) as error:
            unreadable.append(Finding("unreadable", path.stem, f"{path.name} is no parquet file ({_short(error)})"))
    return tables, unreadable


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:150]
