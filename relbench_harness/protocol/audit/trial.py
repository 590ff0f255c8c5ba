"""One trial: a method learns from examples and answers others, from a seed and with nothing else in its hands.

Invariant: what is compared are answers to the same examples in the same order; two answers that differ by no more than sums of
single precision in another order are equal. Differences are held against the spread of the answers, so that none hides behind a scale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.protocol.audit.rearranged import Rearranged
from relbench_harness.protocol.method import Budget, Examples, Method, Predictor, refitted
from relbench_harness.protocol.process_state import process_state
from relbench_harness.protocol.work import FitOn

ROUNDING = 1e-5
"""Relative to the spread of the answers: what sums of single precision in another order make."""
LAST_DIGITS = {"single": 1e-6, "double": 1e-12}
"""Relative to the largest answer: differences that are none, whatever the spread, by the precision of the answers."""
Answers = NDArray[np.generic]


@dataclass(frozen=True)
class Scene:
    """Examples to learn from and, without labels, examples to answer.

    Attributes:
        both: Training and validation together, for a method that learns again once choices are made.
    """

    train: Examples
    valid: Examples
    answered: Examples
    both: Examples | None = None

    def over(self, change: Callable[[Examples], Examples]) -> Scene:
        """The scene with every set of examples changed."""
        both = None if self.both is None else change(self.both)
        return Scene(change(self.train), change(self.valid), change(self.answered), both)

    @property
    def parts(self) -> tuple[Examples, ...]:
        """All examples that a method is handed."""
        return (self.train, self.valid, self.answered, *(() if self.both is None else (self.both,)))


@dataclass(frozen=True)
class Learner:
    """A method and what each of its fits may use.

    Attributes:
        fit_on: `train+val` learns again on both, as a run does before it answers test.
    """

    method: Method
    budget: Budget
    fit_on: FitOn = "train"

    def with_seed(self, seed: int) -> Learner:
        return replace(self, budget=replace(self.budget, seed=seed))

    def fit(self, scene: Scene) -> Predictor:
        with process_state(self.budget.seed, self.budget.threads):
            predictor = self.method.fit(scene.train, scene.valid, self.budget)
            return predictor if scene.both is None else refitted(predictor, scene.both)

    def answers(self, predictor: Predictor, examples: Examples) -> Answers:
        with process_state(self.budget.seed, self.budget.threads):
            return np.asarray(predictor.predict(examples))

    def run(self, scene: Scene) -> Answers:
        return self.answers(self.fit(scene), scene.answered)


def read_back(answers: Answers, change: Rearranged, examples: Examples) -> Answers:
    """Answers given in a rearranged database, as they read in the one before."""
    return change.read_back(answers, examples.task.item_table)


def difference(first: Answers, second: Answers) -> float:
    """The largest difference of two answers, relative to their spread; infinite where shapes or undefined answers differ.

    For lists of items, the share of places at which they differ.
    """
    if first.shape != second.shape:
        return float("inf")
    if not first.size:
        return 0.0
    if np.issubdtype(first.dtype, np.integer) and np.issubdtype(second.dtype, np.integer):
        return float((first != second).mean())
    one, two = first.astype(np.float64), second.astype(np.float64)
    if not np.array_equal(np.isfinite(one), np.isfinite(two)):
        return float("inf")
    one, two = np.nan_to_num(one), np.nan_to_num(two)
    largest = float(np.abs(one).max())
    last_digits = LAST_DIGITS["single" if first.dtype in (np.float16, np.float32) else "double"] * largest
    spread = float(one.max() - one.min()) or largest or 1.0
    return max(float(np.abs(one - two).max()) - last_digits, 0.0) / spread


def same(first: Answers, second: Answers) -> bool:
    """Whether two answers are equal but for rounding."""
    return difference(first, second) <= (0.0 if np.issubdtype(first.dtype, np.integer) else ROUNDING)


def concerned(first: Answers, second: Answers) -> int:
    """How many answers differ by more than rounding."""
    if first.shape != second.shape:
        return max(len(first), len(second))
    if np.issubdtype(first.dtype, np.integer):
        return int((first != second).reshape(len(first), -1).any(axis=1).sum())
    one, two = np.nan_to_num(first.astype(np.float64)), np.nan_to_num(second.astype(np.float64))
    least = ROUNDING * (float(one.max() - one.min()) or float(np.abs(one).max()) or 1.0)
    return int((np.abs(one - two) > least).reshape(len(one), -1).any(axis=1).sum())
