"""How good predictions are on labels a method may see: one number, higher is better, for choices made on validation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType
from relbench_harness.protocol.method import Examples
from relbench_harness.protocol.metrics import score, signed

GOALS: Mapping[TaskType, tuple[str, ...]] = {
    TaskType.REGRESSION: ("mae", "rmse", "quantile"),
    TaskType.BINARY: ("roc_auc", "average_precision", "log_loss"),
}
"""Metrics that methods can be fitted and chosen for."""


def label_scale(train: Examples) -> float:
    """The divisor of NMAE, the deviation of training's labels; 1 for other tasks than regression."""
    if train.task.type is not TaskType.REGRESSION or len(train) < 2:
        return 1.0
    return float(np.std(train.values, ddof=1)) or 1.0


def quality(examples: Examples, predictions: NDArray[np.generic], scale: float = 1.0) -> float:
    """The metric of the examples' goal, or else the task's primary one, signed so that higher is better; minus log loss where
    it is undefined (one class).

    Args:
        scale: The divisor of NMAE.
    """
    if examples.labels is None:
        raise TypeError("quality is judged on labelled examples")
    scores = score(examples.task, examples.labels, predictions, scale, len(examples.classes) or examples.width)
    goal = examples.goal
    if goal is None:
        return signed(examples.task.type, scores)
    if goal.metric == "quantile":
        above = examples.values - np.asarray(predictions, dtype=np.float64)
        return -float(np.maximum(goal.level * above, (goal.level - 1) * above).mean())
    found = scores[goal.metric]
    if goal.metric in ("mae", "rmse", "log_loss"):
        return -found
    return -scores["log_loss"] if np.isnan(found) else found
