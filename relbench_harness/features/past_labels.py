"""The entity's own past labels as features: the task's SQL knows the quantity asked for better than any single column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType
from relbench_harness.features.block import Column, Features, sourced
from relbench_harness.features.encode import DAY
from relbench_harness.features.origin import LABELS, Origin
from relbench_harness.protocol.method import Examples, Ragged
from relbench_harness.temporal.closed_labels import ClosedLabels, closed_labels
from relbench_harness.temporal.running_totals import Series
from relbench_harness.temporal.stretch import Stretch

MOST_CLASSES = 20


@dataclass(frozen=True)
class PastLabels:
    """Means of the last labels whose windows had closed at the example's cut-off: training's, then the task's SQL's.

    A task without SQL, and a recommendation, has none.

    Attributes:
        lasts: Over how many of the latest labels to take means.
        windows: How many windows after the last of training are computed for each cut-off, at most.
    """

    lasts: tuple[int, ...] = (1, 3, 10)
    windows: int = 24

    def fit(self, train: Examples) -> PastLabels:
        return self

    def transform(self, examples: Examples) -> Features:
        task = examples.task
        if task.sql is None or task.remove_columns or task.type is TaskType.RECOMMENDATION:
            return Features(len(examples), ())
        labels = closed_labels(examples, self.windows)
        return Features(len(examples), tuple(sourced(self._columns(examples, labels), Origin(None, LABELS))))

    def _columns(self, examples: Examples, labels: ClosedLabels) -> Iterator[Column]:
        known = labels.known(examples)
        first, last = known
        yield Column("past labels", (last - first).astype(np.float64))
        some = last > first
        place = np.where(some, last - 1, 0)
        since = labels.known_from[place] if len(labels) else np.zeros(len(examples), np.int64)
        yield Column("past labels' age", np.where(some, (examples.cutoff - since) / DAY, np.nan))
        starts = np.searchsorted(labels.entity, np.arange(len(examples.database[examples.task.entity_table]) + 1))
        for name, values in label_numbers(examples, labels):
            series = Series(values, starts)
            for most in self.lasts:
                recent = Stretch(np.maximum(last - most, first), last)
                yield Column(f"past {name} mean last {most}", series.mean(examples.entity, recent))
            yield Column(f"past {name} mean", series.mean(examples.entity, known))
            yield Column(f"past {name} std", series.std(examples.entity, known))


def label_numbers(examples: Examples, labels: ClosedLabels) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """(m,) numbers that a label consists of, by name."""
    value = labels.value
    assert not isinstance(value, Ragged)
    if examples.task.type is TaskType.MULTICLASS:
        for code, name in enumerate(examples.classes[:MOST_CLASSES]):
            yield f"label={name}", (value == code).astype(np.float64)
    elif examples.task.type is TaskType.MULTILABEL:
        for column in range(min(examples.width, MOST_CLASSES)):
            yield f"label {column}", value.reshape(-1, examples.width)[:, column].astype(np.float64)
    else:
        yield "label", value.astype(np.float64)
