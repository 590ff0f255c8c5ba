"""Gradient-boosted trees behind one face: the two libraries take the same settings, data and objectives.

Every model answers in margins, before the link: margins are what the libraries' own contributions (SHAP values) add up
to, so a mean over several models keeps that property. Missing values are NaN and categories are codes, both native.
Deterministic for a given seed and number of threads.
"""

from __future__ import annotations

import functools
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import InputError, nearest
from relbench_harness.progress import track
from relbench_harness.protocol.method import Budget

log = logging.getLogger(__name__)
Library = Literal["xgboost", "lightgbm"]
Objective = Literal["binary", "multiclass", "squared", "absolute", "root", "quantile", "rank"]
Real = NDArray[np.float32] | NDArray[np.float64]

USUAL = 4.0
"""How far growing usually goes where questions are many: rounds × learning rate."""
MANY = 3000
"""With fewer training questions than this, growing usually ends in proportion earlier."""
SURE = 0.3
"""Deviation of the logarithm of the best number of rounds about that of the usual one."""
TOGETHER = 10
"""Questions of one time are worth at most the root of their number times this."""
GREATER_IS_BETTER = ("auc", "ndcg")
ENOUGH = 200
"""So many questions of one time tell what they have in common."""


@dataclass(frozen=True)
class Matrix:
    """Rows to learn from.

    Attributes:
        values: (n, f) features, NaN where missing, codes in categorical columns.
        labels: (n,) numbers, class indices or relevances.
        categorical: (f,) which columns hold codes.
        groups: Ranking only: sizes of runs of rows that belong to one question.
        time: (n,) when each row's question was asked, None where rows of a time are no more alike than others.
    """

    values: Real
    labels: NDArray[np.float64]
    categorical: NDArray[np.bool_]
    groups: NDArray[np.int64] | None = None
    time: NDArray[np.int64] | None = None

    @property
    def weight(self) -> float:
        """How many independent questions this is worth: those of one time rise and fall together."""
        questions = len(self.labels) if self.groups is None else len(self.groups)
        if self.time is None:
            return questions
        return min(questions, TOGETHER * math.sqrt(questions * len(np.unique(self.time))))

    def take(self, rows: NDArray[np.int64]) -> Matrix:
        """The rows chosen, in that order (not for ranking: groups would break)."""
        time = None if self.time is None else self.time[rows]
        return Matrix(self.values[rows], self.labels[rows], self.categorical, time=time)

    def rooted(self) -> Matrix:
        return replace(self, labels=rooted(self.labels))

    def levelled(self) -> Matrix:
        """The same with all labels of a time moved to the common mean, where the time has `ENOUGH` questions to tell its own.

        What all questions of a time share, a season say, is no matter of the entities asked about. With few times, trees
        would pin it on whatever column happens to tell these apart.
        """
        if self.time is None:
            return self
        _, at, count = np.unique(self.time, return_inverse=True, return_counts=True)
        mean = np.bincount(at, self.labels) / count
        shared = np.where(count >= ENOUGH, mean - self.labels.mean(), 0.0)
        return replace(self, labels=self.labels - shared[at])


def rooted(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square roots that keep the sign."""
    return np.asarray(np.sign(values) * np.sqrt(np.abs(values)))


def unrooted(roots: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sign(roots) * roots**2)


@dataclass(frozen=True)
class Target:
    """What the trees are grown for.

    Attributes:
        objective: `root` is squared error of signed square roots: for the middle of skewed quantities, as absolute error,
            but with gradients that tell far from near.
        classes: Number of classes, multiclass only.
        quantile: Which quantile, quantile only.
        cutoff: How many items count, rank only.
    """

    objective: Objective
    classes: int = 1
    quantile: float = 0.5
    cutoff: int = 10


@dataclass(frozen=True)
class Growth:
    """How trees are grown; the fields mean the same for both libraries.

    Attributes:
        library: `xgboost` (Chen and Guestrin 2016) or `lightgbm` (Ke et al. 2017).
        rounds: Most boosting rounds; early stopping on validation takes fewer.
        leaves: Most leaves of a tree, grown best first.
        feature_fraction: Share of the columns each tree may use.
        row_fraction: Share of the rows each tree sees.
        min_rows: Rows (LightGBM) or sum of second derivatives (XGBoost) a leaf needs.
        l2: Ridge penalty on leaf values.
        patience: Rounds without gain on validation before growing stops; how many of those grown are kept, `best_round`
            says.
    """

    library: Library = "xgboost"
    rounds: int = 1500
    learning_rate: float = 0.03
    leaves: int = 8
    feature_fraction: float = 0.3
    row_fraction: float = 1.0
    min_rows: float = 20.0
    l2: float = 1.0
    patience: int = 100

    def __post_init__(self) -> None:
        if self.library not in ("xgboost", "lightgbm"):
            known = nearest(str(self.library), ("xgboost", "lightgbm"))
            raise InputError(f"boosted trees come from xgboost or lightgbm, not {self.library!r}; {known}")
        if self.rounds < 1 or self.leaves < 2 or self.learning_rate <= 0:
            raise InputError("boosted trees need rounds ≥ 1, leaves ≥ 2 and a positive learning_rate")

    def grow(self, target: Target, train: Matrix, valid: Matrix | None, rounds: int, seed: int, budget: Budget) -> Forest:
        """A forest of at most `rounds` rounds, fewer if `valid` says so."""
        grow = _grow_xgboost if self.library == "xgboost" else _grow_lightgbm
        if target.objective == "root":
            target, train = replace(target, objective="squared"), train.rooted().levelled()
            valid = None if valid is None else valid.rooted()
        return grow(self, target, train, valid, rounds, seed, budget)


class Forest(Protocol):
    """Grown trees."""

    @property
    def rounds(self) -> int: ...

    def margins(self, values: Real) -> NDArray[np.float64]:
        """(n, 1) or (n, classes) sums of leaf values."""
        ...

    def contributions(self, values: Real) -> NDArray[np.float64]:
        """(n, 1 or classes, f + 1) what each column, and last the base value, adds to the margin."""
        ...

    def gains(self, columns: int) -> NDArray[np.float64]:
        """(columns,) how much the splits on each column lowered the loss in all."""
        ...


# -- XGBoost ----------------------------------------------------------------------------------------------------------

_XGBOOST: Mapping[str, tuple[str, str]] = {
    "binary": ("binary:logistic", "auc"),
    "multiclass": ("multi:softprob", "mlogloss"),
    "squared": ("reg:squarederror", "mae"),
    "absolute": ("reg:absoluteerror", "mae"),
    "quantile": ("reg:quantileerror", "quantile"),
    "rank": ("rank:ndcg", "ndcg"),
}


def _xgboost_device(budget: Budget) -> str:
    import xgboost

    if budget.device == "cuda":
        return "cuda"
    has_gpu = bool(xgboost.build_info().get("USE_CUDA")) and os.path.exists("/dev/nvidia0")
    return "cuda" if budget.device == "auto" and has_gpu else "cpu"


def _grow_xgboost(
    growth: Growth, target: Target, train: Matrix, valid: Matrix | None, rounds: int, seed: int, budget: Budget
) -> Forest:
    import xgboost

    objective, metric = _XGBOOST[target.objective]
    parameters: dict[str, Any] = {
        "objective": objective,
        "eval_metric": _metric(metric, "logloss", valid),
        "tree_method": "hist",
        "grow_policy": "lossguide",
        "max_leaves": growth.leaves,
        "max_depth": 0,
        "learning_rate": growth.learning_rate,
        "colsample_bytree": growth.feature_fraction,
        "subsample": growth.row_fraction,
        "min_child_weight": growth.min_rows * (0.25 if target.objective in ("binary", "multiclass") else 1.0),
        "lambda": growth.l2,
        "nthread": budget.threads,
        "seed": seed,
        "device": _xgboost_device(budget),
        "verbosity": 0,
    }
    if target.objective == "multiclass":
        parameters["num_class"] = target.classes
    if target.objective == "quantile":
        parameters["quantile_alpha"] = target.quantile
    if target.objective == "rank":
        parameters |= {
            "min_child_weight": 0.1,
            "lambdarank_pair_method": "topk",
            "lambdarank_num_pair_per_sample": target.cutoff,
            "eval_metric": f"ndcg@{target.cutoff}",
        }
    data = _dmatrix(train, budget)
    watched = [] if valid is None else [(_dmatrix(valid, budget), "valid")]
    watching = 0.0 if valid is None else valid.weight
    curves: dict[str, dict[str, list[float]]] = {}
    booster = xgboost.train(
        parameters,
        data,
        num_boost_round=rounds,
        evals=watched,
        early_stopping_rounds=growth.patience if watched else None,
        evals_result=curves,
        verbose_eval=False,
    )
    if watched:
        (name, curve), *_ = curves["valid"].items()
        usual = usual_rounds(train, growth.learning_rate)
        booster = booster[: best_round(curve, name, growth.learning_rate, watching, usual)]
    return _XGBoostForest(booster, booster.num_boosted_rounds(), budget, train.categorical)


def _dmatrix(matrix: Matrix, budget: Budget) -> Any:
    import xgboost

    data = xgboost.DMatrix(
        matrix.values,
        label=matrix.labels,
        feature_types=["c" if c else "q" for c in matrix.categorical],
        enable_categorical=True,
        nthread=budget.threads,
    )
    if matrix.groups is not None:
        data.set_group(matrix.groups)
    return data


@dataclass(frozen=True)
class _XGBoostForest:
    booster: Any
    rounds: int
    budget: Budget
    categorical: NDArray[np.bool_]

    def _answer(self, values: Real, **kind: bool) -> NDArray[np.float64]:
        data = _dmatrix(Matrix(values, np.zeros(len(values)), self.categorical), self.budget)
        return np.asarray(self.booster.predict(data, **kind), dtype=np.float64)

    def margins(self, values: Real) -> NDArray[np.float64]:
        return self._answer(values, output_margin=True).reshape(len(values), -1)

    def contributions(self, values: Real) -> NDArray[np.float64]:
        found = self._answer(values, pred_contribs=True)
        return found.reshape(len(values), -1, values.shape[1] + 1)

    def gains(self, columns: int) -> NDArray[np.float64]:
        found = np.zeros(columns)
        for name, gain in self.booster.get_score(importance_type="total_gain").items():
            found[int(name[1:])] = gain
        return found


# -- LightGBM ---------------------------------------------------------------------------------------------------------

_LIGHTGBM: Mapping[str, tuple[str, str]] = {
    "binary": ("binary", "auc"),
    "multiclass": ("multiclass", "multi_logloss"),
    "squared": ("regression", "l1"),
    "absolute": ("regression_l1", "l1"),
    "quantile": ("quantile", "quantile"),
    "rank": ("lambdarank", "ndcg"),
}


def _grow_lightgbm(
    growth: Growth, target: Target, train: Matrix, valid: Matrix | None, rounds: int, seed: int, budget: Budget
) -> Forest:
    import lightgbm

    objective, metric = _LIGHTGBM[target.objective]
    parameters: dict[str, Any] = {
        "objective": objective,
        "metric": _metric(metric, "binary_logloss", valid),
        "num_leaves": growth.leaves,
        "learning_rate": growth.learning_rate,
        "feature_fraction": growth.feature_fraction,
        "bagging_fraction": growth.row_fraction,
        "bagging_freq": int(growth.row_fraction < 1),
        "min_data_in_leaf": int(growth.min_rows),
        "lambda_l2": growth.l2,
        "num_threads": budget.threads,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "feature_pre_filter": False,
        "verbosity": -1,
    }
    if target.objective == "multiclass":
        parameters["num_class"] = target.classes
    if target.objective == "quantile":
        parameters["alpha"] = target.quantile
    if target.objective == "rank":
        parameters |= {"eval_at": [target.cutoff], "lambdarank_truncation_level": target.cutoff + 5}
    data = _dataset(train, parameters)
    watched = [] if valid is None else [data.create_valid(valid.values, valid.labels, group=valid.groups)]
    curves: dict[str, dict[str, list[float]]] = {}
    booster = lightgbm.train(
        parameters,
        data,
        num_boost_round=rounds,
        valid_sets=watched,
        valid_names=["valid"] * len(watched),
        callbacks=[lightgbm.early_stopping(growth.patience, verbose=False), lightgbm.record_evaluation(curves)]
        if watched
        else [],
    )
    kept = booster.current_iteration()
    if watched:
        (name, curve), *_ = curves["valid"].items()
        assert valid is not None
        kept = best_round(curve, name, growth.learning_rate, valid.weight, usual_rounds(train, growth.learning_rate))
    return _LightGBMForest(booster, kept, budget, target.classes)


def _dataset(matrix: Matrix, parameters: Mapping[str, Any]) -> Any:
    import lightgbm

    return lightgbm.Dataset(
        matrix.values,
        matrix.labels,
        group=matrix.groups,
        categorical_feature=np.flatnonzero(matrix.categorical).tolist(),
        params=dict(parameters),
    )


@dataclass(frozen=True)
class _LightGBMForest:
    booster: Any
    rounds: int
    budget: Budget
    classes: int

    def _answer(self, values: Real, **kind: bool) -> NDArray[np.float64]:
        return np.asarray(
            self.booster.predict(values, num_iteration=self.rounds, num_threads=self.budget.threads, **kind),
            dtype=np.float64,
        )

    def margins(self, values: Real) -> NDArray[np.float64]:
        return self._answer(values, raw_score=True).reshape(len(values), -1)

    def contributions(self, values: Real) -> NDArray[np.float64]:
        found = self._answer(values, pred_contrib=True)
        return found.reshape(len(values), self.classes, values.shape[1] + 1)

    def gains(self, columns: int) -> NDArray[np.float64]:
        return np.asarray(self.booster.feature_importance("gain"), dtype=np.float64)


def usual_rounds(train: Matrix, learning_rate: float) -> float:
    """How many rounds are usual for so many training questions."""
    return max(1.0, USUAL / learning_rate * min(1.0, train.weight / MANY))


def best_round(curve: Sequence[float], metric: str, learning_rate: float, questions: float, usual: float) -> int:
    """The most likely number of rounds, given what is usual and what validation says.

    A few hundred validation questions prefer one number to another by chance, unless they prefer it by much. So their
    evidence, in nats, stands beside a normal distribution of the logarithm of the number about that of the usual one.
    `questions` times the rise of a loss, or half the fall of a score that is better when greater, counts as evidence; errors
    without a natural unit count by their logarithm (a Laplace distribution's). The curve is averaged over 1 / learning_rate
    rounds, at least half as many are kept.

    Args:
        curve: `metric` on validation after each round.
        questions: How many independent questions validation is worth.
    """
    width = int(np.clip(round(1 / learning_rate), 1, 50))
    half = width // 2
    sums = np.concatenate([[0.0], np.cumsum(curve)])
    centre = np.arange(min(half, len(curve) - 1), len(curve))
    begin, end = np.maximum(centre - half, 0), np.minimum(centre + half + 1, len(curve))
    value, rounds = (sums[end] - sums[begin]) / (end - begin), centre + 1
    if metric.startswith(GREATER_IS_BETTER):
        evidence = 0.5 * value
    elif "logloss" in metric:
        evidence = -value
    else:
        evidence = -np.log(np.maximum(value, np.finfo(np.float64).tiny))
    prior = -0.5 * (np.log(rounds / usual) / SURE) ** 2
    return int(rounds[np.argmax(questions * evidence + prior)])


def _metric(first: str, fallback: str, valid: Matrix | None) -> str:
    """AUROC is undefined where validation holds one class; log loss is not."""
    if first == "auc" and (valid is None or len(np.unique(valid.labels)) < 2):
        return fallback
    return first


# -- several models as one --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bag:
    """Forests that differ by seed alone; the mean of their margins is the answer."""

    forests: tuple[Forest, ...]

    @property
    def rounds(self) -> tuple[int, ...]:
        return tuple(forest.rounds for forest in self.forests)

    def margins(self, values: Real) -> NDArray[np.float64]:
        return self._mean([forest.margins(values) for forest in self.forests])

    def contributions(self, values: Real) -> NDArray[np.float64]:
        return self._mean([forest.contributions(values) for forest in self.forests])

    @staticmethod
    def _mean(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.asarray(functools.reduce(np.add, parts) / len(parts))


@dataclass(frozen=True)
class ConstantForest:
    """Where there is nothing to learn from: one label value only, or no feature at all."""

    margin: tuple[float, ...]
    rounds: int = 1

    def margins(self, values: Real) -> NDArray[np.float64]:
        return np.tile(np.asarray(self.margin), (len(values), 1))

    def contributions(self, values: Real) -> NDArray[np.float64]:
        found = np.zeros((len(values), len(self.margin), values.shape[1] + 1))
        found[:, :, -1] = self.margin
        return found

    def gains(self, columns: int) -> NDArray[np.float64]:
        return np.zeros(columns)


def grow_bag(
    growth: Growth,
    target: Target,
    train: Matrix,
    valid: Matrix | None,
    rounds: tuple[int, ...],
    budget: Budget,
) -> Bag:
    """One forest per entry of `rounds`, each with a seed of its own drawn from the budget's.

    Where `valid` has no row (its labels are all unknown to training), nothing says when to stop: as many rounds are grown
    as are usual for so many training questions.
    """
    if train.values.shape[1] == 0 or (target.objective != "rank" and len(np.unique(train.labels)) < 2):
        return Bag((ConstantForest(_constant(target, train.labels)),))
    if valid is not None and len(valid.labels) == 0:
        usual = round(usual_rounds(train, growth.learning_rate))
        log.warning("no validation label is known to training: %d rounds are grown without early stopping", usual)
        valid, rounds = None, tuple(min(most, usual) for most in rounds)
    return Bag(
        tuple(
            growth.grow(target, train, valid, most, (1000 * budget.seed + number) % 2**31, budget)
            for number, most in enumerate(track(rounds, "forests"))
        )
    )


def _constant(target: Target, labels: NDArray[np.float64]) -> tuple[float, ...]:
    """The margins of the best constant answer."""
    if target.objective == "binary":
        share = np.clip(labels.mean(), 1e-6, 1 - 1e-6)
        return (float(np.log(share / (1 - share))),)
    if target.objective == "multiclass":
        counts = np.bincount(labels.astype(np.int64), minlength=target.classes) + 1e-6
        return tuple(float(x) for x in np.log(counts / counts.sum()))
    if target.objective == "squared":
        return (float(labels.mean()),)
    if target.objective == "root":
        return (float(rooted(labels).mean()),)
    if target.objective == "rank":
        return (0.0,)
    return (float(np.quantile(labels, target.quantile)),)
