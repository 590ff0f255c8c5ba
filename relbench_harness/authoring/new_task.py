"""Writes a task from a predictive query, after its labels were made once: a task that does not run is not written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
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
from relbench_harness.protocol.stages import Stages


def new_task(
    address: str, query: str, num_eval_timestamps: int = 1, replace: bool = False, label_delay: str | None = None
) -> Iterator[str]:
    """Write the task `dataset/task` that `query` defines, and say line by line what came of it.

    Args:
        label_delay: How long after its window a label is known, as pandas reads a span of time.

    Raises:
        InputError: A query that cannot be read, labels that cannot be made or are known too late, or a task of that name that is
            there already.
    """
    name, _, task_name = address.rpartition("/")
    if not name or not task_name or task_name.startswith("."):
        raise InputError(f"{address!r} is no task address; one reads dataset/task, such as retail-uk/churn-30")
    dataset = open_dataset(name)
    path = dataset.folder / "tasks" / task_name / "manifest.yaml"
    if path.exists() and not replace:
        raise InputError(f"task {address} is there already ({path}); choose another name, or --force replaces it")
    draft = Draft.of(dataset, task_name, query, num_eval_timestamps, label_delay)
    yield from draft.sql.split("\n")
    tables: dict[Split, LabelTable] = {}
    for split in SPLITS:
        tables[split] = checked_labels(draft.task, query, dataset.database, draft.labels_of, split)
        yield f"{split}: {len(tables[split]):,} examples, {base_rate(draft.task, tables[split])}"
    Stages(dataset, draft.task, "frozen").check_delay()
    for shift in shifts(draft.task, tables):
        yield f"note: {shift}"
    for hosted in SPLITS if path.parent.is_dir() else ():
        # labels of the task that is replaced
        (path.parent / f"{hosted}.parquet").unlink(missing_ok=True)
    write_whole(path, draft.content)
    yield f"wrote {path}"


@dataclass(frozen=True)
class Draft:
    """A task that a predictive query defines, not written yet.

    Attributes:
        content: Its manifest.
        sql: The SQL of its labels; empty where they are a column.
    """

    dataset: Dataset
    task: Task
    content: str
    sql: str
    num_eval_timestamps: int

    @staticmethod
    def of(
        dataset: Dataset, name: str, query: str | Query, num_eval_timestamps: int = 1, label_delay: str | None = None
    ) -> Draft:
        """The task called `name`. Raises `InputError` for a query that cannot be read or compiled, or a delay that is no span."""
        columns = {n: {f.name: f.type for f in table.rows.schema} for n, table in dataset.database.items()}
        moved = moved_columns(dataset._raw_manifest.get("origin") or {})
        manifest = task_manifest(name, query, dataset.manifest.tables, columns, num_eval_timestamps, moved)
        content = dumped({**manifest, **({"label_delay": label_delay} if label_delay else {})})
        return Draft(dataset, _read(dataset, content), content, str(manifest.get("sql", "")), num_eval_timestamps)

    def labels_of(self, other: Query, split: Split) -> LabelTable:
        """The labels of a variation of the query."""
        draft = Draft.of(self.dataset, self.task.name, other, self.num_eval_timestamps)
        return self.dataset.labels(draft.task, split)


def _read(dataset: Dataset, content: str) -> Task:
    specs = {n: (s.pkey, s.time_col) for n, s in dataset.manifest.tables.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.yaml"
        path.write_text(content, encoding="utf-8")
        return read_task(path, dataset.name, specs)
