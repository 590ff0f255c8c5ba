"""Examples whose labels stay hidden: those of a `Holdout` never leave it, only scores do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType
from relbench_harness.protocol.intervals import Intervals
from relbench_harness.protocol.method import Examples, Labels
from relbench_harness.protocol.metrics import Scores, score


class Holdout:
    """The examples of a split and, out of reach, their labels."""

    def __init__(self, examples: Examples, labels: Labels, scale: float) -> None:
        if examples.labels is not None:
            raise ValueError("the examples of a holdout carry no labels")
        self.examples = examples
        width = len(examples.classes) or examples.width

        def scored(predictions: NDArray[np.generic]) -> Scores:
            return score(examples.task, labels, predictions, scale, width)

        def covered(intervals: Intervals, predictions: NDArray[np.generic]) -> dict[str, float]:
            if examples.task.type is not TaskType.REGRESSION:
                return {}
            return intervals.measured(np.asarray(labels, dtype=np.float64), predictions)

        self._score, self._covered = scored, covered

    def score(self, predictions: NDArray[np.generic]) -> Scores:
        """Every metric of the task's type. Raises `InputError` for predictions of wrong shape or NaN."""
        return self._score(predictions)

    def covered(self, intervals: Intervals, predictions: NDArray[np.generic]) -> dict[str, float]:
        """How intervals about the predictions of a regression did; nothing for other tasks."""
        return self._covered(intervals, predictions)
