"""A learned method that gives way where validation says that a trivial one is better.

Invariant: what is compared are answers to validation, which the method may choose by; test plays no part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.protocol.method import Budget, Countdown, Examples, Method, notes_of

from .constant import Constant
from .label_history import LabelHistory
from .quality import label_scale, quality
from .remembered import Remembered

DRAWS = 50
"""Bootstrap samples of validation by which the noise of a difference is judged."""
MOST_JUDGED = 10_000
"""Of more validation examples than this so many are drawn for each sample."""


@dataclass(frozen=True)
class Guard:
    """What stands around a method unless `guard=none`.

    Attributes:
        noise: By how many standard errors a trivial method must be better on validation. Less would give way too often:
            a few hundred examples of validation do not tell a method that is slightly better from one that is not.
    """

    noise: float = 1.0

    def around(self, method: Method) -> Method:
        """`method`, guarded if it is not trivial itself."""
        return method if isinstance(method, Constant | LabelHistory) else Guarded(method, self.noise)


@dataclass(frozen=True)
class NoGuard:
    """Leaves every method as it is."""

    def around(self, method: Method) -> Method:
        return method


@dataclass(frozen=True)
class Guarded:
    """`method`; `constant` or `label_history` where the better of these two beats it on validation by more than noise.

    Attributes:
        noise: See `Guard`.
    """

    method: Method
    noise: float = 1.0

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Remembered:
        """The trivial methods learn first; `method` has the seconds that they leave."""
        countdown = Countdown(budget)
        trivial: dict[str, Method] = {"constant": Constant(), "label_history": LabelHistory()}
        fitted = {name: method.fit(train, valid, budget) for name, method in trivial.items()}
        learned = self.method.fit(train, valid, countdown.part())
        unlabelled = replace(valid, labels=None)
        answer = learned.predict(unlabelled)
        if len(valid):
            scale = label_scale(train)
            others = {name: predictor.predict(unlabelled) for name, predictor in fitted.items()}
            best = max(others, key=lambda name: quality(valid, others[name], scale))
            if is_better(valid, (others[best], answer), scale, self.noise, budget.seed):
                return Remembered(fitted[best], valid, others[best], {**notes_of(learned), "fallback": best})
        return Remembered(learned, valid, answer, notes_of(learned))


def is_better(
    valid: Examples, answers: tuple[NDArray[np.generic], NDArray[np.generic]], scale: float, noise: float, seed: int
) -> bool:
    """Whether the first answer to `valid` is better than the second by more than `noise` standard errors (paired bootstrap).

    Args:
        scale: See `quality`.
    """
    random, size = np.random.default_rng([seed, 41]), min(len(valid), MOST_JUDGED)
    gains = []
    for _ in range(DRAWS):
        drawn = np.sort(random.integers(len(valid), size=size))
        one, other = (quality(valid.take(drawn), answer[drawn], scale) for answer in answers)
        gains.append(one - other)
    # a sample of fewer examples varies more than the whole
    error = np.std(gains, ddof=1) * np.sqrt(size / len(valid))
    gain = quality(valid, answers[0], scale) - quality(valid, answers[1], scale)
    return bool(gain > noise * error)
