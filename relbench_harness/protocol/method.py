"""What a method is shown and what it must predict. A baseline imports this module and the two engines, nothing above.

Invariant: `Examples` hold no row that none of them may see, and no label that its holder must not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple, Protocol, get_args, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.labels import list_parts
from relbench_harness.data.task import Task, TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.budget import LARGEST_SEED as LARGEST_SEED
from relbench_harness.protocol.budget import PREDICTIONS as PREDICTIONS
from relbench_harness.protocol.budget import Budget as Budget
from relbench_harness.protocol.budget import Countdown as Countdown

Regime = Literal["frozen", "rolling"]
"""`frozen`: the database ends at the split's timestamp. `rolling`: each example sees everything before its own time."""
REGIMES: tuple[Regime, ...] = get_args(Regime)


class Ragged(NamedTuple):
    """A list of integers per example: example `i` has `values[offsets[i]:offsets[i + 1]]`."""

    offsets: NDArray[np.int64]
    values: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> Ragged:
        counts = np.diff(self.offsets)[rows]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        inner = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
        return Ragged(offsets, self.values[np.repeat(self.offsets[rows], counts) + inner])

    def __repr__(self) -> str:
        return f"Ragged({len(self.offsets) - 1} lists, {len(self.values)} values)"


Labels = NDArray[np.float64] | NDArray[np.int64] | Ragged


class TrainingLabels(NamedTuple):
    """The labels of the training table, which the examples of every split may use once their windows have closed.

    Attributes:
        entity: (m,) row numbers of `task.entity_table`.
        time: (m,) nanoseconds; each label comes from the window (time, time + Δ].
        values: m labels, in the form of `Examples.labels`.
    """

    entity: NDArray[np.int64]
    time: NDArray[np.int64]
    values: Labels


def label_values(task: Task, target: pa.Array, classes: Sequence[object]) -> Labels:
    """A label column as `Examples.labels` documents it.

    Raises:
        InputError: Labels that are no numbers, or are not 0 or 1 in a binary task.
    """
    if task.type is TaskType.RECOMMENDATION:
        return Ragged(*list_parts(target))
    if task.type is TaskType.MULTILABEL:
        return np.asarray([list(row) for row in target.to_pylist()], dtype=np.float64)
    if task.type is TaskType.MULTICLASS:
        index = {value: code for code, value in enumerate(classes)}
        return np.asarray([index.get(value, -1) for value in target.to_pylist()], dtype=np.int64)
    try:
        values = np.asarray(target.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
    except pa.ArrowInvalid as error:
        raise InputError(f"task {task.id}: its labels are no numbers ({' '.join(str(error).split())})") from None
    if task.type is TaskType.BINARY and not np.isin(values, (0.0, 1.0)).all():
        odd = values[~np.isin(values, (0.0, 1.0))][0]
        raise InputError(f"task {task.id}: a binary label is 0 or 1, but {odd} occurs")
    return values


class Goal(NamedTuple):
    """A metric that a method is fitted and chosen for; `level` is that of a quantile."""

    metric: str
    level: float = 0.5

    @property
    def quantile(self) -> float | None:
        """Which quantile of a regression's label is best; None for the mean."""
        return None if self.metric == "rmse" else self.level if self.metric == "quantile" else 0.5


@dataclass(frozen=True)
class Examples:
    """Examples (entity, t) of a task, with labels where the holder may know them.

    Attributes:
        task: The task; its hosted label files cannot be reached through it.
        database: Only rows that some example may see, plus the examples' own rows; hidden columns are gone.
        entity: (n,) row number of each example's entity in `task.entity_table`.
        time: (n,) each example's time t, nanoseconds since 1970.
        cutoff: (n,) the time before which a row is visible to the example: `row.time < cutoff`, where
            cutoff = min(t, end of the database). Static tables are visible whole. An example's own row is visible to
            it; in autocomplete tasks (`task.own_row_visible`) so are the parents that its own foreign keys name.
        labels: None, or by task type: regression and binary (n,) float64; multiclass (n,) int64 index into `classes`
            (−1 for a class not known at training); multilabel (n, labels) float64; recommendation `Ragged` item rows.
        fit_end: Nanoseconds; statistics, vocabularies and encoders are fitted on rows before it.
        classes: The class names of a multiclass task.
        width: How many labels a multilabel task has, else 0.
        training: The labels that training holds, those of windows that are still open at a cut-off included;
            `temporal.closed_labels` says which of them an example may use. None where examples are made by hand.
        goal: What a method is to be fitted and chosen for on these examples, where that is not the task's primary metric.
    """

    task: Task
    database: Database
    entity: NDArray[np.int64]
    time: NDArray[np.int64]
    cutoff: NDArray[np.int64]
    labels: Labels | None
    regime: Regime
    fit_end: int
    classes: tuple[object, ...] = ()
    width: int = 0
    training: TrainingLabels | None = None
    goal: Goal | None = None

    def __len__(self) -> int:
        return len(self.entity)

    def take(self, rows: NDArray[np.int64]) -> Examples:
        """The examples `rows`, of the same database."""
        labels = self.labels
        chosen = None if labels is None else labels.take(rows) if isinstance(labels, Ragged) else labels[rows]
        return replace(self, entity=self.entity[rows], time=self.time[rows], cutoff=self.cutoff[rows], labels=chosen)

    @property
    def values(self) -> NDArray[np.float64]:
        """Labels of a task that has numbers as labels."""
        if self.labels is None or isinstance(self.labels, Ragged):
            raise TypeError(f"the labels of these {self.task.type} examples are no array of numbers")
        return self.labels  # type: ignore[return-value]

    @property
    def lists(self) -> Ragged:
        """Labels of a recommendation task."""
        if not isinstance(self.labels, Ragged):
            raise TypeError(f"the labels of these {self.task.type} examples are no lists")
        return self.labels

    @cached_property
    def known(self) -> Database:
        """The rows visible at the end of training: what statistics, vocabularies and encoders are fitted on."""
        return self.database.upto(self.fit_end)


@runtime_checkable
class Predictor(Protocol):
    """A fitted method."""

    def predict(self, examples: Examples, /) -> NDArray[np.generic]:
        """(n,) value or probability; (n, classes) or (n, labels) probabilities; (n, eval_k) item row numbers."""
        ...


@runtime_checkable
class Refittable(Protocol):
    """A fitted method that can learn again on more labels with everything chosen on validation held fixed."""

    def refit(self, examples: Examples) -> Predictor: ...


def refitted(predictor: Predictor, examples: Examples) -> Predictor:
    """`predictor` after it learned again on `examples`. Raises `InputError` where it cannot."""
    if not isinstance(predictor, Refittable):
        raise InputError(f"{type(predictor).__name__} cannot learn again on more labels")
    return predictor.refit(examples)


@runtime_checkable
class Noted(Protocol):
    """A fitted method that has something to say of how it answers."""

    @property
    def notes(self) -> Mapping[str, object]:
        """What stands in the result, such as `{"fallback": "constant"}`."""
        ...


def notes_of(predictor: Predictor) -> Mapping[str, object]:
    """What `predictor` has to say, if anything."""
    return predictor.notes if isinstance(predictor, Noted) else {}


class Method(Protocol):
    """A way to learn a task and predict its examples; its fields are its hyperparameters."""

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        """Learn from `train`; choose (when to stop, which hyperparameters) on `valid`."""
        ...
