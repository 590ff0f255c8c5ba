"""What boosters minimise for each type of task, and how their margins become predictions.

A margin is the sum of leaf values, before the link: log odds, log shares of classes, or numbers (square roots for `root`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType
from relbench_harness.protocol.method import Examples

from ..best_constant import best_constant

Loss = Literal["binary", "multiclass", "squared", "absolute", "root", "quantile", "rank"]
StopBy = Literal["rmse", "average_precision", "log_loss"]
RegressionError = Literal["blend", "absolute", "squared", "root"]
ERRORS: Mapping[RegressionError, tuple[Loss, ...]] = {
    "blend": ("absolute", "root"),
    "absolute": ("absolute",),
    "squared": ("squared",),
    "root": ("root",),
}
"""The losses whose predictions are averaged."""
SMALLEST_SHARE = 1e-6
"""Shares of a constant answer stay so far from 0 and 1."""


@dataclass(frozen=True)
class Objective:
    """What boosters minimise.

    Attributes:
        loss: `root` is squared error of signed square roots: for the middle of skewed quantities, as absolute error, but
            with gradients that tell far from near.
        classes: Number of classes, multiclass only.
        quantile: Which quantile, quantile only.
        top: How many items count, rank only.
        stop_by: The metric on validation that says when to stop, where it is not the one that goes with the loss.
    """

    loss: Loss
    classes: int = 1
    quantile: float = 0.5
    top: int = 10
    stop_by: StopBy | None = None

    def constant_margins(self, labels: NDArray[np.float64]) -> NDArray[np.float64]:
        """(outputs,) the best constant answer to `labels`, before the link."""
        if self.loss == "rank":
            return np.zeros(1)
        if self.loss == "multiclass":
            return np.log(best_constant(labels, classes=self.classes, smoothing=SMALLEST_SHARE))
        if self.loss in ("absolute", "quantile"):
            return np.atleast_1d(best_constant(labels, quantile=self.quantile))
        mean = np.atleast_1d(best_constant(signed_sqrt(labels) if self.loss == "root" else labels))
        share = np.clip(mean, SMALLEST_SHARE, 1 - SMALLEST_SHARE)
        return np.asarray(np.log(share / (1 - share))) if self.loss == "binary" else mean


AIMED: Mapping[str, Objective] = {
    "rmse": Objective("squared", stop_by="rmse"),
    "quantile": Objective("quantile"),
    "average_precision": Objective("binary", stop_by="average_precision"),
    "log_loss": Objective("binary", stop_by="log_loss"),
}
"""Metric of a goal → what boosters minimise for it. Those of other metrics are those of the task."""


def objectives_for(examples: Examples, error: RegressionError, quantiles: Sequence[float]) -> tuple[Objective, ...]:
    """The objectives of the examples' task: one for each label of a multilabel task, each quantile or each error.

    Where the examples have a goal that asks for another loss or another metric to stop by than those, it goes first.
    """
    kind = examples.task.type
    aimed = None if examples.goal is None or quantiles else AIMED.get(examples.goal.metric)
    if aimed is not None and examples.goal is not None:
        return (replace(aimed, quantile=examples.goal.level),)
    if kind is TaskType.MULTICLASS:
        return (Objective("multiclass", classes=len(examples.classes)),)
    if kind is not TaskType.REGRESSION:
        return (Objective("binary"),) * max(examples.width, 1)
    if quantiles:
        return tuple(Objective("quantile", quantile=level) for level in sorted(quantiles))
    return tuple(map(Objective, ERRORS[error]))


def to_predictions(kind: TaskType, objectives: Sequence[Objective], margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Predictions in the shape that the task asks for.

    Args:
        margins: (n, outputs); outputs are the classes of the one objective of a multiclass task, else one per objective.
    """
    if kind is TaskType.MULTICLASS:
        powers = np.exp(margins - margins.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    if kind is not TaskType.REGRESSION:
        shares = 1 / (1 + np.exp(-margins))
        return np.asarray(shares[:, 0] if kind is TaskType.BINARY else shares)
    if objectives[0].loss == "quantile":
        return np.asarray(margins[:, int(np.argmin([abs(o.quantile - 0.5) for o in objectives]))])
    numbers = np.where([objective.loss == "root" for objective in objectives], signed_square(margins), margins)
    return np.asarray(numbers.mean(axis=1))


def signed_sqrt(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square roots that keep the sign."""
    return np.asarray(np.sign(values) * np.sqrt(np.abs(values)))


def signed_square(roots: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `signed_sqrt`."""
    return np.asarray(np.sign(roots) * roots**2)
