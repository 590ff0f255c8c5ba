"""Any method with hyperparameters chosen by random search over a declared space, on validation alone, within the budget.

Random search (Bergstra and Bengio 2012) needs no model of the space and no further dependency. The first trial is the method
as it was given, so tuning never does worse on validation than not tuning.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError, nearest
from relbench_harness.features.block import Block
from relbench_harness.features.cached import Cached, FeatureCache
from relbench_harness.protocol.method import Budget, Countdown, Examples, Method, Predictor
from relbench_harness.timing import phase

from .quality import quality

Choice = Sequence[object] | Mapping[str, float]
"""A list of values, or `{low, high}` with `log` (spread evenly over orders of magnitude) and `whole` (round) at will."""


@dataclass(frozen=True)
class Tuned:
    """The best on validation of `budget.trials` settings of `method`, the given one among them.

    Attributes:
        method: A dataclass whose fields are its hyperparameters.
        space: Field → what it may be.
    """

    method: Method
    space: Mapping[str, Choice]

    def __post_init__(self) -> None:
        if not is_dataclass(self.method) or isinstance(self.method, type):
            raise InputError(f"only a method with declared fields can be tuned, not {self.method!r}")
        known = [field.name for field in fields(self.method)]
        for name, choice in self.space.items():
            if name not in known:
                raise InputError(f"{type(self.method).__name__} has no hyperparameter {name!r}; {nearest(name, known)}")
            _check(name, choice)

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        """Tries settings until the trials or the seconds are used up; the first is always finished.

        Features do not change from trial to trial, so they are computed once and kept until the last.
        """
        random = np.random.default_rng([budget.seed, 23])
        countdown, longest = Countdown(budget), 0.0
        best: tuple[float, Predictor] | None = None
        with FeatureCache() as cache:
            # recommendations read candidates rather than features
            ranks = train.task.type is TaskType.RECOMMENDATION
            base: Any = self.method if ranks else with_cached_features(self.method, cache)
            for trial in range(max(budget.trials, 1)):
                start = time.perf_counter()
                if best is not None and countdown.left < longest:
                    break
                drawn = {} if trial == 0 else {name: draw(choice, random) for name, choice in self.space.items()}
                with phase("tune"):
                    predictor = replace(base, **drawn).fit(train, valid, countdown.part())
                    found = quality(valid, predictor.predict(replace(valid, labels=None)))
                if best is None or found > best[0]:
                    best = (found, predictor)
                longest = max(longest, time.perf_counter() - start)
        assert best is not None
        return best[1]


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


def draw(choice: Choice, random: np.random.Generator) -> object:
    """One value of `choice`."""
    if not isinstance(choice, Mapping):
        return choice[int(random.integers(len(choice)))]
    low, high = float(choice["low"]), float(choice["high"])
    value = math.exp(random.uniform(math.log(low), math.log(high))) if choice.get("log") else random.uniform(low, high)
    return round(value) if choice.get("whole") else value


def _check(name: str, choice: Choice) -> None:
    if not isinstance(choice, Mapping):
        if isinstance(choice, str) or not len(choice):
            raise InputError(f"the space of {name!r} must be a list of values or have low and high, got {choice!r}")
        return
    unknown = set(choice) - {"low", "high", "log", "whole"}
    if unknown or not {"low", "high"} <= set(choice):
        raise InputError(f"the space of {name!r} has low, high and maybe log and whole, got {sorted(choice)}")
    if not choice["low"] <= choice["high"] or (choice.get("log") and choice["low"] <= 0):
        raise InputError(f"the space of {name!r} needs low ≤ high, above 0 where log, got {dict(choice)}")
