"""Boosters that differ by seed alone, averaged.

The mean is taken of margins rather than of predictions, as contributions need, so it is part of boosted trees: `Averaged`
averages the predictions of any method.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.progress import track
from relbench_harness.protocol.method import LARGEST_SEED, Budget, Countdown

from .booster import Booster, TreeParameters
from .dataset import Real, TreeDataset
from .early_stopping import typical_n_estimators
from .objectives import Objective, signed_sqrt

FEWEST_SECONDS = 0.05
"""With less time than this no further booster is begun."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ensemble:
    """Boosters whose mean margin is the answer."""

    boosters: tuple[Booster | ConstantBooster, ...]

    @property
    def n_estimators(self) -> tuple[int, ...]:
        return tuple(booster.n_estimators for booster in self.boosters)

    def margins(self, values: Real) -> NDArray[np.float64]:
        """(n, outputs)."""
        return np.asarray(np.mean([booster.margins(values) for booster in self.boosters], axis=0))

    def contributions(self, values: Real) -> NDArray[np.float64]:
        """(n, outputs, f + 1), which add up to `margins`."""
        return np.asarray(np.mean([booster.contributions(values) for booster in self.boosters], axis=0))


@dataclass(frozen=True)
class ConstantBooster:
    """Where there is nothing to learn from: one label value only, or no feature at all. `margin` is (outputs,)."""

    margin: NDArray[np.float64]
    n_estimators: int = 1

    def margins(self, values: Real) -> NDArray[np.float64]:
        return np.tile(self.margin, (len(values), 1))

    def contributions(self, values: Real) -> NDArray[np.float64]:
        found = np.zeros((len(values), len(self.margin), values.shape[1] + 1))
        found[:, :, -1] = self.margin
        return found


def fit_booster(
    parameters: TreeParameters, objective: Objective, train: TreeDataset, valid: TreeDataset | None, budget: Budget
) -> Booster:
    """One booster of at most `parameters.n_estimators` rounds, fewer if `valid` says so."""
    if objective.loss == "root":
        objective = replace(objective, loss="squared")
        train = replace(train, labels=signed_sqrt(train.labels)).demeaned_by_time()
        valid = None if valid is None else replace(valid, labels=signed_sqrt(valid.labels))
    # only the library that is needed is loaded
    if parameters.library == "xgboost":
        from .xgboost_booster import fit_xgboost

        return fit_xgboost(parameters, objective, train, valid, budget)
    from .lightgbm_booster import fit_lightgbm

    return fit_lightgbm(parameters, objective, train, valid, budget)


def fit_ensemble(
    parameters: TreeParameters,
    objective: Objective,
    train: TreeDataset,
    valid: TreeDataset | None,
    n_estimators: Sequence[int],
    budget: Budget,
) -> Ensemble:
    """One booster for each of `n_estimators`, its most rounds, from a seed of its own.

    Without early stopping all are kept. Where `valid` has no row (its labels are all unknown to training), nothing says when to
    stop: each booster has as many rounds as are typical for so many training examples. Where the budget's seconds are short
    the ensemble is smaller: one booster that ends by itself is worth more than several cut off.
    """
    if train.values.shape[1] == 0 or (objective.loss != "rank" and len(np.unique(train.labels)) < 2):
        return Ensemble((ConstantBooster(objective.constant_margins(train.labels)),))
    if not parameters.early_stopping_rounds:
        valid = None
    if valid is not None and len(valid.labels) == 0:
        typical = round(typical_n_estimators(train, parameters.learning_rate))
        log.warning(
            "no validation label is known to training: boosting ends after %d rounds, without early stopping", typical
        )
        valid, n_estimators = None, [min(most, typical) for most in n_estimators]
    boosters, countdown, longest = list[Booster | ConstantBooster](), Countdown(budget), 0.0
    for number, most in enumerate(track(n_estimators, "boosters")):
        left = countdown.left
        if boosters and left < max(longest, FEWEST_SECONDS):
            break
        seeded = replace(countdown.part(), seed=(1000 * budget.seed + number) % (LARGEST_SEED + 1))
        boosters.append(fit_booster(replace(parameters, n_estimators=most), objective, train, valid, seeded))
        longest = max(longest, left - countdown.left)
    return Ensemble(tuple(boosters))
