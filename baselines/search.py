"""A declared space of hyperparameters, and which of its settings to try next: Optuna's tree-structured Parzen estimator.

The estimator (Bergstra et al. 2011) draws settings that resemble the better of those tried before. Invariant: what is drawn
rests on the seed and on the qualities that were reported, and on no clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.trial import Trial, TrialState

from relbench_harness.errors import InputError

Choice = Sequence[object] | Mapping[str, float]
"""A list of values, or `{low, high}` with `log` (spread evenly over orders of magnitude) and `whole` (whole numbers only) at will."""
MOST_RANDOM = 8
"""So many settings at most, and a third of all, are drawn at random before the estimator has enough to go by."""
LEAST_COMPARED = 4
"""A setting is given up only where so many others have been tried to their end."""


def check_space(name: str, choice: Choice) -> None:
    """Raises `InputError` where `choice` is no space of the hyperparameter `name`."""
    if not isinstance(choice, Mapping):
        if isinstance(choice, str) or not len(choice):
            raise InputError(f"the space of {name!r} must be a list of values or have low and high, got {choice!r}")
        return
    unknown = set(choice) - {"low", "high", "log", "whole"}
    if unknown or not {"low", "high"} <= set(choice):
        raise InputError(f"the space of {name!r} has low, high and maybe log and whole, got {sorted(choice)}")
    if not choice["low"] <= choice["high"] or (choice.get("log") and choice["low"] <= 0):
        raise InputError(f"the space of {name!r} needs low ≤ high, above 0 where log, got {dict(choice)}")
    if choice.get("whole") and math.ceil(choice["low"]) > math.floor(choice["high"]):
        raise InputError(f"the space of {name!r} holds no whole number, got {dict(choice)}")


@dataclass(frozen=True)
class Setting:
    """One setting of the space.

    Attributes:
        values: Field → value.
    """

    values: Mapping[str, object]
    _trial: Trial

    def is_hopeless(self, quality: float) -> bool:
        """Whether a first look at it is worse than the median of those that were tried to their end."""
        self._trial.report(quality, step=0)
        return self._trial.should_prune()


@dataclass(frozen=True)
class Search:
    """A search of `space`; higher qualities are better."""

    space: Mapping[str, Choice]
    seed: int
    trials: int
    _study: optuna.Study = field(init=False)

    def __post_init__(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = TPESampler(n_startup_trials=min(MOST_RANDOM, self.trials // 3 + 1), seed=self.seed)
        pruner = MedianPruner(n_startup_trials=LEAST_COMPARED)
        study = optuna.create_study(sampler=sampler, pruner=pruner, direction="maximize")
        object.__setattr__(self, "_study", study)

    def given(self, values: Mapping[str, Any]) -> Setting:
        """The setting that a method has already. Of a space that does not hold it, nothing is learned from it."""
        positions = {name: _position(choice, values[name]) for name, choice in self.space.items()}
        known = {name: position for name, position in positions.items() if position is not None}
        if len(known) < len(positions):
            return Setting(values, self._study.ask())
        self._study.enqueue_trial(known)
        return Setting(values, self._ask())

    def drawn(self) -> Setting:
        """The setting to try next."""
        trial = self._ask()
        return Setting({name: _value(self.space[name], drawn) for name, drawn in trial.params.items()}, trial)

    def tell(self, setting: Setting, quality: float | None) -> None:
        """Takes note of how good `setting` is; None where it was given up."""
        if quality is None:
            self._study.tell(setting._trial, state=TrialState.PRUNED)
        else:
            self._study.tell(setting._trial, quality)

    def _ask(self) -> Trial:
        return self._study.ask({name: _distribution(choice) for name, choice in self.space.items()})


def _distribution(choice: Choice) -> BaseDistribution:
    """The positions of `choice`; those of a list are the places in it, which have an order where its numbers ascend."""
    if not isinstance(choice, Mapping):
        return IntDistribution(0, len(choice) - 1) if _ascends(choice) else CategoricalDistribution(range(len(choice)))
    log = bool(choice.get("log"))
    if choice.get("whole"):
        return IntDistribution(math.ceil(choice["low"]), math.floor(choice["high"]), log=log)
    return FloatDistribution(float(choice["low"]), float(choice["high"]), log=log)


def _ascends(values: Sequence[object]) -> bool:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return len(numbers) == len(values) and all(one < other for one, other in pairwise(numbers))


def _value(choice: Choice, position: Any) -> object:
    return position if isinstance(choice, Mapping) else choice[position]


def _position(choice: Choice, value: Any) -> Any:
    """Where `value` lies in `choice`; None where it does not."""
    if not isinstance(choice, Mapping):
        return list(choice).index(value) if value in choice else None
    inside = isinstance(value, int | float) and choice["low"] <= value <= choice["high"]
    if not inside or (choice.get("whole") and value != round(value)):
        return None
    return round(value) if choice.get("whole") else float(value)
