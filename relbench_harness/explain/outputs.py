"""The number of a prediction that is explained, and how good predictions are: what every algorithm reads of a predictor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Examples, Predictor
from relbench_harness.protocol.metrics import PRIMARY, score

Floats = NDArray[np.float64]


def check_values(examples: Examples) -> None:
    """Raises `InputError` for a task whose answers are items."""
    if examples.task.type is TaskType.RECOMMENDATION:
        raise InputError(
            f"task {examples.task.id} recommends items; rows and columns are explained for predicted values alone"
        )
    if not len(examples):
        raise InputError("there is no example to explain")


def same_again(predictor: Predictor) -> Predictor:
    """The predictor itself where one is wrapped that remembers answers."""
    inner = getattr(predictor, "predictor", None)
    return same_again(inner) if isinstance(inner, Predictor) else predictor


@dataclass(frozen=True)
class Output:
    """Which number of each prediction is explained.

    Attributes:
        column: (n,) the class or label of each example; None where a prediction is one number.
    """

    column: NDArray[np.int64] | None

    @classmethod
    def chosen(cls, predictions: NDArray[np.generic]) -> Output:
        """The likeliest class or label of each of (n, …) predictions."""
        return cls(None) if predictions.ndim == 1 else cls(predictions.argmax(axis=1).astype(np.int64))

    def of(self, predictions: NDArray[np.generic]) -> Floats:
        """(n,) the number of each prediction."""
        values = np.asarray(predictions, dtype=np.float64)
        return values if self.column is None else values[np.arange(len(values)), self.column]

    def take(self, rows: NDArray[np.int64]) -> Output:
        return self if self.column is None else Output(self.column[rows])


def answers(predictor: Predictor, examples: Examples) -> NDArray[np.generic]:
    return np.asarray(predictor.predict(examples))


def quality(examples: Examples, predictions: NDArray[np.generic]) -> float:
    """The task's primary metric, signed so that higher is better; NaN without labels or where it is undefined."""
    if examples.labels is None:
        return float("nan")
    metric = PRIMARY[examples.task.type]
    classes = len(examples.classes) or examples.width
    found = score(examples.task, examples.labels, predictions, label_scale(examples), classes)[metric.name]
    return found if metric.higher_is_better else -found


def label_scale(examples: Examples) -> float:
    """What NMAE of labelled examples is divided by: the deviation of their labels; 1 for other tasks than regression."""
    if examples.task.type is not TaskType.REGRESSION or len(examples) < 2:
        return 1.0
    return float(np.std(examples.values, ddof=1)) or 1.0


def metric_name(examples: Examples) -> str:
    return PRIMARY[examples.task.type].name
