"""Questions whose answers stay hidden: the labels of a `Holdout` never leave it, only scores do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relbench_harness.protocol.method import Examples, Labels
from relbench_harness.protocol.metrics import Scores, score


class Holdout:
    """The questions of a split and, out of reach, their labels."""

    def __init__(self, questions: Examples, labels: Labels, scale: float) -> None:
        if questions.labels is not None:
            raise ValueError("the questions of a holdout carry no labels")
        self.questions = questions
        width = len(questions.classes) or questions.width

        def scored(predictions: NDArray[np.generic]) -> Scores:
            return score(questions.task, labels, predictions, scale, width)

        self._score = scored

    def score(self, predictions: NDArray[np.generic]) -> Scores:
        """Every metric of the task's type. Raises `InputError` for predictions of wrong shape or NaN."""
        return self._score(predictions)
