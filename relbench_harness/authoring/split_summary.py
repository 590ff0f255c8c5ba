"""What a split's labels look like in a few words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.labels import LabelTable, Split, list_parts
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
    values = np.asarray(labels.target.cast(pa.float64(), safe=False))
    if task.type is TaskType.BINARY:
        return f"{values.mean():.2%} positive"
    return f"mean {values.mean():.4g}, standard deviation {values.std():.4g}"


def single_label(task: Task, labels: LabelTable) -> str | None:
    """The one label that all examples of `labels` have; None where there are several, or labels are lists."""
    if task.type in (TaskType.RECOMMENDATION, TaskType.MULTILABEL):
        return None
    different = labels.target.unique()
    return str(different[0].as_py()) if len(different) == 1 else None


SHIFTED = 0.5
"""Label means that differ by more than this many standard deviations of training make another task of a split."""


def shifts(task: Task, tables: Mapping[Split, LabelTable]) -> Iterator[str]:
    """A sentence for each split whose labels lie elsewhere than those of training: their mean, or the share of a class.

    A difference counts if it is also more than three standard errors of the split's mean.
    """
    for name, values in _numbers(task, tables):
        train = values["train"]
        spread = float(train.std())
        for split in ("val", "test"):
            other = values[split]
            difference = abs(float(other.mean() - train.mean()))
            error = max(spread, float(other.std())) / len(other) ** 0.5
            if difference > max(SHIFTED * spread, 3 * error):
                yield f"{name} is {train.mean():.4g} in training and {other.mean():.4g} in split {split}"


def _numbers(task: Task, tables: Mapping[Split, LabelTable]) -> Iterator[tuple[str, Mapping[Split, NDArray[np.float64]]]]:
    """What the labels of a task are like, as a number per example and split."""
    if task.type in (TaskType.REGRESSION, TaskType.BINARY):
        yield (
            "the mean label",
            {s: np.asarray(labels.target.cast(pa.float64(), safe=False)) for s, labels in tables.items()},
        )
    elif task.type is TaskType.MULTICLASS:
        for entry in pc.value_counts(tables["train"].target).to_pylist()[:20]:
            share = {
                s: np.asarray(pc.equal(t.target, entry["values"]).cast(pa.float64(), safe=False)) for s, t in tables.items()
            }
            yield f"the share of class {entry['values']!r}", share
    elif task.type is TaskType.RECOMMENDATION:
        yield "the number of items", {s: np.diff(list_parts(t.target)[0]).astype(np.float64) for s, t in tables.items()}
