"""Maps of probabilities to calibrated ones: as they are, Platt's logistic one, or isotonic, chosen on validation.

Invariant: a map never reverses the order of two probabilities, so that AUROC, average precision and lift stay as they were (equal numbers of
a computer aside).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .folds import entity_folds, is_above_noise

KEPT_ORDER = 1e-4
"""Share of the given probability in a calibrated one, which keeps apart what a map would make equal, and away from 0 and 1."""
FEWEST = 10
"""With fewer positives or negatives than this, probabilities stay as they are."""
CLIPPED = 1e-9
SMALLEST_SLOPE = 1e-3
"""Log odds that would fall with the given ones do not: such a map is all but constant."""
STEPS = 30


class ProbabilityMap(Protocol):
    """Calibrates probabilities."""

    def __call__(self, given: NDArray[np.float64], /) -> NDArray[np.float64]:
        """(n,) → (n,)"""
        ...


@dataclass(frozen=True)
class AsTheyAre:
    """Leaves probabilities alone."""

    def __call__(self, given: NDArray[np.float64]) -> NDArray[np.float64]:
        return given


@dataclass(frozen=True)
class Platt:
    """Log odds = slope × given log odds + intercept."""

    slope: float
    intercept: float

    def __call__(self, given: NDArray[np.float64]) -> NDArray[np.float64]:
        mapped = 1 / (1 + np.exp(-(self.slope * _log_odds(given) + self.intercept)))
        return (1 - KEPT_ORDER) * mapped + KEPT_ORDER * given


@dataclass(frozen=True)
class Isotonic:
    """The best map that never falls, linear between the points (x, y)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]

    def __call__(self, given: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((1 - KEPT_ORDER) * np.interp(given, self.x, self.y) + KEPT_ORDER * given)


def fit_platt(given: NDArray[np.float64], labels: NDArray[np.float64]) -> Platt:
    """Maximum likelihood with Platt's softened labels, by Newton's method."""
    positives, negatives = labels.sum(), len(labels) - labels.sum()
    soft = np.where(labels > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    inputs = np.stack([_log_odds(given), np.ones(len(given))], axis=1)
    base = float(np.log((positives + 1) / (negatives + 1)))
    slope, intercept = _newton(inputs, soft, np.asarray([0.0, base]))
    if slope >= SMALLEST_SLOPE:
        return Platt(float(slope), float(intercept))
    return Platt(SMALLEST_SLOPE, float(base - SMALLEST_SLOPE * inputs[:, 0].mean()))


def _newton(inputs: NDArray[np.float64], soft: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights of a logistic regression. Each step is halved until the loss falls."""
    ridge = 1e-6 * np.eye(2)

    def loss(weights: NDArray[np.float64]) -> float:
        margins = inputs @ weights
        return float((np.logaddexp(0, margins) - soft * margins).sum())

    weights, best = start, loss(start)
    for _ in range(STEPS):
        mean = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (mean - soft)
        step = np.linalg.solve((inputs * (mean * (1 - mean))[:, None]).T @ inputs + ridge, slope)
        while (now := loss(weights - step)) > best and np.abs(step).max() > CLIPPED:
            step = step / 2
        if now >= best:
            break
        weights, best = weights - step, now
    return weights


def fit_isotonic(given: NDArray[np.float64], labels: NDArray[np.float64]) -> Isotonic:
    """Pooled adjacent violators, each block softened by one example of the base rate, which no block of a few can be far from."""
    from sklearn.isotonic import IsotonicRegression, isotonic_regression

    fitted = IsotonicRegression(out_of_bounds="clip").fit(given, labels)
    x, y = np.asarray(fitted.X_thresholds_, np.float64), np.asarray(fitted.y_thresholds_, np.float64)
    levels = np.unique(y)
    block = np.searchsorted(levels, fitted.predict(given)).clip(max=len(levels) - 1)
    sizes = np.bincount(block, minlength=len(levels)).astype(np.float64)
    softened = isotonic_regression((levels * sizes + labels.mean()) / (sizes + 1), sample_weight=sizes + 1)
    return Isotonic(x, softened[np.searchsorted(levels, y)])


MAPS: Mapping[str, Callable[[NDArray[np.float64], NDArray[np.float64]], ProbabilityMap]] = {
    "platt": fit_platt,
    "isotonic": fit_isotonic,
}
PLAIN = "as they are"


class Chosen(NamedTuple):
    """The map that was chosen, its name, and the cross-fitted log loss of each."""

    map: ProbabilityMap
    name: str
    log_loss: Mapping[str, float]


def choose_map(
    given: NDArray[np.float64], labels: NDArray[np.float64], entity: NDArray[np.int64], noise: float, seed: int
) -> Chosen:
    """The map with the least log loss on entities it was not fitted on, if that is below the plain one by more than noise.

    Args:
        given: (n,) predictions; where some are no probabilities, all stay as they are.
        labels: (n,) 0 or 1.
        entity: (n,) whom each example is about.
        noise: How many standard errors count as noise.
    """
    rare = min(labels.sum(), len(labels) - labels.sum())
    if rare < FEWEST or given.min() < 0 or given.max() > 1:
        return Chosen(AsTheyAre(), PLAIN, {})
    crossed = {name: np.array(given) for name in MAPS}
    for fitted_on, judged in entity_folds(entity, seed):
        for name, fit in MAPS.items():
            if 0 < labels[fitted_on].sum() < len(fitted_on):
                crossed[name][judged] = fit(given[fitted_on], labels[fitted_on])(given[judged])
    losses = {name: _log_losses(values, labels) for name, values in {PLAIN: given, **crossed}.items()}
    mean = {name: round(float(values.mean()), 6) for name, values in losses.items()}
    best = min(MAPS, key=lambda name: float(losses[name].mean()))
    if not is_above_noise(losses[PLAIN] - losses[best], entity, noise):
        return Chosen(AsTheyAre(), PLAIN, mean)
    return Chosen(MAPS[best](given, labels), best, mean)


def _log_odds(given: NDArray[np.float64]) -> NDArray[np.float64]:
    share = np.clip(given, CLIPPED, 1 - CLIPPED)
    return np.asarray(np.log(share) - np.log1p(-share))


def _log_losses(given: NDArray[np.float64], labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) of each example, clipped as the metric is."""
    share = np.clip(given, 1e-15, 1 - 1e-15)
    return np.asarray(-np.where(labels > 0, np.log(share), np.log1p(-share)))
