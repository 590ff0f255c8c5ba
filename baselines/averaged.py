"""Any method, fitted several times from different seeds; their mean answer is steadier than each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import InputError
from relbench_harness.features.copied_rows import Answering, predicting_copies
from relbench_harness.protocol.method import Budget, Countdown, Examples, Method, Predictor, refitted
from relbench_harness.protocol.mixture import mixed


@dataclass(frozen=True)
class Averaged:
    """The mean of `n` fits of `method`; for recommendations the items with the greatest sum of reciprocal ranks."""

    method: Method
    n: int = 3

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InputError(f"an average is taken of at least 1 fit, got n={self.n}")

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        """Fit number i has seed `1000 · budget.seed + i` and its share of the budget's seconds."""
        countdown, members = Countdown(budget), list[Predictor]()
        for number in range(self.n):
            share = countdown.part(1 / (self.n - number))
            members.append(self.method.fit(train, valid, replace(share, seed=1000 * budget.seed + number)))
        return FittedAverage(tuple(members))


@dataclass(frozen=True)
class FittedAverage:
    """Attributes: notes: What of the method is left out, if anything."""

    members: tuple[Predictor, ...]
    notes: Mapping[str, object] = field(default_factory=dict)

    def predict(self, examples: Examples) -> NDArray[np.generic]:
        answers = [member.predict(examples) for member in self.members]
        return mixed(examples.task.type, answers)

    def for_copies(self, whole: Examples) -> Answering:
        """The mean of what each member answers about copies."""
        members = [predicting_copies(member, whole) for member in self.members]
        return lambda examples, sources: mixed(examples.task.type, [member(examples, sources) for member in members])

    def refit(self, examples: Examples) -> FittedAverage:
        return FittedAverage(tuple(refitted(member, examples) for member in self.members), self.notes)
