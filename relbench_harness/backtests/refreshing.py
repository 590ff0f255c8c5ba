"""When a model learns again: never, at every origin anew, or at every origin with what was chosen kept.

Invariant: what is handed to a method at an origin comes from the stages of that origin, as in a run, so no row or label that lies
after it is learned from, whatever was learned before. A model that learned earlier answers with the classes, the labels and
the end of training that it had then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from relbench_harness.backtests.plan import REFRESH
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Budget, Countdown, Examples, Method, Predictor, Refittable
from relbench_harness.protocol.process_state import process_state
from relbench_harness.protocol.stages import Seen, Stages
from relbench_harness.protocol.work import FitOn
from relbench_harness.timing import phase

Made = TypeVar("Made")


@dataclass(frozen=True)
class Standing:
    """The model that answers at an origin.

    Attributes:
        predictor: What answers.
        chosen: The same as it was fitted with validation: from it a model learns again.
        origin: Number of the origin at which it learned last, from 0.
        seen: What the examples that it answers share with those that it learned from.
    """

    predictor: Predictor
    chosen: Predictor
    origin: int
    seen: Seen


@dataclass(frozen=True)
class Teacher:
    """Fits a method at an origin.

    Attributes:
        fit_on: `train+val` learns again on all that is known at the origin, once choices are made on validation; a method
            that cannot learn again has the training labels alone.
    """

    method: Method
    budget: Budget
    fit_on: FitOn = "train+val"

    def anew(self, stages: Stages, origin: int) -> Standing:
        """A model fitted to what is known at the origin."""
        train, valid = _labels(lambda: (stages.examples("train"), stages.examples("val")))
        again = self.fit_on == "train+val"
        with process_state(self.budget.seed, self.budget.threads):
            with phase("fit"):
                chosen = self.method.fit(train, valid, Countdown(self.budget).part(0.5 if again else 1.0))
            if not again or not isinstance(chosen, Refittable):
                return Standing(chosen, chosen, origin, _seen(train))
            both = _labels(stages.final_training)
            with phase("fit"):
                return Standing(chosen.refit(both), chosen, origin, _seen(both))

    def again(self, before: Standing, stages: Stages, origin: int) -> Standing:
        """The model `before` after it learned again on what is known now, with all that was chosen kept.

        It is fitted anew where the labels have other classes than it knows.

        Raises:
            InputError: The method cannot learn again.
        """
        if not isinstance(before.chosen, Refittable):
            raise InputError(f"{type(before.chosen).__name__} cannot learn again on more labels; use refresh=never,every")
        if (stages.classes, stages.width) != (before.seen.classes, before.seen.width):
            return self.anew(stages, origin)
        known = _labels(lambda: stages.examples("train") if self.fit_on == "train" else stages.final_training())
        with process_state(self.budget.seed, self.budget.threads), phase("fit"):
            return Standing(before.chosen.refit(known), before.chosen, origin, _seen(known))


def _labels(make: Callable[[], Made]) -> Made:
    with phase("labels"):
        return make()


def _seen(examples: Examples) -> Seen:
    return Seen(examples.regime, examples.fit_end, examples.classes, examples.width, examples.training)


def never(teacher: Teacher, before: Standing, stages: Stages, origin: int) -> Standing:
    """The model as it is."""
    return before


def every(teacher: Teacher, before: Standing, stages: Stages, origin: int) -> Standing:
    """A model fitted anew, with choices made anew."""
    return teacher.anew(stages, origin)


def warm(teacher: Teacher, before: Standing, stages: Stages, origin: int) -> Standing:
    """The model fitted again with the choices of the first origin."""
    return teacher.again(before, stages, origin)


Policy = Callable[[Teacher, Standing, Stages, int], Standing]
POLICIES: Mapping[str, Policy] = MappingProxyType(dict(zip(REFRESH, (never, every, warm), strict=True)))
"""Name → what follows the first origin, at which every policy fits."""
