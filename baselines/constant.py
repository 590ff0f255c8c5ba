"""The same answer to every example: what any method has to beat.

Invariant: the answer depends on training labels alone, never on the example.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError, nearest
from relbench_harness.protocol.method import Budget, Examples

from .best_constant import best_constant

Kind = Literal["auto", "mean", "median", "majority"]


@dataclass(frozen=True)
class Constant:
    """Predicts one value, learned from the training labels.

    Attributes:
        kind: `auto` takes the median of a regression target (its metric, NMAE, is an absolute error), or what is best for the
            run's objective, and the mean of
            all others: the base rate of a binary label, the frequency of each class, the rate of each label. `mean` and
            `median` say so outright; `majority` is certain of the most frequent class. Recommendations are always the
            items that most training examples name.
    """

    kind: Kind = "auto"

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> FittedConstant:
        """Learn from the labels of `train`; nothing is chosen on `valid`."""
        if self.kind not in get_args(Kind):
            raise InputError(f"method constant: no kind {self.kind!r}; {nearest(str(self.kind), get_args(Kind))}")
        return FittedConstant(self, constant_answer(train, self.kind))


@dataclass(frozen=True)
class FittedConstant:
    """`answer` is a scalar, a (classes,) or (labels,) row, or (eval_k,) item rows."""

    method: Constant
    answer: NDArray[np.generic]

    def predict(self, examples: Examples) -> NDArray[np.generic]:
        return repeated(self.answer, len(examples))

    def refit(self, examples: Examples) -> FittedConstant:
        """The answer that the labels of `examples` give."""
        return FittedConstant(self.method, constant_answer(examples, self.method.kind))


def repeated(answer: NDArray[np.generic], times: int) -> NDArray[np.generic]:
    """`answer` so many times, one below the other."""
    return np.broadcast_to(answer, (times, *answer.shape)).copy()


def constant_answer(examples: Examples, kind: Kind = "auto") -> NDArray[np.generic]:
    """The best single answer to `examples` in the sense of `kind`; its shape is that of one prediction."""
    task = examples.task
    if task.type is TaskType.RECOMMENDATION:
        return most_popular(examples)[: task.eval_k or 1]
    if task.type is TaskType.REGRESSION:
        if kind == "majority":
            raise InputError(f"method constant: kind 'majority' has no meaning for the regression task {task.id}")
        best = 0.5 if examples.goal is None or kind != "auto" else examples.goal.quantile
        return best_constant(examples.values, quantile=None if kind == "mean" else best)
    classes = len(examples.classes) if task.type is TaskType.MULTICLASS else 0
    return best_constant(examples.values, classes, majority=kind in ("majority", "median"))


def most_popular(examples: Examples) -> NDArray[np.int64]:
    """Every item, those that most training examples name first, ties by row number; padded with −1 to `eval_k`."""
    task = examples.task
    items = len(examples.database[str(task.item_table)])
    counts = np.bincount(examples.lists.values, minlength=items)
    ordered = np.argsort(-counts, kind="stable").astype(np.int64)
    return np.concatenate([ordered, np.full(max(0, (task.eval_k or 1) - len(ordered)), -1, np.int64)])
