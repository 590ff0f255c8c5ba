"""Intervals about a regression's predictions from its residuals on validation: split conformal prediction.

Of m residuals the ⌈(m + 1) a⌉-th least is the offset of a level a of one half or more, and the ⌊(m + 1) a⌋-th that of a lower one. If validation
and the examples to predict are exchangeable, a label is at or below the upper quantile with at least its level, and below the lower one with at
most its level. Where residuals are larger for large predictions, each group of predictions has residuals of its own.

Invariant: every group has enough residuals for each level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from relbench_harness.protocol.intervals import Intervals

from .folds import entity_folds, is_above_noise

GROUPS = 10
"""At most so many groups of predictions."""
FEWEST = 50
"""Residuals of a group, at least."""


def fewest(levels: Sequence[float]) -> int:
    """How many residuals the levels need."""
    return max(math.ceil(max(level, 1 - level) / min(level, 1 - level) - 1e-9) for level in levels)


def fit_intervals(
    predictions: NDArray[np.float64], labels: NDArray[np.float64], levels: Sequence[float], groups: int = 1
) -> Intervals | None:
    """Intervals from residuals, None where they are too few; `groups` of about as many predictions each."""
    if len(labels) < fewest(levels) * groups:
        return None
    edges = _edges(predictions, groups)
    group = np.searchsorted(edges, predictions, side="right")
    residuals = labels - predictions
    offsets = [_order_statistics(np.sort(residuals[group == g]), levels) for g in range(len(edges) + 1)]
    lowest = 0.0 if labels.min() >= 0 else -math.inf
    return Intervals(tuple(levels), tuple(edges.tolist()), tuple(offsets), lowest)


def choose_intervals(
    predictions: NDArray[np.float64],
    labels: NDArray[np.float64],
    entity: NDArray[np.int64],
    levels: Sequence[float],
    noise: float,
) -> Intervals | None:
    """One group of predictions for all, or several where that has a smaller quantile loss on entities not fitted on, by more than noise."""
    plain = fit_intervals(predictions, labels, levels)
    groups = min(GROUPS, len(labels) // max(2 * FEWEST, 2 * fewest(levels)))
    if plain is None or groups < 2:
        return plain
    losses = np.zeros((2, len(labels)))
    for fitted_on, judged in entity_folds(entity, 0):
        for i, count in enumerate((1, groups)):
            found = fit_intervals(predictions[fitted_on], labels[fitted_on], levels, count)
            if found is None:
                return plain
            losses[i, judged] = quantile_losses(found.around(predictions[judged]), labels[judged], levels)
    grouped = fit_intervals(predictions, labels, levels, groups)
    return grouped if grouped is not None and is_above_noise(losses[0] - losses[1], entity, noise) else plain


def quantile_losses(
    quantiles: NDArray[np.float64], labels: NDArray[np.float64], levels: Sequence[float]
) -> NDArray[np.float64]:
    """(n,) sum over the levels of the loss that each quantile minimises."""
    above, level = labels[:, None] - quantiles, np.asarray(levels)
    return np.asarray(np.maximum(level * above, (level - 1) * above).sum(axis=1))


def _edges(predictions: NDArray[np.float64], groups: int) -> NDArray[np.float64]:
    """Ascending edges between groups of at least `FEWEST` predictions; equal predictions are in one group."""
    wanted = np.unique(np.quantile(predictions, np.arange(1, groups) / groups))
    kept: list[float] = []
    ordered, grouped = np.sort(predictions), 0
    for edge in wanted:
        smaller = int(np.searchsorted(ordered, edge, side="left"))
        if min(smaller - grouped, len(ordered) - smaller) >= FEWEST:
            kept.append(float(edge))
            grouped = smaller
    return np.asarray(kept)


def _order_statistics(ascending: NDArray[np.float64], levels: Sequence[float]) -> tuple[float, ...]:
    size = len(ascending)
    ranks = [math.ceil((size + 1) * a - 1e-9) if a >= 0.5 else math.floor((size + 1) * a + 1e-9) for a in levels]
    return tuple(float(ascending[min(max(rank, 1), size) - 1]) for rank in ranks)
