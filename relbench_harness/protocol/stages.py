"""The one place where time is cut: what of a database the examples of a split, in a regime, may see.

Invariant: the database of `Examples` holds a row only if some example of theirs may see it or is about it. Finer
visibility, example by example, is the engines' test against `Examples.cutoff`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.labels import LabelTable, Split
from relbench_harness.data.table import nanoseconds
from relbench_harness.data.task import Task, TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.holdout import Holdout
from relbench_harness.protocol.method import Examples, Labels, Regime, TrainingLabels, label_values


def cut(database: Database, task: Task, entity: NDArray[np.int64], end: int) -> Database:
    """The rows of `database` older than `end`, and the rows that belong to the examples of `entity` themselves.

    Those are the entities' own rows and, where the task shows an example's own row, the parents that row names.
    """
    table = database[task.entity_table]
    keep = {table.name: int(entity.max()) + 1 if len(entity) else 0}
    if task.own_row_visible and len(entity):
        for column, parent in table.references.items():
            named = int(table.parents(column)[entity].max()) + 1
            keep[parent] = max(keep.get(parent, 0), named)
    return database.upto(end, keep)


LEARNED: tuple[Split, Split] = ("train", "val")
"""The splits that a model for the test split may learn from."""


class Seen(NamedTuple):
    """What examples of a model that was fitted before share with those that it was tested on.

    Attributes:
        training: The labels that training held.
    """

    regime: Regime
    fit_end: int
    classes: tuple[object, ...] = ()
    width: int = 0
    training: TrainingLabels | None = None


def unlabelled(task: Task, shown: Database, who: tuple[NDArray[np.int64], NDArray[np.int64]], seen: Seen) -> Examples:
    """Examples to predict, each of which sees every row before its own time, as in the rolling regime.

    Args:
        shown: The rows that there are, without the columns that no method may see.
        who: (n,) row numbers of entities, and (n,) their times in nanoseconds.
    """
    entity, time = who
    # an end before all rows, where nothing is to be predicted
    end = int(time.max()) if len(time) else np.iinfo(np.int64).min
    bare = replace(task, folder=None)
    return Examples(
        task=bare,
        database=cut(shown, task, entity, end),
        entity=entity,
        time=time,
        cutoff=time,
        labels=None,
        **seen._asdict(),
    )


@dataclass(frozen=True)
class Stages:
    """Training, validation and test examples of a task in a regime."""

    dataset: Dataset
    task: Task
    regime: Regime

    @cached_property
    def shown(self) -> Database:
        """Every row, the test split's future included, without the columns that no method may see."""
        return self.task.visible_columns(self.dataset.database)

    @cached_property
    def _shown_task(self) -> Task:
        return replace(self.task, folder=None)

    @cached_property
    def _tables(self) -> dict[Split, LabelTable]:
        return {}

    @cached_property
    def _held(self) -> dict[bool, TrainingLabels]:
        return {}

    def labels(self, split: Split) -> LabelTable:
        if split not in self._tables:
            self._tables[split] = self.dataset.labels(self.task, split)
        return self._tables[split]

    def known_labels(self, split: Split, until: pd.Timestamp) -> LabelTable:
        """The labels of `split` that a model which learns at `until` may learn from; all of them where labels have no delay.

        Raises:
            InputError: None is known so early.
        """
        table = self.labels(split)
        if not self.task.label_delay:
            return table
        rows = np.flatnonzero(table.time + self.task.known_after < nanoseconds(until))
        if not len(rows):
            first = pd.Timestamp(int(table.time.min()) + self.task.known_after)
            raise InputError(
                f"task {self.task.id}: with label_delay {self.task.label_delay} no label of split {split!r} is known before {until}, "
                f"the first only after {first}; move the dataset's timestamps apart, or shorten the delay"
            )
        return table.take(rows)

    def check_delay(self) -> None:
        """Raises `InputError` where a model has no labels to learn or to choose by, since they come too late."""
        self.known_labels("train", self.dataset.cuts.val)
        self.known_labels("val", self.dataset.cuts.test)

    @cached_property
    def classes(self) -> tuple[object, ...]:
        """The classes of a multiclass task: those of its training labels, in order."""
        if self.task.type is not TaskType.MULTICLASS:
            return ()
        return tuple(sorted(set(self.known_labels("train", self.dataset.cuts.val).target.to_pylist())))

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
        return float(np.std(self._values(self.labels("train")), ddof=1))

    def examples(self, split: Split) -> Examples:
        """The examples of `split` with their labels. Training sees the database up to the validation timestamp.

        Labels that come late are known to training at the validation timestamp, and those of validation at the test timestamp.
        """
        cuts = self.dataset.cuts
        table = (
            self.labels(split) if split == "test" else self.known_labels(split, cuts.val if split == "train" else cuts.test)
        )
        return self._examples(split, table, self._values(table), nanoseconds(self.dataset.cuts.val))

    def final_training(self) -> Examples:
        """Training and validation examples with their labels, for a model that is to predict the test split."""
        both = self._joined(*(self.known_labels(split, self.dataset.cuts.test) for split in LEARNED))
        return self._examples("val", both, self._values(both), nanoseconds(self.dataset.cuts.test), final=True)

    @staticmethod
    def _joined(train: LabelTable, val: LabelTable) -> LabelTable:
        return LabelTable(
            np.concatenate([train.entity, val.entity]),
            np.concatenate([train.time, val.time]),
            pa.concat_arrays([train.target, val.target.cast(train.target.type)]),
        )

    def _training(self, fit_end: int) -> TrainingLabels:
        """The labels that a model fitted at `fit_end` has: those of training, and of validation where it ends later."""
        later = fit_end > nanoseconds(self.dataset.cuts.val)
        if later not in self._held:
            table = self._joined(*map(self.labels, LEARNED)) if later else self.labels("train")
            self._held[later] = TrainingLabels(table.entity, table.time, self._values(table))
        return self._held[later]

    def holdout(self, split: Split, fit_end: int | None = None) -> Holdout:
        """The examples of `split`, and their labels out of reach."""
        table = self.labels(split)
        end = nanoseconds(self.dataset.cuts.val) if fit_end is None else fit_end
        return Holdout(self._examples(split, table, None, end), self._values(table), self.scale)

    def _values(self, table: LabelTable) -> Labels:
        return label_values(self.task, table.target, self.classes)

    def _examples(
        self, split: Split, table: LabelTable, labels: Labels | None, fit_end: int, final: bool = False
    ) -> Examples:
        cuts = self.dataset.cuts
        ends = {"train": cuts.val, "val": cuts.val, "test": cuts.test}
        end = nanoseconds(cuts.test if final else ends[split])
        cutoff = table.time
        if self.regime == "frozen":
            # the examples of training are history: each sees what was there at its own time
            cutoff = np.minimum(table.time, end)
            if final:
                validating = table.time >= nanoseconds(cuts.val)
                cutoff = np.where(validating, np.minimum(table.time, nanoseconds(cuts.val)), cutoff)
        latest = int(cutoff.max())
        return Examples(
            task=self._shown_task,
            database=cut(self.shown, self.task, table.entity, latest),
            entity=table.entity,
            time=table.time,
            cutoff=cutoff,
            labels=labels,
            regime=self.regime,
            fit_end=fit_end,
            classes=self.classes,
            width=self.width,
            training=self._training(fit_end),
        )
