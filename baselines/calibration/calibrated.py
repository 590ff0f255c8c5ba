"""A method whose answers say how sure they are: calibrated probabilities, or quantiles beside a regression's predictions.

What is fitted here is fitted on answers to validation, and held fixed where the method learns again. Invariant: a regression's predictions,
and the order of probabilities, are those of the method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType
from relbench_harness.protocol.intervals import NOTE, Intervals, check_levels
from relbench_harness.protocol.method import Budget, Examples, Method, Predictor, notes_of, refitted

from .probabilities import ProbabilityMap, choose_map
from .residuals import choose_intervals, fewest

QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Plain:
    """Leaves every method as it is."""

    def around(self, method: Method) -> Method:
        return method


@dataclass(frozen=True)
class Calibrate:
    """What stands around a method with `answers=calibrated`.

    Attributes:
        quantiles: Levels of the quantiles of a regression, ascending.
        noise: By how many standard errors a map, or groups of residuals, must be better on validation.
    """

    quantiles: Sequence[float] = QUANTILES
    noise: float = 1.0

    def __post_init__(self) -> None:
        check_levels(self.quantiles)

    def around(self, method: Method) -> Method:
        return Calibrated(method, tuple(self.quantiles), self.noise)


@dataclass(frozen=True)
class Calibrated:
    """`method` with calibrated answers. Classes and recommendations stay as they are.

    Attributes:
        quantiles, noise: See `Calibrate`.
    """

    method: Method
    quantiles: Sequence[float] = QUANTILES
    noise: float = 1.0

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        learned, kind = self.method.fit(train, valid, budget), train.task.type
        if kind not in (TaskType.REGRESSION, TaskType.BINARY, TaskType.MULTILABEL) or not len(valid):
            return learned
        answer = np.asarray(learned.predict(replace(valid, labels=None)), dtype=np.float64)
        notes = dict(notes_of(learned))
        if kind is TaskType.REGRESSION:
            found = choose_intervals(answer, valid.values, valid.entity, self.quantiles, self.noise)
            few = f"none: {len(valid)} examples of validation, {fewest(self.quantiles)} are needed"
            return PredictorWithIntervals(learned, found, {**notes, NOTE: few if found is None else found.noted()})
        columns = zip(_columns(answer), _columns(valid.values), strict=True)
        chosen = [choose_map(given, labels, valid.entity, self.noise, budget.seed) for given, labels in columns]
        names, losses = [one.name for one in chosen], [dict(one.log_loss) for one in chosen]
        said = {"chosen": names, "log_loss": losses} if answer.ndim > 1 else {"chosen": names[0], "log_loss": losses[0]}
        return CalibratedPredictor(learned, tuple(one.map for one in chosen), {**notes, "calibration": said})


def _columns(values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    return list(values.T) if values.ndim > 1 else [values]


@dataclass(frozen=True)
class CalibratedPredictor:
    """`predictor`, whose probabilities pass through `maps`, one for each label."""

    predictor: Predictor
    maps: tuple[ProbabilityMap, ...]
    notes: Mapping[str, object]

    def predict(self, examples: Examples) -> NDArray[np.float64]:
        given = np.asarray(self.predictor.predict(examples), dtype=np.float64)
        mapped = [one(column) for one, column in zip(self.maps, _columns(given), strict=True)]
        return np.stack(mapped, axis=1) if given.ndim > 1 else mapped[0]

    def refit(self, examples: Examples) -> Predictor:
        """The same method fitted again on more labels, through the same maps."""
        return replace(self, predictor=refitted(self.predictor, examples))


@dataclass(frozen=True)
class PredictorWithIntervals:
    """`predictor` as it is, and the intervals about its predictions."""

    predictor: Predictor
    intervals: Intervals | None
    notes: Mapping[str, object]

    def predict(self, examples: Examples) -> NDArray[np.generic]:
        return self.predictor.predict(examples)

    def refit(self, examples: Examples) -> Predictor:
        """The same method fitted again on more labels, with the same intervals."""
        return replace(self, predictor=refitted(self.predictor, examples))
