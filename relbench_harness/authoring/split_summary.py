"""What a split's labels look like in a few words."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relbench_harness.data.labels import LabelTable, list_parts
from relbench_harness.data.task import Task, TaskType


def base_rate(task: Task, labels: LabelTable) -> str:
    """The share of positives, the mean and spread, the largest class, or the length of the lists."""
    if len(labels) == 0:
        return "none"
    if task.type is TaskType.RECOMMENDATION:
        offsets, values = list_parts(labels.target)
        lengths = np.diff(offsets)
        return f"{lengths.mean():.2f} items each, {len(np.unique(values)):,} different ones"
    if task.type is TaskType.MULTILABEL:
        return f"{len(labels.target[0])} labels each"
    if task.type is TaskType.MULTICLASS:
        counts = pc.value_counts(labels.target)
        largest = int(np.argmax(np.asarray(counts.field("counts"))))
        share = counts.field("counts")[largest].as_py() / len(labels)
        return f"{len(counts)} classes, {share:.1%} {counts.field('values')[largest].as_py()!r}"
    values = np.asarray(labels.target.cast(pa.float64()))
    if task.type is TaskType.BINARY:
        return f"{values.mean():.2%} positive"
    return f"mean {values.mean():.4g}, standard deviation {values.std():.4g}"
