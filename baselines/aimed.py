"""A method that is fitted and chosen for another metric than the one that its task is ranked by.

The goal travels with the examples that a method learns from. Every choice on validation that goes by `quality` follows it; what a family
minimises, and what it stops by, follows it where the family knows how. Invariant: a method without a goal is what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import InputError, nearest
from relbench_harness.protocol.method import Budget, Examples, Goal, Method, Predictor, notes_of, refitted

from .quality import GOALS


@dataclass(frozen=True)
class Primary:
    """Leaves every method as it is."""

    def around(self, method: Method) -> Method:
        return method


@dataclass(frozen=True)
class Aim:
    """What stands around a method with `objective=METRIC`.

    Attributes:
        metric: `mae`, `rmse` or `quantile` of a regression; `roc_auc`, `average_precision` or `log_loss` of a binary task.
        level: Of a quantile.
    """

    metric: str
    level: float = 0.5

    def __post_init__(self) -> None:
        known = sorted({name for names in GOALS.values() for name in names})
        if self.metric not in known:
            raise InputError(f"no objective {self.metric!r}; {nearest(self.metric, known)}")
        if not 0 < self.level < 1:
            raise InputError(f"the level of a quantile lies between 0 and 1, got {self.level}")

    def around(self, method: Method) -> Method:
        return Aimed(method, Goal(self.metric, self.level))


@dataclass(frozen=True)
class Aimed:
    """`method`, fitted and chosen for `goal`."""

    method: Method
    goal: Goal

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> AimedPredictor:
        """Raises `InputError` where the task has no such metric to fit for."""
        task, known = train.task, GOALS.get(train.task.type, ())
        if self.goal.metric not in known:
            which = f"one of {', '.join(known)}" if known else "none but the primary metric"
            raise InputError(f"task {task.id} is {task.type}: its objective is {which}, not {self.goal.metric!r}")
        learned = self.method.fit(replace(train, goal=self.goal), replace(valid, goal=self.goal), budget)
        said = {"metric": self.goal.metric, **({"level": self.goal.level} if self.goal.metric == "quantile" else {})}
        return AimedPredictor(learned, self.goal, {**notes_of(learned), "objective": said})


@dataclass(frozen=True)
class AimedPredictor:
    """`predictor`, which learns again for `goal` as well."""

    predictor: Predictor
    goal: Goal
    notes: Mapping[str, object]

    def predict(self, examples: Examples) -> NDArray[np.generic]:
        return self.predictor.predict(examples)

    def refit(self, examples: Examples) -> AimedPredictor:
        """The same method fitted again on more labels."""
        return replace(self, predictor=refitted(self.predictor, replace(examples, goal=self.goal)))
