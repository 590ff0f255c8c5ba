"""Any method with hyperparameters chosen by a search of a declared space, on validation alone, within the budget.

Invariant: the first setting is the method as it was given, and it is finished, so tuning never does worse on validation than not tuning.
Without a limit on time, the same seed makes the same choice.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError, nearest
from relbench_harness.features.block import Block
from relbench_harness.features.cached import Cached, FeatureCache
from relbench_harness.protocol.method import Budget, Countdown, Examples, Method, notes_of
from relbench_harness.timing import phase

from .quality import quality
from .remembered import Remembered
from .search import Choice, Search, Setting, check_space

LEAST_EXAMPLES = 1000
"""A first look at a setting on fewer examples than this would say too little, so there is none."""


@dataclass(frozen=True)
class Tuned:
    """The best on validation of `budget.trials` settings of `method`, the given one among them.

    Attributes:
        method: A dataclass whose fields are its hyperparameters.
        space: Field → what it may be.
        first_look: The share of the training examples on which a setting is fitted first. One that is then worse than the
            median of the others is given up. 0 fits each on all examples at once, as do tasks with few of them, and
            recommendations: their features are not kept between fits, so a first look would cost as much as the fit.
    """

    method: Method
    space: Mapping[str, Choice]
    first_look: float = 0.1

    def __post_init__(self) -> None:
        if not is_dataclass(self.method) or isinstance(self.method, type):
            raise InputError(f"only a method with declared fields can be tuned, not {self.method!r}")
        known = [field.name for field in fields(self.method)]
        for name, choice in self.space.items():
            if name not in known:
                raise InputError(f"{type(self.method).__name__} has no hyperparameter {name!r}; {nearest(name, known)}")
            check_space(name, choice)
        if not 0 <= self.first_look < 1:
            raise InputError(f"first_look is a share of the training examples, from 0 to below 1, got {self.first_look}")

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Remembered:
        """Tries settings until the trials or the seconds are used up; the first is always finished.

        Features do not change from trial to trial, so they are computed once and kept until the last.
        """
        countdown = Countdown(budget)
        search = Search(self.space, budget.seed, budget.trials)
        with FeatureCache() as cache:
            # recommendations read candidates rather than features
            ranks = train.task.type is TaskType.RECOMMENDATION
            base: Any = self.method if ranks else with_cached_features(self.method, cache)
            trials = _Trials(base, search, train, valid, None if ranks else self._few(train, budget.seed))
            own = {name: getattr(self.method, name) for name in self.space}
            trials.run(search.given(own), countdown)
            for _ in range(1, budget.trials):
                if countdown.left < trials.longest:
                    break
                trials.run(search.drawn(), countdown)
        return trials.chosen()

    def _few(self, train: Examples, seed: int) -> Examples | None:
        """The training examples of a first look."""
        size = int(self.first_look * len(train))
        if size < LEAST_EXAMPLES:
            return None
        return train.take(np.sort(np.random.default_rng([seed, 23]).choice(len(train), size=size, replace=False)))


@dataclass
class _Trials:
    """The settings that were tried, and the best of them.

    Attributes:
        few: The training examples of a first look, if there is one.
        longest: Seconds of the longest trial.
    """

    base: Any
    search: Search
    train: Examples
    valid: Examples
    few: Examples | None
    finished: int = 0
    given_up: int = 0
    longest: float = 0.0
    best: tuple[float, Setting, Remembered] | None = None

    def run(self, setting: Setting, countdown: Countdown) -> None:
        """Tries `setting`, the first one to its end."""
        start = time.perf_counter()
        with phase("tune"):
            if self.few is not None:
                hopeless = setting.is_hopeless(self._fitted(setting, self.few, countdown)[0])
                if hopeless and self.best is not None:
                    self.search.tell(setting, None)
                    self.given_up += 1
                    return
            found, predictor = self._fitted(setting, self.train, countdown)
        self.search.tell(setting, found)
        self.finished += 1
        if self.best is None or found > self.best[0]:
            self.best = (found, setting, predictor)
        self.longest = max(self.longest, time.perf_counter() - start)

    def chosen(self) -> Remembered:
        """The best, with what is to be said of the search."""
        assert self.best is not None
        _, setting, predictor = self.best
        tuned = {"finished": self.finished, "given_up": self.given_up, "chosen": dict(setting.values)}
        return replace(predictor, notes={**predictor.notes, "tuned": tuned})

    def _fitted(self, setting: Setting, train: Examples, countdown: Countdown) -> tuple[float, Remembered]:
        predictor = replace(self.base, **setting.values).fit(train, self.valid, countdown.part())
        answer = np.asarray(predictor.predict(replace(self.valid, labels=None)))
        return quality(self.valid, answer), Remembered(predictor, self.valid, answer, notes_of(predictor))


@runtime_checkable
class ReadsFeatures(Protocol):
    """A method, a dataclass, whose features are blocks."""

    @property
    def features(self) -> Sequence[Block]: ...


def with_cached_features(method: Method, cache: FeatureCache) -> Method:
    """`method` with features that `cache` keeps, if it reads any."""
    if not isinstance(method, ReadsFeatures):
        return method
    changed: Any = method
    return replace(changed, features=tuple(Cached(block, cache) for block in method.features))  # type: ignore[no-any-return]
