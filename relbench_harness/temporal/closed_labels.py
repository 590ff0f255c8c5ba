"""Labels that an entity already has: those of windows that had closed before an example.

A window (s, s + Δ] has closed at a cut-off c if every row of it is visible there: s + Δ < c. Training's own labels are used
as they are. Windows after the last of them are computed by the task's SQL, on the training table's grid carried forward.

A task's labels may be known a delay later than their windows close (`Task.label_delay`): then s + Δ + delay < c.

A window that ends exactly at c has closed too, if no row is to be expected at the instant c (`temporal.window_ends`); its
label is then computed on rows older than c. Where times are dates, rows at c are to be expected, and they cannot be seen. With a delay
every row of a window is visible once its label is known, so this does not arise.

Invariant: a label known at a cut-off reads no row that is not visible there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.labels import Window, window_labels
from relbench_harness.data.task import Task
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Examples, Labels, Ragged, TrainingLabels, label_values
from relbench_harness.temporal.stretch import Stretch
from relbench_harness.temporal.window_ends import rows_expected_at_ends
from relbench_harness.timing import phase


@dataclass(frozen=True)
class ClosedLabels:
    """Labels of past windows, sorted by entity, then by the time from which they are known.

    Attributes:
        entity: (m,) row number of the entity.
        known_from: (m,) nanoseconds; an example may use the label iff its cut-off is at or after this.
        value: m labels, in the form that `Examples.labels` has for the task's type.
    """

    entity: NDArray[np.int64]
    known_from: NDArray[np.int64]
    value: Labels

    def __len__(self) -> int:
        return len(self.entity)

    def known(self, examples: Examples, most: int | None = None) -> Stretch:
        """The labels known to each example about its entity, the last `most` of them."""
        instants = np.unique(self.known_from)
        # an entity's labels known at a cut-off end where the next instant of that entity would stand
        stride = len(instants) + 1
        place = self.entity * stride + np.searchsorted(instants, self.known_from)
        first = np.searchsorted(self.entity, examples.entity, side="left")
        end = examples.entity * stride + np.searchsorted(instants, examples.cutoff, side="right")
        last = np.searchsorted(place, end, side="left")
        if most is not None:
            first = np.maximum(first, last - most)
        return Stretch(first.astype(np.int64), last.astype(np.int64))


def closed_labels(examples: Examples, windows: int = 60, learned: Examples | None = None) -> ClosedLabels:
    """Every label known to some of `examples` about any entity, and labels of training that none of them may use yet.

    Labels of `examples.training` come first. Those of later windows come from the task's SQL on visible rows. A task without
    SQL, or whose SQL may read hidden columns, has only the labels of training.

    Args:
        windows: How many windows after the last of training are computed for each cut-off, at most.
        learned: Training examples, whose labels stand for those of training where `examples` carry none and their SQL cannot be run.
    """
    has_sql = examples.task.sql is not None and not examples.task.remove_columns
    if examples.training is None and not has_sql and learned is not None and learned.labels is not None:
        examples = replace(examples, training=TrainingLabels(learned.entity, learned.time, learned.labels))
    made = _made.get()
    with phase("features"):
        found = None if made is None else made.find(examples, windows)
        if found is None:
            found = _closed(examples, windows if has_sql and len(examples) else 0)
            if made is not None:
                made.keep(examples, windows, found)
    return found


def _closed(examples: Examples, windows: int) -> ClosedLabels:
    held = _held(examples, examples.training)
    if not windows:
        return held
    computed = _computed(examples, windows)
    # a window that was computed on rows before its end alone is known one instant earlier than training's label of it
    stale = np.isin(held.known_from, np.unique(computed.known_from) + 1)
    return _sorted(_joined(_without(held, stale), computed))


class _About(NamedTuple):
    """What closed labels are a function of, beside how many windows are computed."""

    database: Database
    training: TrainingLabels | None
    task: Task
    cutoffs: NDArray[np.int64]

    @staticmethod
    def of(examples: Examples) -> _About:
        return _About(examples.database, examples.training, examples.task, np.unique(examples.cutoff))

    def is_of(self, other: _About) -> bool:
        """Whether both are about the same rows; databases and labels of training are compared by identity."""
        same = self.database is other.database and self.training is other.training and self.task == other.task
        return same and np.array_equal(self.cutoffs, other.cutoffs)


@dataclass
class LabelsMade:
    """The labels known to the examples that were read last: those of the next ones are often the same.

    Threads may share it: what is kept is replaced in one step.
    """

    _kept: tuple[_About, dict[int, ClosedLabels]] | None = None

    @contextmanager
    def used(self) -> Iterator[None]:
        """Inside, `closed_labels` of the same database at the same cut-offs are made once."""
        token = _made.set(self)
        try:
            yield
        finally:
            _made.reset(token)

    def find(self, examples: Examples, windows: int) -> ClosedLabels | None:
        """What was kept for examples of the same rows and as many windows."""
        return self._of(_About.of(examples)).get(windows)

    def keep(self, examples: Examples, windows: int, labels: ClosedLabels) -> None:
        """Keeps the labels of `examples`, beside those of other numbers of windows where they are about the same rows."""
        about = _About.of(examples)
        self._kept = about, {**self._of(about), windows: labels}

    def _of(self, about: _About) -> dict[int, ClosedLabels]:
        kept = self._kept
        return kept[1] if kept is not None and kept[0].is_of(about) else {}


_made: ContextVar[LabelsMade | None] = ContextVar("made", default=None)


def _held(examples: Examples, training: TrainingLabels | None) -> ClosedLabels:
    """The labels of training with the instants from which they are known, of entities and items that are there."""
    if training is None:
        return _none(examples)
    task, database = examples.task, examples.database
    known_from = training.time + task.known_after + 1
    absent = training.entity >= len(database[task.entity_table])
    labels = _without(ClosedLabels(training.entity, known_from, training.values), absent)
    if isinstance(labels.value, Ragged):
        labels = ClosedLabels(labels.entity, labels.known_from, _present(labels.value, len(database[str(task.item_table)])))
    return _sorted(labels)


def _present(lists: Ragged, items: int) -> Ragged:
    """`lists` without row numbers from `items` on."""
    inside = lists.values < items
    return Ragged(np.concatenate([[0], np.cumsum(inside)])[lists.offsets].astype(np.int64), lists.values[inside])


def _computed(examples: Examples, windows: int) -> ClosedLabels:
    """Labels by the task's SQL on visible rows, of windows that training's labels do not cover."""
    task = examples.task
    tables = list(window_labels(task, examples.database, window_plan(examples, windows)))
    filled = [t.target for _, t in tables if len(t)]
    if not filled:
        return _none(examples)
    entity = np.concatenate([t.entity for _, t in tables])
    known_from = np.repeat([w.end + task.label_delay.value for w, _ in tables], [len(t) for _, t in tables])
    target = pa.concat_arrays([values.cast(filled[0].type) for values in filled])
    return ClosedLabels(entity, known_from.astype(np.int64), label_values(task, target, examples.classes))


def window_plan(examples: Examples, windows: int) -> list[Window]:
    """The windows to compute labels of, ascending: each with the instant before which its rows lie.

    They are the windows after the last of training, on its grid carried forward, and those windows of training that end
    exactly at a cut-off at which no row is to be expected.
    """
    step, delay, cutoffs = examples.task.horizon.value, examples.task.label_delay.value, np.unique(examples.cutoff)
    held = _no_times() if examples.training is None else np.unique(examples.training.time)
    later = _later_starts(examples, held, windows)
    starts = np.concatenate([held, later])
    ends = starts + step
    expected = np.ones(len(starts), np.bool_)
    if not delay and np.isin(ends, cutoffs).any():
        expected = rows_expected_at_ends(examples.task, examples.database, starts)
    # with rows at its end a window closes one instant later
    rows_before = np.where(expected, ends + 1, ends)
    needed = (rows_before + delay <= cutoffs[-1]) & (np.isin(starts, later) | (np.isin(ends, cutoffs) & ~expected))
    return [Window(int(s), int(e)) for s, e in zip(starts[needed], rows_before[needed], strict=True)]


def _latest(ends: NDArray[np.int64], cutoffs: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Those of the ascending `ends` that are among the last `most` at or before some of `cutoffs`."""
    last = np.searchsorted(ends, cutoffs, side="right")
    chosen = np.unique((last[:, None] - 1 - np.arange(most)).ravel())
    return ends[chosen[chosen >= 0]]


def _later_starts(examples: Examples, held: NDArray[np.int64], windows: int) -> NDArray[np.int64]:
    """Ascending starts of windows after the times `held`; without those, of all that end at the last cut-off or a step,
    two, … before it. At most `windows` of them end, and their delay with them, at or before each cut-off."""
    step, known_after, cutoffs = examples.task.horizon.value, examples.task.known_after, np.unique(examples.cutoff)
    if len(held):
        starts = np.arange(held[-1] + step, cutoffs[-1] - step + 1, step)
    else:
        try:
            first_row = examples.database.span[0]
        except InputError:
            return _no_times()
        starts = np.arange(cutoffs[-1] - step, first_row - step, -step)[::-1]
    return _latest(starts + known_after, cutoffs, windows) - known_after


def _no_times() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


def _without(labels: ClosedLabels, gone: NDArray[np.bool_]) -> ClosedLabels:
    if not gone.any():
        return labels
    rows = np.flatnonzero(~gone)
    return ClosedLabels(labels.entity[rows], labels.known_from[rows], _take(labels.value, rows))


def _take(value: Labels, rows: NDArray[np.int64]) -> Labels:
    return value.take(rows) if isinstance(value, Ragged) else value[rows]


def _joined(first: ClosedLabels, second: ClosedLabels) -> ClosedLabels:
    if not len(first) or not len(second):
        return first if len(first) else second
    entity = np.concatenate([first.entity, second.entity])
    known_from = np.concatenate([first.known_from, second.known_from])
    if isinstance(first.value, Ragged) and isinstance(second.value, Ragged):
        offsets = np.concatenate([first.value.offsets, second.value.offsets[1:] + first.value.offsets[-1]])
        value: Labels = Ragged(offsets, np.concatenate([first.value.values, second.value.values]))
    else:
        value = np.concatenate([np.asarray(first.value), np.asarray(second.value)])
    return ClosedLabels(entity, known_from, value)


def _sorted(labels: ClosedLabels) -> ClosedLabels:
    order = np.lexsort((labels.known_from, labels.entity))
    return ClosedLabels(labels.entity[order], labels.known_from[order], _take(labels.value, order))


def _none(examples: Examples) -> ClosedLabels:
    if examples.task.item_table is not None:
        return ClosedLabels(_no_times(), _no_times(), Ragged(np.zeros(1, np.int64), _no_times()))
    shape = (0, examples.width) if examples.width else (0,)
    return ClosedLabels(_no_times(), _no_times(), np.zeros(shape))
