"""Writes a task from a predictive query, after its labels were made once: a task that does not run is not written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from relbench_harness.authoring.label_reasons import checked_labels
from relbench_harness.authoring.late_tables import moved_columns
from relbench_harness.authoring.manifest_text import dumped, write_whole
from relbench_harness.authoring.predictive_query import Query
from relbench_harness.authoring.split_summary import base_rate, shifts
from relbench_harness.authoring.task_from_query import task_manifest
from relbench_harness.data.dataset import Dataset, open_dataset
from relbench_harness.data.labels import SPLITS, LabelTable, Split
from relbench_harness.data.task import Task, read_task
from relbench_harness.errors import InputError


def new_task(address: str, query: str, num_eval_timestamps: int = 1, replace: bool = False) -> Iterator[str]:
    """Write the task `dataset/task` that `query` defines, and say line by line what came of it.

    Raises:
        InputError: A query that cannot be read, labels that cannot be made, or a task of that name that is there already.
    """
    name, _, task_name = address.rpartition("/")
    if not name or not task_name or task_name.startswith("."):
        raise InputError(f"{address!r} is no task address; one reads dataset/task, such as retail-uk/churn-30")
    dataset = open_dataset(name)
    path = dataset.folder / "tasks" / task_name / "manifest.yaml"
    if path.exists() and not replace:
        raise InputError(f"task {address} is there already ({path}); choose another name, or --force replaces it")
    columns = {n: {f.name: f.type for f in table.rows.schema} for n, table in dataset.database.items()}
    moved = moved_columns(dataset._raw_manifest.get("origin") or {})
    manifest = task_manifest(task_name, query, dataset.manifest.tables, columns, num_eval_timestamps, moved)
    content = dumped(manifest)
    yield from str(manifest.get("sql", "")).split("\n")
    task = _read(dataset, content)
    tables: dict[Split, LabelTable] = {}

    def labels_of(other: Query, split: Split) -> LabelTable:
        variation = task_manifest(task_name, other, dataset.manifest.tables, columns, num_eval_timestamps, moved)
        return dataset.labels(_read(dataset, dumped(variation)), split)

    for split in SPLITS:
        tables[split] = checked_labels(task, query, dataset.database, labels_of, split)
        yield f"{split}: {len(tables[split]):,} examples, {base_rate(task, tables[split])}"
    for shift in shifts(task, tables):
        yield f"note: {shift}"
    for hosted in SPLITS if path.parent.is_dir() else ():
        # labels of the task that is replaced
        (path.parent / f"{hosted}.parquet").unlink(missing_ok=True)
    write_whole(path, content)
    yield f"wrote {path}"


def _read(dataset: Dataset, content: str) -> Task:
    specs = {n: (s.pkey, s.time_col) for n, s in dataset.manifest.tables.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.yaml"
        path.write_text(content, encoding="utf-8")
        return read_task(path, dataset.name, specs)
