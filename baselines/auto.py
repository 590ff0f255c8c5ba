"""What to name first: a plain reference, trees and a network, and the mixture of their answers that validation likes best.

Methods are fitted in the order given, cheap ones first, each with a share of the time that is left. Weights come from greedy
selection with replacement (Caruana et al., 2004): the answer that improves validation most is added again and again.
Invariant: weights rest on validation alone, and what fails or finds no time is left out and named.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.ending import end_if_signalled
from relbench_harness.errors import InputError
from relbench_harness.features.copied_rows import Answering, predicting_copies
from relbench_harness.protocol.method import Budget, Countdown, Examples, Method, Predictor, notes_of, refitted
from relbench_harness.protocol.mixture import greedy_weights, mixed
from relbench_harness.timing import phase

from .quality import label_scale, quality
from .remembered import Remembered

FEWEST_SECONDS = 2.0
"""With less time than this no further method is begun."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Auto:
    """The mixture of several methods' answers.

    Attributes:
        members: Name → method, in the order in which they are fitted.
        shares: Name → the share of the seconds left that the method may take; all of them where it is not named.
    """

    members: Mapping[str, Method]
    shares: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.members:
            raise InputError("auto needs at least one method among its members")
        for name, share in self.shares.items():
            if name not in self.members or not 0 < share <= 1:
                raise InputError(f"auto: share {name}={share} names no member, or does not lie between 0 and 1")

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Remembered:
        countdown, unlabelled = Countdown(budget), replace(valid, labels=None)
        fitted, answers = dict[str, Predictor](), dict[str, NDArray[np.generic]]()
        left_out, failure = list[str](), None
        for name, method in self.members.items():
            if fitted and countdown.left < FEWEST_SECONDS:
                left_out.append(name)
                continue
            try:
                predictor = method.fit(train, valid, countdown.part(self.shares.get(name, 1.0)))
                with phase("predict"):
                    answers[name] = predictor.predict(unlabelled)
                fitted[name] = predictor
            except Exception as error:
                end_if_signalled()
                log.warning("auto answers without %s: %s", name, error)
                left_out.append(name)
                failure = error
        if not fitted:
            assert failure is not None
            raise failure
        with phase("tune"):
            weights = weights_by_validation(valid, list(answers.values()), label_scale(train))
        parts = {name: (fitted[name], weight) for name, weight in zip(fitted, weights, strict=True) if weight}
        mixture = mixed(valid.task.type, [answers[name] for name in parts], [weight for _, weight in parts.values()])
        mixed_methods = FittedAuto(parts, tuple(left_out))
        return Remembered(mixed_methods, valid, mixture, mixed_methods.notes)


@dataclass(frozen=True)
class FittedAuto:
    """Attributes: parts: Name → a fitted method and its weight."""

    parts: Mapping[str, tuple[Predictor, float]]
    left_out: tuple[str, ...]

    @property
    def notes(self) -> Mapping[str, object]:
        found: dict[str, object] = {"weights": {name: weight for name, (_, weight) in self.parts.items()}}
        of_members = {name: dict(notes) for name, (one, _) in self.parts.items() if (notes := notes_of(one))}
        if of_members:
            found["members"] = of_members
        return {**found, "left_out": list(self.left_out)} if self.left_out else found

    def predict(self, examples: Examples) -> NDArray[np.generic]:
        answers = [predictor.predict(examples) for predictor, _ in self.parts.values()]
        return mixed(examples.task.type, answers, [weight for _, weight in self.parts.values()])

    def for_copies(self, whole: Examples) -> Answering:
        """The mixture of what each part answers about copies."""
        parts = [(predicting_copies(predictor, whole), weight) for predictor, weight in self.parts.values()]
        weights = [weight for _, weight in parts]
        return lambda examples, sources: mixed(examples.task.type, [part(examples, sources) for part, _ in parts], weights)

    def refit(self, examples: Examples) -> FittedAuto:
        """The same mixture of methods that learn again on more labels."""
        again = {name: (refitted(predictor, examples), weight) for name, (predictor, weight) in self.parts.items()}
        return replace(self, parts=again)


def weights_by_validation(valid: Examples, answers: Sequence[NDArray[np.generic]], scale: float) -> list[float]:
    """The weight of each answer to `valid` by greedy selection; equal ones without validation.

    Args:
        scale: See `quality`.
    """
    if not len(valid):
        return [1 / len(answers)] * len(answers)
    return greedy_weights(valid.task.type, answers, lambda mixture: quality(valid, mixture, scale))
