"""Scores of predictions: RelBench's metric of each task type first, to the last digit, others beside it.

Definitions: AUROC, average precision, log loss, F1, R² as scikit-learn has them; NMAE = MAE / standard deviation (ddof 1)
of the training target and MAP@k as RelBench 3 has them; lift at the top p % = positive rate among the ⌈p n / 100⌉ highest
predictions over the positive rate of all, equal predictions sharing their positives evenly.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.task import Task, TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Labels, Ragged

Scores = dict[str, float]

METRICS_VERSION = 1
"""Part of every run's identity: a change of what a metric gives for the same predictions is a new version."""


@dataclass(frozen=True)
class Metric:
    name: str
    higher_is_better: bool


PRIMARY: Mapping[TaskType, Metric] = {
    TaskType.BINARY: Metric("roc_auc", True),
    TaskType.REGRESSION: Metric("nmae", False),
    TaskType.RECOMMENDATION: Metric("map", True),
    TaskType.MULTICLASS: Metric("macro_f1", True),
    TaskType.MULTILABEL: Metric("macro_average_precision", True),
}
"""What each task type is ranked by. RelBench defines the first three."""


def score(task: Task, truth: Labels, predictions: NDArray[np.generic], scale: float, classes: int = 0) -> Scores:
    """All metrics of the task's type, its primary metric first; NaN where a metric is undefined (one class only).

    Args:
        predictions: As `Predictor.predict` returns them.
        scale: The divisor of NMAE.
        classes: How many classes or labels there are.

    Raises:
        InputError: Predictions of wrong shape, NaN, or not probabilities or row numbers where those are expected.
    """
    shape = expected_shape(task, len(truth.offsets) - 1 if isinstance(truth, Ragged) else len(truth), classes)
    given = checked(task, predictions, shape)
    if isinstance(truth, Ragged):
        return recommendation(truth, given.astype(np.int64))
    real = given.astype(np.float64)
    if task.type is TaskType.REGRESSION:
        return regression(truth.astype(np.float64), real, scale)
    if task.type is TaskType.BINARY:
        return binary(truth.astype(np.float64), real)
    if task.type is TaskType.MULTICLASS:
        return multiclass(truth.astype(np.int64), real)
    return multilabel(truth.astype(np.float64), real)


def expected_shape(task: Task, examples: int, classes: int) -> tuple[int, ...]:
    if task.type is TaskType.RECOMMENDATION:
        return (examples, task.eval_k or 1)
    if task.type in (TaskType.MULTICLASS, TaskType.MULTILABEL):
        return (examples, classes)
    return (examples,)


def checked(task: Task, predictions: NDArray[np.generic], shape: tuple[int, ...]) -> NDArray[np.generic]:
    """`predictions` if they are of `shape` and usable, else an error that says what was expected."""
    given = np.asarray(predictions)
    if given.shape != shape:
        raise InputError(f"task {task.id}: predictions have shape {given.shape}, expected {shape}")
    if not np.issubdtype(given.dtype, np.number) and given.dtype != np.bool_:
        raise InputError(f"task {task.id}: predictions are {given.dtype}, expected numbers")
    if task.type is TaskType.RECOMMENDATION:
        if not np.isfinite(given.astype(np.float64)).all() or (given != given.astype(np.int64)).any():
            raise InputError(f"task {task.id}: predictions must be row numbers of table {task.item_table!r}")
        return given
    bad = ~np.isfinite(given.astype(np.float64))
    if bad.any():
        first = int(np.flatnonzero(bad.reshape(len(given), -1).any(axis=1))[0])
        raise InputError(f"task {task.id}: {int(bad.sum())} predictions are NaN or infinite, first for example {first}")
    return given


def signed(kind: TaskType, scores: Scores) -> float:
    """The primary metric so that higher is better; minus log loss where it is undefined (one class), 0 where there is none."""
    metric = PRIMARY[kind]
    found = scores[metric.name]
    if not np.isnan(found):
        return found if metric.higher_is_better else -found
    return -scores.get("log_loss", 0.0)


def regression(truth: NDArray[np.float64], given: NDArray[np.float64], scale: float) -> Scores:
    import sklearn.metrics as skm

    mae = float(skm.mean_absolute_error(truth, given))
    return {
        "nmae": float(mae / scale) if scale else float("nan"),
        "mae": mae,
        "rmse": float(np.sqrt(np.mean((truth - given) ** 2))),
        "r2": float(skm.r2_score(truth, given)) if len(truth) > 1 else float("nan"),
    }


def binary(truth: NDArray[np.float64], given: NDArray[np.float64]) -> Scores:
    import sklearn.metrics as skm

    both = 0 < truth.sum() < len(truth)
    probability = np.clip(given, 1e-15, 1 - 1e-15)
    return {
        "roc_auc": float(skm.roc_auc_score(truth, given)) if both else float("nan"),
        "average_precision": float(skm.average_precision_score(truth, given)) if both else float("nan"),
        "log_loss": float(-np.mean(truth * np.log(probability) + (1 - truth) * np.log1p(-probability))),
        "f1": float(skm.f1_score(truth, given >= 0.5, zero_division=0.0)),
        **{f"lift_{percent}": lift(truth, given, percent) for percent in (1, 5, 10)},
    }


def lift(truth: NDArray[np.float64], given: NDArray[np.float64], percent: float) -> float:
    """How many times more positives the top `percent` % of predictions hold than chance would."""
    top = max(1, int(np.ceil(len(truth) * percent / 100)))
    if truth.sum() == 0:
        return float("nan")
    threshold = np.sort(given)[-top]
    above, tied = given > threshold, given == threshold
    hits = truth[above].sum() + truth[tied].mean() * (top - above.sum())
    return float(hits / top / truth.mean())


def multiclass(truth: NDArray[np.int64], given: NDArray[np.float64]) -> Scores:
    import sklearn.metrics as skm

    chosen = given.argmax(axis=1)
    known = truth >= 0
    total = given[known].sum(axis=1)
    share = given[known, truth[known]] / np.where(total > 0, total, 1)
    loss = -np.log(np.clip(np.concatenate([share, np.zeros(int((~known).sum()))]), 1e-15, 1))
    return {
        "macro_f1": float(skm.f1_score(truth, chosen, average="macro", zero_division=0.0)),
        "accuracy": float((truth == chosen).mean()),
        "log_loss": float(loss.mean()),
    }


def multilabel(truth: NDArray[np.float64], given: NDArray[np.float64]) -> Scores:
    import sklearn.metrics as skm

    live = np.flatnonzero((truth.sum(axis=0) > 0) & (truth.sum(axis=0) < len(truth)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "macro_average_precision": _mean(skm.average_precision_score(truth[:, j], given[:, j]) for j in live),
            "roc_auc": _mean(skm.roc_auc_score(truth[:, j], given[:, j]) for j in live),
            "macro_f1": float(skm.f1_score(truth, given >= 0.5, average="macro", zero_division=0.0)),
        }


def _mean(values: object) -> float:
    listed = list(values)  # type: ignore[call-overload]
    return float(np.mean(listed)) if listed else float("nan")


def recommendation(truth: Ragged, given: NDArray[np.int64]) -> Scores:
    """MAP, precision, recall and NDCG at k = the number of columns of `given`."""
    counts = np.diff(truth.offsets)
    some = counts > 0
    hit = hits(truth, given)[some].astype(np.float64)
    counts, k = counts[some], given.shape[1]
    if len(counts) == 0:
        return dict.fromkeys(("map", "precision", "recall", "ndcg"), float("nan"))
    ranks = np.arange(k) + 1
    within = counts.clip(max=k)
    precision = np.cumsum(hit, axis=1) / ranks
    discount = 1 / np.log2(ranks + 1)
    return {
        "map": float(((precision * hit).sum(axis=1) / within).mean()),
        "precision": float((hit.sum(axis=1) / k).mean()),
        "recall": float((hit.sum(axis=1) / counts).mean()),
        "ndcg": float(((hit * discount).sum(axis=1) / np.cumsum(discount)[within - 1]).mean()),
    }


def hits(truth: Ragged, given: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n, k) whether each named item is among the example's true ones (RelBench counts a repeated item each time)."""
    owner = np.repeat(np.arange(len(truth.offsets) - 1), np.diff(truth.offsets))
    span = int(max(truth.values.max(initial=0), given.max(initial=0))) + 2
    wanted = np.sort(owner * span + truth.values)
    named = np.arange(len(given))[:, None] * span + np.where(given < 0, span - 1, given)
    if len(wanted) == 0:
        return np.zeros(given.shape, dtype=np.bool_)
    at = np.searchsorted(wanted, named).clip(max=len(wanted) - 1)
    return np.asarray(wanted[at] == named)
