"""Whether a task's labels can be made and are what they claim: splits, windows, hosted labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from relbench_harness.authoring.findings import Finding
from relbench_harness.authoring.split_summary import single_label
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.labels import LabelTable, Split, sql_labels, through
from relbench_harness.data.table import nanoseconds
from relbench_harness.data.task import Kind, Task
from relbench_harness.errors import InputError

Tables = Mapping[Split, LabelTable]


def split_findings(dataset: Dataset, task: Task, tables: Tables) -> Iterator[Finding]:
    """Splits with one label only."""
    for split, labels in tables.items():
        only = single_label(task, labels)
        if only is not None:
            yield Finding("split", task.name, f"all {len(labels):,} labels of split {split} are {only}", 1)


def window_findings(dataset: Dataset, task: Task, tables: Tables) -> Iterator[Finding]:
    """Windows that end after the cut they must end at, and SQL whose labels change with rows after their window."""
    if task.kind is Kind.AUTOCOMPLETE:
        return
    cuts, last = dataset.cuts, dataset.database.span[1]
    ends: dict[Split, int] = {"train": nanoseconds(cuts.val), "val": nanoseconds(cuts.test), "test": last}
    starts: dict[Split, int] = {"train": -(2**63), "val": nanoseconds(cuts.val), "test": nanoseconds(cuts.test)}
    for split, labels in tables.items():
        late = int((labels.time + task.horizon.value > ends[split]).sum())
        early = int((labels.time < starts[split]).sum())
        if late:
            until = "the data end" if split == "test" else f"{pd.Timestamp(ends[split])} comes"
            yield Finding("window", task.name, f"{late:,} windows of split {split} are not over when {until}", late)
        if early:
            yield Finding("window", task.name, f"{early:,} questions of split {split} are asked before its start", early)
    if task.sql is not None and len(tables["train"]):
        yield from _reads_past(dataset, task, int(tables["train"].time.max()))


def _reads_past(dataset: Dataset, task: Task, at: int) -> Iterator[Finding]:
    """Labels at `at` must be the same when every row after their window is taken away."""
    stamps = pd.DatetimeIndex([pd.Timestamp(at)])
    whole = sql_labels(task, dataset.database, stamps)
    cut = sql_labels(task, through(dataset.database, pd.Timestamp(at) + task.horizon), stamps)
    changed = differing(_known(whole, task, dataset), _known(cut, task, dataset))
    if changed:
        yield Finding(
            "window", task.name, f"{changed:,} of {len(whole):,} labels of {pd.Timestamp(at)} change with rows later than "
            f"their window of {task.horizon}: the SQL reads past it", changed,
        )  # fmt: skip


def _known(labels: LabelTable, task: Task, dataset: Dataset) -> LabelTable:
    """Without entities that come to be after the window: RelBench drops those."""
    there = (
        len(through(dataset.database, pd.Timestamp(int(labels.time.max())) + task.horizon)[task.entity_table])
        if len(labels)
        else 0
    )
    return labels.take(np.flatnonzero(labels.entity < there))


def hosted_findings(dataset: Dataset, task: Task, tables: Tables) -> Iterator[Finding]:
    """Hosted labels that regenerated ones do not equal."""
    if task.kind is Kind.EXTERNAL or task.folder is None:
        return
    for split, labels in tables.items():
        if not (task.folder / f"{split}.parquet").is_file():
            continue
        try:
            again = dataset.labels(task, split, regenerate=True)
        except InputError as error:
            yield Finding("sql", task.name, f"split {split} is hosted but cannot be regenerated: {error}")
            continue
        changed = differing(labels, again)
        if changed:
            yield Finding(
                "hosted", task.name, f"{changed:,} rows of split {split} differ: {len(labels):,} are hosted, "
                f"{len(again):,} regenerated", changed,
            )  # fmt: skip


def differing(left: LabelTable, right: LabelTable) -> int:
    """How many questions stand in one only, or have another answer in the other."""
    first, second = _frame(left), _frame(right)
    both = first.merge(second, on=["time", "entity"], how="outer", indicator=True, suffixes=("", "_other"))
    alone = int((both["_merge"] != "both").sum())
    shared = both[both["_merge"] == "both"]
    if shared.empty:
        return alone
    one, other = shared["target"], shared["target_other"]
    try:
        a, b = one.to_numpy(dtype=np.float64), other.to_numpy(dtype=np.float64)
        # sums of floats in another order differ in their last digits
        return alone + int((~np.isclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=True)).sum())
    except (TypeError, ValueError):
        return alone + int((one.astype(str) != other.astype(str)).sum())


def _frame(labels: LabelTable) -> pd.DataFrame:
    target = labels.target
    if pa.types.is_list(target.type) or pa.types.is_large_list(target.type):
        values: object = [
            str(sorted(map(str, v or ()))) if labels_are_items(target) else str(v) for v in target.to_pylist()
        ]
    else:
        values = target.to_pandas()
    frame = pd.DataFrame({"time": labels.time, "entity": labels.entity})
    frame["target"] = np.asarray(values)
    return frame.drop_duplicates(["time", "entity"])


def labels_are_items(target: pa.Array) -> bool:
    """Whether the lists are sets of items, whose order means nothing, rather than a flag per label."""
    return bool(pa.types.is_integer(target.type.value_type))
