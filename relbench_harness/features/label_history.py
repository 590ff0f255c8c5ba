"""Labels that an entity already has: what the task's own SQL said of it in windows that had closed before a question.

Invariant: a label of time s is made of rows older than s + Δ and known from s + Δ on, so whoever asks for labels known
at a cut-off reads no row that is not visible there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.labels import closing_labels
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Examples, Labels, Ragged, label_values
from relbench_harness.timing import phase

MOST_GRIDS = 4
"""With more distinct remainders of cut-off modulo Δ than this, all questions share one grid of windows."""


class Span(NamedTuple):
    """For each question the rows `first` to `last` (exclusive) of `ClosedLabels`."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]


@dataclass(frozen=True)
class ClosedLabels:
    """Labels of past windows, sorted by entity, then by the time from which they are known.

    Attributes:
        entity: (m,) row number of the entity.
        known_from: (m,) nanoseconds; a question may use the label iff its cut-off is at or after this.
        value: m labels, in the form that `Examples.labels` has for the task's type.
    """

    entity: NDArray[np.int64]
    known_from: NDArray[np.int64]
    value: Labels

    def __len__(self) -> int:
        return len(self.entity)

    def known(self, questions: Examples, most: int | None = None) -> Span:
        """The labels known to each question about its entity, the last `most` of them."""
        instants = np.unique(self.known_from)
        # an entity's labels known at a cut-off end where the next instant of that entity would stand
        stride = len(instants) + 1
        place = self.entity * stride + np.searchsorted(instants, self.known_from)
        first = np.searchsorted(self.entity, questions.entity, side="left")
        asked = questions.entity * stride + np.searchsorted(instants, questions.cutoff, side="right")
        last = np.searchsorted(place, asked, side="left")
        if most is not None:
            first = np.maximum(first, last - most)
        return Span(first.astype(np.int64), last.astype(np.int64))


def closed_labels(questions: Examples, windows: int = 60, learned: Examples | None = None) -> ClosedLabels:
    """Every label known to some of `questions` about any entity.

    Windows lie on grids of step Δ that end at the questions' cut-offs (cut-off − Δ, cut-off − 2Δ, …), one grid for each
    distinct cut-off modulo Δ, shared by all questions. A task without SQL, or whose SQL may read hidden columns, has only
    the labels of `learned`.

    Args:
        windows: How many windows before each cut-off, at most.
        learned: Training examples with labels.
    """
    task = questions.task
    with phase("features"):
        if task.sql is None or task.remove_columns:
            return _learned(learned) if learned is not None else _none(questions)
        starts = window_starts(questions, windows)
        if len(starts) == 0:
            return _none(questions)
        tables = list(closing_labels(task, questions.database, pd.to_datetime(starts)))
        entity = np.concatenate([t.entity for t in tables])
        known_from = np.concatenate([t.time for t in tables]) + task.horizon.value
        filled = [t.target for t in tables if len(t)]
        if not filled:
            return _none(questions)
        target = pa.concat_arrays([values.cast(filled[0].type) for values in filled])
        return _sorted(entity, known_from, label_values(task, target, questions.classes))


def window_starts(questions: Examples, windows: int) -> NDArray[np.int64]:
    """(m,) starts, ascending, of the windows that reach the first row and had closed at some cut-off of `questions`."""
    step = questions.task.horizon.value
    cutoffs = np.unique(questions.cutoff)
    if len(np.unique(cutoffs % step)) > MOST_GRIDS:
        back = -(-(cutoffs[-1] - cutoffs) // step)
        cutoffs = np.unique(cutoffs[-1] - back * step)
    try:
        first_row = questions.database.span[0]
    except InputError:
        return np.zeros(0, np.int64)
    starts = np.unique((cutoffs[:, None] - step * np.arange(1, windows + 1)).ravel())
    return np.asarray(starts[starts + step > first_row])


def _learned(examples: Examples) -> ClosedLabels:
    """The labels of training questions; a label may rest on a row at the very end of its window, hence the + 1."""
    known_from = examples.time + examples.task.horizon.value + 1
    assert examples.labels is not None
    return _sorted(examples.entity, known_from, examples.labels)


def _sorted(entity: NDArray[np.int64], known_from: NDArray[np.int64], value: Labels) -> ClosedLabels:
    order = np.lexsort((known_from, entity))
    chosen = value.take(order) if isinstance(value, Ragged) else value[order]
    return ClosedLabels(entity[order], known_from[order], chosen)


def _none(questions: Examples) -> ClosedLabels:
    nothing = np.zeros(0, np.int64)
    if questions.task.item_table is not None:
        return ClosedLabels(nothing, nothing, Ragged(np.zeros(1, np.int64), nothing))
    shape = (0, questions.width) if questions.width else (0,)
    return ClosedLabels(nothing, nothing, np.zeros(shape))
