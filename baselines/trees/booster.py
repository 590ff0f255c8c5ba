"""Gradient-boosted trees behind one interface: both libraries take the same parameters, data and objectives.

Boosters answer in margins: these are what the libraries' own contributions (SHAP values) add up to, so a mean over several
boosters keeps that property. Missing values are NaN and categories are codes, both read natively. A booster is the same for
the same seed and number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import InputError, nearest

from .dataset import Real

Library = Literal["xgboost", "lightgbm"]


@dataclass(frozen=True)
class TreeParameters:
    """Hyperparameters that mean the same for both libraries.

    Attributes:
        library: `xgboost` (Chen and Guestrin 2016) or `lightgbm` (Ke et al. 2017).
        n_estimators: Most boosting rounds; early stopping on validation takes fewer.
        num_leaves: Most leaves of a tree, grown best first.
        feature_fraction: Share of the columns that each tree may use.
        subsample: Share of the rows that each tree sees.
        min_rows: Rows that a leaf needs; with XGBoost the sum of second derivatives that so many rows have at first.
        l2: Ridge penalty on leaf values.
        early_stopping_rounds: Rounds without gain on validation before boosting stops; how many of the trees are kept,
            `best_round` says. 0 keeps all `n_estimators`.
    """

    library: Library = "xgboost"
    n_estimators: int = 1000
    learning_rate: float = 0.05
    num_leaves: int = 8
    feature_fraction: float = 0.3
    subsample: float = 0.7
    min_rows: float = 20.0
    l2: float = 5.0
    early_stopping_rounds: int = 100

    def __post_init__(self) -> None:
        if self.library not in get_args(Library):
            raise InputError(
                f"boosted trees come from xgboost or lightgbm, not {self.library!r}; "
                f"{nearest(str(self.library), get_args(Library))}"
            )
        if self.n_estimators < 1 or self.num_leaves < 2 or self.learning_rate <= 0:
            raise InputError("boosted trees need n_estimators ≥ 1, num_leaves ≥ 2 and a positive learning_rate")


class Booster(Protocol):
    """Fitted trees."""

    @property
    def n_estimators(self) -> int:
        """How many boosting rounds are kept."""

    def margins(self, values: Real) -> NDArray[np.float64]:
        """(n, 1) or (n, classes) sums of leaf values."""

    def contributions(self, values: Real) -> NDArray[np.float64]:
        """(n, 1 or classes, f + 1) what each column, and last the base value, adds to the margin."""

    def gains(self, columns: int) -> NDArray[np.float64]:
        """(columns,) how much the splits on each column lowered the loss in all."""
