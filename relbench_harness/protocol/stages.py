"""The one place where time is cut: what of a database the questions of a split, in a regime, may see.

Invariant: the database of `Examples` holds a row only if some question of theirs may see it or asks about it. Finer
visibility, question by question, is the engines' test against `Examples.cutoff`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.labels import LabelTable, Split, list_parts
from relbench_harness.data.table import nanoseconds
from relbench_harness.data.task import Task, TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.holdout import Holdout
from relbench_harness.protocol.method import Examples, Labels, Ragged, Regime


def cut(database: Database, task: Task, entity: NDArray[np.int64], end: int) -> Database:
    """The rows of `database` older than `end`, and the rows that belong to the questions about `entity` themselves.

    Those are the entities asked about and, where the task shows a question's own row, the parents that row names.
    """
    table = database[task.entity_table]
    keep = {table.name: int(entity.max()) + 1 if len(entity) else 0}
    if task.own_row_visible and len(entity):
        for column, parent in table.references.items():
            named = int(table.parents(column)[entity].max()) + 1
            keep[parent] = max(keep.get(parent, 0), named)
    return database.upto(end, keep)


@dataclass(frozen=True)
class Stages:
    """Training, validation and test examples of a task in a regime.

    Attributes:
        fit_on_val: Whether the final model for the test split has also seen the validation labels.
    """

    dataset: Dataset
    task: Task
    regime: Regime

    @cached_property
    def _shown(self) -> Database:
        return self.task.visible_columns(self.dataset.database)

    @cached_property
    def _shown_task(self) -> Task:
        return replace(self.task, folder=None)

    @cached_property
    def _tables(self) -> dict[Split, LabelTable]:
        return {}

    def labels(self, split: Split) -> LabelTable:
        if split not in self._tables:
            self._tables[split] = self.dataset.labels(self.task, split)
        return self._tables[split]

    @cached_property
    def classes(self) -> tuple[object, ...]:
        """The classes of a multiclass task: those of its training labels, in order."""
        if self.task.type is not TaskType.MULTICLASS:
            return ()
        return tuple(sorted(set(self.labels("train").target.to_pylist())))

    @cached_property
    def width(self) -> int:
        if self.task.type is not TaskType.MULTILABEL:
            return 0
        return len(self.labels("train").target[0])

    @cached_property
    def scale(self) -> float:
        """Standard deviation (ddof 1) of a regression task's training labels, by which NMAE divides."""
        if self.task.type is not TaskType.REGRESSION:
            return float("nan")
        return float(np.std(label_values(self.labels("train"), self), ddof=1))

    def examples(self, split: Split) -> Examples:
        """The questions of `split` with their labels. Training sees the database up to the validation timestamp."""
        table = self.labels(split)
        return self._examples(split, table, label_values(table, self), nanoseconds(self.dataset.cuts.val))

    def final_training(self) -> Examples:
        """Training and validation questions with their labels, for a model that is to answer the test split."""
        train, val = self.labels("train"), self.labels("val")
        both = LabelTable(
            np.concatenate([train.entity, val.entity]),
            np.concatenate([train.time, val.time]),
            pa.concat_arrays([train.target, val.target.cast(train.target.type)]),
        )
        return self._examples("val", both, label_values(both, self), nanoseconds(self.dataset.cuts.test), final=True)

    def holdout(self, split: Split, fit_end: int | None = None) -> Holdout:
        """The questions of `split`, and their labels out of reach."""
        table = self.labels(split)
        end = nanoseconds(self.dataset.cuts.val) if fit_end is None else fit_end
        return Holdout(self._examples(split, table, None, end), label_values(table, self), self.scale)

    def _examples(
        self, split: Split, table: LabelTable, labels: Labels | None, fit_end: int, final: bool = False
    ) -> Examples:
        cuts = self.dataset.cuts
        ends = {"train": cuts.val, "val": cuts.val, "test": cuts.test}
        end = nanoseconds(cuts.test if final else ends[split])
        cutoff = table.time
        if self.regime == "frozen":
            # the questions of training are history: each sees what was there at its own time
            cutoff = np.minimum(table.time, end)
            if final:
                validating = table.time >= nanoseconds(cuts.val)
                cutoff = np.where(validating, np.minimum(table.time, nanoseconds(cuts.val)), cutoff)
        latest = int(cutoff.max())
        return Examples(
            task=self._shown_task,
            database=cut(self._shown, self.task, table.entity, latest),
            entity=table.entity,
            time=table.time,
            cutoff=cutoff,
            labels=labels,
            regime=self.regime,
            fit_end=fit_end,
            classes=self.classes,
            width=self.width,
        )


def label_values(table: LabelTable, stages: Stages) -> Labels:
    """The label column as the array that `Examples.labels` documents."""
    task, target = stages.task, table.target
    if task.type is TaskType.RECOMMENDATION:
        return Ragged(*list_parts(target))
    if task.type is TaskType.MULTILABEL:
        return np.asarray([list(row) for row in target.to_pylist()], dtype=np.float64)
    if task.type is TaskType.MULTICLASS:
        index = {value: code for code, value in enumerate(stages.classes)}
        return np.asarray([index.get(value, -1) for value in target.to_pylist()], dtype=np.int64)
    try:
        values = np.asarray(target.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    except pa.ArrowInvalid as error:
        raise InputError(f"task {task.id}: its labels are no numbers ({' '.join(str(error).split())})") from None
    if task.type is TaskType.BINARY and not np.isin(values, (0.0, 1.0)).all():
        odd = values[~np.isin(values, (0.0, 1.0))][0]
        raise InputError(f"task {task.id}: a binary label is 0 or 1, but {odd} occurs")
    return values
