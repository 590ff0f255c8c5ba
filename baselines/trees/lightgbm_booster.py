"""Boosters by LightGBM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from relbench_harness.protocol.method import Budget, Countdown

from .booster import TreeParameters
from .dataset import Real, TreeDataset
from .early_stopping import best_n_estimators, stopping_metric
from .objectives import Loss, Objective, StopBy

OBJECTIVES: Mapping[Loss, tuple[str, str]] = {
    "binary": ("binary", "auc"),
    "multiclass": ("multiclass", "multi_logloss"),
    "squared": ("regression", "l1"),
    "absolute": ("regression_l1", "l1"),
    "quantile": ("quantile", "quantile"),
    "rank": ("lambdarank", "ndcg"),
}
"""LightGBM's names of the loss and of the metric on validation."""
STOP_BY: Mapping[StopBy, str] = {"rmse": "rmse", "average_precision": "average_precision", "log_loss": "binary_logloss"}


def fit_lightgbm(
    parameters: TreeParameters, objective: Objective, train: TreeDataset, valid: TreeDataset | None, budget: Budget
) -> LightGBMBooster:
    """At most `parameters.n_estimators` rounds, fewer if `valid` says so or the budget's seconds are over."""
    settings = _settings(parameters, objective, valid, budget)
    data = lightgbm.Dataset(
        train.values,
        train.labels,
        group=train.groups,
        categorical_feature=np.flatnonzero(train.categorical).tolist(),
        params=dict(settings),
    )
    curves: dict[str, dict[str, list[float]]] = {}
    callbacks: list[Any] = [] if budget.seconds is None else [_TimeLimit(Countdown(budget))]
    if valid is not None:
        callbacks += [lightgbm.early_stopping(parameters.early_stopping_rounds, verbose=False)]
        callbacks += [lightgbm.record_evaluation(curves)]
    model = lightgbm.train(
        settings,
        data,
        num_boost_round=parameters.n_estimators,
        valid_sets=[] if valid is None else [data.create_valid(valid.values, valid.labels, group=valid.groups)],
        valid_names=[] if valid is None else ["valid"],
        callbacks=callbacks,
    )
    if valid is None:
        return LightGBMBooster(model, model.current_iteration(), budget, objective.classes)
    kept = best_n_estimators(curves["valid"], train, valid, parameters.learning_rate)
    return LightGBMBooster(model, kept, budget, objective.classes)


def _settings(
    parameters: TreeParameters, objective: Objective, valid: TreeDataset | None, budget: Budget
) -> dict[str, Any]:
    loss, metric = OBJECTIVES[objective.loss]
    metric = metric if objective.stop_by is None else STOP_BY[objective.stop_by]
    settings: dict[str, Any] = {
        "objective": loss,
        "metric": stopping_metric(metric, "binary_logloss", valid),
        "num_leaves": parameters.num_leaves,
        "learning_rate": parameters.learning_rate,
        "feature_fraction": parameters.feature_fraction,
        "bagging_fraction": parameters.subsample,
        "bagging_freq": int(parameters.subsample < 1),
        "min_data_in_leaf": int(parameters.min_rows),
        "lambda_l2": parameters.l2,
        "num_threads": budget.threads,
        "seed": budget.seed,
        "deterministic": True,
        "force_row_wise": True,
        "feature_pre_filter": False,
        "verbosity": -1,
    }
    further: dict[Loss, dict[str, Any]] = {
        "multiclass": {"num_class": objective.classes},
        "quantile": {"alpha": objective.quantile},
        "rank": {"eval_at": [objective.top], "lambdarank_truncation_level": objective.top + 5},
    }
    return settings | further.get(objective.loss, {})


@dataclass(frozen=True)
class _TimeLimit:
    """A callback of LightGBM that ends boosting after the round in which time is over.

    Attributes:
        order: Callbacks of lower numbers come first: the round is recorded before boosting ends. LightGBM looks for it in the
            object itself, not in its class.
    """

    countdown: Countdown
    order: int = 40
    before_iteration: bool = False

    def __call__(self, state: Any) -> None:
        if self.countdown.is_over:
            raise lightgbm.callback.EarlyStopException(state.iteration, state.evaluation_result_list or [])


@dataclass(frozen=True)
class LightGBMBooster:
    """A fitted `lightgbm.Booster`, of which the first `n_estimators` rounds are kept."""

    model: Any
    n_estimators: int
    budget: Budget
    classes: int

    def margins(self, values: Real) -> NDArray[np.float64]:
        return self._predict(values, raw_score=True).reshape(len(values), -1)

    def contributions(self, values: Real) -> NDArray[np.float64]:
        return self._predict(values, pred_contrib=True).reshape(len(values), self.classes, values.shape[1] + 1)

    def gains(self, columns: int) -> NDArray[np.float64]:
        return np.asarray(self.model.feature_importance("gain"), dtype=np.float64)

    def _predict(self, values: Real, **kind: bool) -> NDArray[np.float64]:
        threads = self.budget.threads
        found = self.model.predict(values, num_iteration=self.n_estimators, num_threads=threads, **kind)
        return np.asarray(found, dtype=np.float64)
