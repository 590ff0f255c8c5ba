"""Boosters by XGBoost."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from relbench_harness.protocol.method import Budget, Countdown

from ..best_constant import best_constant
from .booster import TreeParameters
from .dataset import Real, TreeDataset
from .early_stopping import best_n_estimators, stopping_metric
from .objectives import Loss, Objective, StopBy

OBJECTIVES: Mapping[Loss, tuple[str, str]] = {
    "binary": ("binary:logistic", "auc"),
    "multiclass": ("multi:softprob", "mlogloss"),
    "squared": ("reg:squarederror", "mae"),
    "absolute": ("reg:absoluteerror", "mae"),
    "quantile": ("reg:quantileerror", "quantile"),
    "rank": ("rank:ndcg", "ndcg"),
}
"""XGBoost's names of the loss and of the metric on validation."""
STOP_BY: Mapping[StopBy, str] = {"rmse": "rmse", "average_precision": "aucpr", "log_loss": "logloss"}


def fit_xgboost(
    parameters: TreeParameters, objective: Objective, train: TreeDataset, valid: TreeDataset | None, budget: Budget
) -> XGBoostBooster:
    """At most `parameters.n_estimators` rounds, fewer if `valid` says so or the budget's seconds are over."""
    curves: dict[str, dict[str, list[float]]] = {}
    model = xgboost.train(
        _settings(parameters, objective, train, valid, budget),
        _dmatrix(train, budget),
        num_boost_round=parameters.n_estimators,
        evals=[] if valid is None else [(_dmatrix(valid, budget), "valid")],
        early_stopping_rounds=None if valid is None else parameters.early_stopping_rounds,
        callbacks=None if budget.seconds is None else [_TimeLimit(Countdown(budget))],
        evals_result=curves,
        verbose_eval=False,
    )
    if valid is not None:
        model = model[: best_n_estimators(curves["valid"], train, valid, parameters.learning_rate)]
    return XGBoostBooster(model, model.num_boosted_rounds(), budget, train.categorical)


def second_derivative(objective: Objective, labels: NDArray[np.float64]) -> float:
    """That of an example's loss at the best constant answer, so that leaves need as many rows as are asked for.

    With log loss it is p (1 − p), which is small where a class is rare; with squared error it is 1.
    """
    if objective.loss not in ("binary", "multiclass"):
        return 1.0
    classes = objective.classes if objective.loss == "multiclass" else 0
    share = np.atleast_1d(best_constant(labels, classes, smoothing=1.0))
    return float((share * (1 - share)).mean())


def _settings(
    parameters: TreeParameters, objective: Objective, train: TreeDataset, valid: TreeDataset | None, budget: Budget
) -> dict[str, Any]:
    loss, metric = OBJECTIVES[objective.loss]
    metric = metric if objective.stop_by is None else STOP_BY[objective.stop_by]
    has_gpu = bool(xgboost.build_info().get("USE_CUDA")) and os.path.exists("/dev/nvidia0")
    on_gpu = budget.device == "cuda" or (budget.device == "auto" and has_gpu)
    settings: dict[str, Any] = {
        "objective": loss,
        "eval_metric": stopping_metric(metric, "logloss", valid),
        "tree_method": "hist",
        "grow_policy": "lossguide",
        "max_leaves": parameters.num_leaves,
        "max_depth": 0,
        "learning_rate": parameters.learning_rate,
        "colsample_bytree": parameters.feature_fraction,
        "subsample": parameters.subsample,
        "min_child_weight": parameters.min_rows * second_derivative(objective, train.labels),
        "lambda": parameters.l2,
        "nthread": budget.threads,
        "seed": budget.seed,
        "device": "cuda" if on_gpu else "cpu",
        "verbosity": 0,
    }
    further: dict[Loss, dict[str, Any]] = {
        "multiclass": {"num_class": objective.classes},
        "quantile": {"quantile_alpha": objective.quantile},
        "rank": {
            "min_child_weight": 0.1,
            "lambdarank_pair_method": "topk",
            "lambdarank_num_pair_per_sample": objective.top,
            "eval_metric": f"ndcg@{objective.top}",
        },
    }
    return settings | further.get(objective.loss, {})


def _dmatrix(data: TreeDataset, budget: Budget) -> Any:
    return xgboost.DMatrix(
        data.values,
        label=data.labels,
        group=data.groups,
        feature_types=["c" if c else "q" for c in data.categorical],
        enable_categorical=True,
        nthread=budget.threads,
    )


class _TimeLimit(xgboost.callback.TrainingCallback):
    """Ends boosting after the round in which time is over."""

    def __init__(self, countdown: Countdown) -> None:
        super().__init__()
        self.countdown = countdown

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        return self.countdown.is_over


@dataclass(frozen=True)
class XGBoostBooster:
    """A fitted `xgboost.Booster`, cut to the rounds that are kept."""

    model: Any
    n_estimators: int
    budget: Budget
    categorical: NDArray[np.bool_]

    def margins(self, values: Real) -> NDArray[np.float64]:
        return self._predict(values, output_margin=True).reshape(len(values), -1)

    def contributions(self, values: Real) -> NDArray[np.float64]:
        return self._predict(values, pred_contribs=True).reshape(len(values), -1, values.shape[1] + 1)

    def gains(self, columns: int) -> NDArray[np.float64]:
        found = self.model.get_score(importance_type="total_gain")
        return np.asarray([found.get(f"f{column}", 0.0) for column in range(columns)])

    def _predict(self, values: Real, **kind: bool) -> NDArray[np.float64]:
        data = _dmatrix(TreeDataset(values, np.zeros(len(values)), self.categorical), self.budget)
        return np.asarray(self.model.predict(data, **kind), dtype=np.float64)
