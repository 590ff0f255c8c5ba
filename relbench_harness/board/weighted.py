"""Metrics where every entity counts a number of times: many resamples of the same examples scored at once.

Invariant: with counts c, a statistic gives what `protocol.metrics` gives on rows in which all examples of entity e stand c[e]
times, to rounding; `by_rows` is that definition, and a test holds every other statistic to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from relbench_harness.board.predictions import SplitLabels
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError, nearest
from relbench_harness.protocol.method import Ragged
from relbench_harness.protocol.metrics import checked, expected_shape, hits

Real = NDArray[np.float64]
Statistic = Callable[[Real], Real]
"""(draws, entities) counts → (draws,) values, NaN where the metric is undefined."""


class Entities(NamedTuple):
    """Which of `number` entities each example is about: `code` is (n,), from 0 to `number` − 1."""

    code: NDArray[np.int64]
    number: int


Maker = Callable[[SplitLabels, NDArray[np.generic], Entities], Statistic]


def entities_of(examples: SplitLabels) -> Entities:
    """The entities of `examples`, numbered anew."""
    known, code = np.unique(examples.entity, return_inverse=True)
    return Entities(code.astype(np.int64), len(known))


def statistic(metric: str, examples: SplitLabels, predictions: NDArray[np.generic], entities: Entities) -> Statistic:
    """`metric` of `predictions` as a function of how often each entity counts.

    Raises:
        InputError: The task has no such metric, or these are no predictions for it.
    """
    shape = expected_shape(examples.task, len(examples), examples.classes)
    given = checked(examples.task, predictions, shape)
    maker = MAKERS[examples.task.type].get(metric)
    if maker is None:
        scores = examples.score(given)
        if metric not in scores:
            raise InputError(f"task {examples.task.id} has no metric {metric!r}; {nearest(metric, scores)}")
        maker = partial(by_rows, metric)
    return maker(examples, given, entities)


def by_rows(metric: str, examples: SplitLabels, predictions: NDArray[np.generic], entities: Entities) -> Statistic:
    """Any metric the slow way: the rows of each resample are made and scored."""

    def values(counts: Real) -> Real:
        found = np.full(len(counts), np.nan)
        for i, count in enumerate(counts.astype(np.int64)):
            rows = np.repeat(np.arange(len(examples)), count[entities.code])
            if len(rows):
                found[i] = examples.take(rows).score(predictions[rows])[metric]
        return found

    return values


# -- sums over entities --------------------------------------------------------------------------------------------------


def _totals(values: Real, entities: Entities) -> Real:
    """(entities, k) sums of (n, k) values over the examples of each entity."""
    return np.stack([np.bincount(entities.code, weights=column, minlength=entities.number) for column in values.T], axis=1)


def _ratio(above: Real, below: Real) -> Real:
    """above / below, NaN where `below` is 0."""
    out = np.full(np.broadcast(above, below).shape, np.nan)
    return np.asarray(np.divide(above, below, out=out, where=below != 0))


def _mean(values: Real, entities: Entities, some: NDArray[np.bool_] | None = None) -> Statistic:
    """The mean of one value per example, over the examples `some`."""
    counted = np.ones(len(values)) if some is None else some.astype(np.float64)
    totals = _totals(np.stack([np.where(counted > 0, values, 0.0), counted], axis=1), entities)

    def value(counts: Real) -> Real:
        found = counts @ totals
        return _ratio(found[:, 0], found[:, 1])

    return value


def _absolute(examples: SplitLabels, predictions: NDArray[np.generic], entities: Entities, scaled: bool) -> Statistic:
    error = np.abs(_numbers(examples) - predictions.astype(np.float64))
    divisor = examples.scale if scaled else 1.0
    return _mean(error / divisor if divisor else np.full(len(error), np.nan), entities)


def _rmse(examples: SplitLabels, predictions: NDArray[np.generic], entities: Entities) -> Statistic:
    squared = _mean((_numbers(examples) - predictions.astype(np.float64)) ** 2, entities)
    return lambda counts: np.sqrt(squared(counts))


def _r2(examples: SplitLabels, predictions: NDArray[np.generic], entities: Entities) -> Statistic:
    truth = _numbers(examples)
    centred = truth - truth.mean()
    error = (truth - predictions.astype(np.float64)) ** 2
    totals = _totals(np.stack([np.ones(len(truth)), centred, centred**2, error], axis=1), entities)
    rounding = 1e-13 * float((centred**2).max(initial=0.0))

    def value(counts: Real) -> Real:
        weight, first, second, residual = (counts @ totals).T
        spread = second - _ratio(first**2, weight)
        varied = spread > rounding * weight
        found = 1 - residual / np.where(varied, spread, 1.0)
        # labels that are all equal: scikit-learn gives 1 for predictions without error, else 0
        return np.where(weight > 1, np.where(varied, found, (residual == 0).astype(np.float64)), np.nan)

    return value


def _numbers(examples: SplitLabels) -> Real:
    assert not isinstance(examples.labels, Ragged)
    return examples.labels.astype(np.float64)


# -- orders ----------------------------------------------------------------------------------------------------------------


class Thresholds(NamedTuple):
    """Examples from the highest prediction down, equal ones together: (distinct predictions, entities) sparse counts."""

    positives: sp.csr_array
    all: sp.csr_array

    def weights(self, counts: Real) -> tuple[Real, Real]:
        """(distinct predictions, draws) weights of the positives and of all."""
        return np.asarray(self.positives @ counts.T), np.asarray(self.all @ counts.T)


def _thresholds(truth: Real, given: Real, entities: Entities) -> Thresholds:
    known, group = np.unique(-given, return_inverse=True)
    shape, at = (len(known), entities.number), (group, entities.code)
    return Thresholds(sp.csr_array((truth, at), shape=shape), sp.csr_array((np.ones(len(truth)), at), shape=shape))


def _roc_auc_at(thresholds: Thresholds, counts: Real) -> Real:
    positives, everything = thresholds.weights(counts)
    negatives = everything - positives
    lower = negatives.sum(axis=0) - np.cumsum(negatives, axis=0)
    won = (positives * (lower + negatives / 2)).sum(axis=0)
    return _ratio(won, positives.sum(axis=0) * negatives.sum(axis=0))


def _average_precision_at(thresholds: Thresholds, counts: Real) -> Real:
    positives, everything = thresholds.weights(counts)
    found, above = np.cumsum(positives, axis=0), np.cumsum(everything, axis=0)
    precision = np.divide(found, above, out=np.zeros_like(found), where=above > 0)
    both = (found[-1] > 0) & (found[-1] < above[-1])
    return np.where(both, _ratio((positives * precision).sum(axis=0), found[-1]), np.nan)


def _lift_at(thresholds: Thresholds, percent: float, counts: Real) -> Real:
    positives, everything = thresholds.weights(counts)
    found, above = np.cumsum(positives, axis=0), np.cumsum(everything, axis=0)
    top = np.maximum(1, np.ceil(above[-1] * percent / 100))
    draw = np.arange(len(top))
    cut = (above >= top).argmax(axis=0)
    tied, hit = everything[cut, draw], positives[cut, draw]
    before = above[cut, draw] - tied
    hits_in_top = found[cut, draw] - hit + _ratio(hit, tied) * (top - before)
    return _ratio(hits_in_top / top, _ratio(found[-1], above[-1]))


def _binary_order(at: Callable[[Thresholds, Real], Real]) -> Maker:
    def make(examples: SplitLabels, predictions: NDArray[np.generic], entities: Entities) -> Statistic:
        return partial(at, _thresholds(_numbers(examples), predictions.astype(np.float64), entities))

    return make


def _lift(percent: float) -> Maker:
    return _binary_order(lambda thresholds, counts: _lift_at(thresholds, percent, counts))


def _macro_order(at: Callable[[Thresholds, Real], Real]) -> Maker:
    """The mean over labels of a metric of order; a label of which a draw holds one kind only is left out of that draw."""

    def make(examples: SplitLabels, predictions: NDArray[np.generic], entities: Entities) -> Statistic:
        truth, given = _numbers(examples), predictions.astype(np.float64)
        each = [_thresholds(truth[:, j], given[:, j], entities) for j in range(truth.shape[1])]

        def value(counts: Real) -> Real:
            values = np.stack([at(thresholds, counts) for thresholds in each])
            known = np.isfinite(values)
            return _ratio(np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0).astype(np.float64))

        return value

    return make


# -- classes ---------------------------------------------------------------------------------------------------------------


def _binary_log_loss(examples: SplitLabels, predictions: NDArray[np.generic], entities: Entities) -> Statistic:
    truth, chance = _numbers(examples), np.clip(predictions.astype(np.float64), 1e-15, 1 - 1e-15)
    return _mean(-(truth * np.log(chance) + (1 - truth) * np.log1p(-chance)), entities)


def _multiclass_log_loss(examples: SplitLabels, predictions: NDArray[np.generic], entities: Entities) -> Statistic:
    truth, given = _numbers(examples).astype(np.int64), predictions.astype(np.float64)
    total = given.sum(axis=1)
    share = given[np.arange(len(truth)), truth.clip(min=0)] / np.where(total > 0, total, 1)
    return _mean(-np.log(np.clip(np.where(truth >= 0, share, 0.0), 1e-15, 1)), entities)


def _accuracy(examples: SplitLabels, predictions: NDArray[np.generic], entities: Entities) -> Statistic:
    right = _numbers(examples) == predictions.astype(np.float64).argmax(axis=1)
    return _mean(right.astype(np.float64), entities)


def _f1(truth: NDArray[np.bool_], chosen: NDArray[np.bool_], entities: Entities) -> Callable[[Real], tuple[Real, Real]]:
    """F1 of each of k classes from (n, k) marks, and the weight of each class in labels and predictions together."""
    wide = np.concatenate([truth & chosen, truth, chosen], axis=1).astype(np.float64)
    totals, k = _totals(wide, entities), truth.shape[1]

    def values(counts: Real) -> tuple[Real, Real]:
        found = counts @ totals
        weight = found[:, k : 2 * k] + found[:, 2 * k :]
        return np.divide(2 * found[:, :k], weight, out=np.zeros_like(weight), where=weight > 0), weight

    return values


def _binary_f1(examples: SplitLabels, predictions: NDArray[np.generic], entities: Entities) -> Statistic:
    chosen = predictions.astype(np.float64) >= 0.5
    each = _f1(_numbers(examples)[:, None] > 0, chosen[:, None], entities)
    return lambda counts: each(counts)[0][:, 0]


def _multilabel_f1(examples: SplitLabels, predictions: NDArray[np.generic], entities: Entities) -> Statistic:
    each = _f1(_numbers(examples) > 0, predictions.astype(np.float64) >= 0.5, entities)
    return lambda counts: each(counts)[0].mean(axis=1)


def _multiclass_f1(examples: SplitLabels, predictions: NDArray[np.generic], entities: Entities) -> Statistic:
    truth, chosen = _numbers(examples).astype(np.int64), predictions.astype(np.float64).argmax(axis=1)
    # −1, a class that training never saw, is a class of its own
    classes = np.arange(-1, examples.classes)
    each = _f1(truth[:, None] == classes, chosen[:, None] == classes, entities)

    def value(counts: Real) -> Real:
        f1, weight = each(counts)
        return _ratio(f1.sum(axis=1), (weight > 0).sum(axis=1).astype(np.float64))

    return value


# -- lists -----------------------------------------------------------------------------------------------------------------


def _recommendation(metric: str) -> Maker:
    def make(examples: SplitLabels, predictions: NDArray[np.generic], entities: Entities) -> Statistic:
        assert isinstance(examples.labels, Ragged)
        wanted = np.diff(examples.labels.offsets)
        hit = hits(examples.labels, predictions.astype(np.int64)).astype(np.float64)
        return _mean(_per_list(metric, hit, np.maximum(wanted, 1)), entities, wanted > 0)

    return make


def _per_list(metric: str, hit: Real, wanted: NDArray[np.int64]) -> Real:
    """(n,) the metric of each list from its (n, k) hits and how many items are right."""
    k = hit.shape[1]
    ranks, within = np.arange(k) + 1, wanted.clip(max=k)
    if metric == "map":
        return np.asarray((np.cumsum(hit, axis=1) / ranks * hit).sum(axis=1) / within)
    if metric == "ndcg":
        discount = 1 / np.log2(ranks + 1)
        return np.asarray((hit * discount).sum(axis=1) / np.cumsum(discount)[within - 1])
    return np.asarray(hit.sum(axis=1) / (k if metric == "precision" else wanted))


MAKERS: Mapping[TaskType, Mapping[str, Maker]] = {
    TaskType.REGRESSION: {
        "nmae": partial(_absolute, scaled=True),
        "mae": partial(_absolute, scaled=False),
        "rmse": _rmse,
        "r2": _r2,
    },
    TaskType.BINARY: {
        "roc_auc": _binary_order(_roc_auc_at),
        "average_precision": _binary_order(_average_precision_at),
        "log_loss": _binary_log_loss,
        "f1": _binary_f1,
        **{f"lift_{percent}": _lift(percent) for percent in (1, 5, 10)},
    },
    TaskType.MULTICLASS: {"macro_f1": _multiclass_f1, "accuracy": _accuracy, "log_loss": _multiclass_log_loss},
    TaskType.MULTILABEL: {
        "macro_average_precision": _macro_order(_average_precision_at),
        "roc_auc": _macro_order(_roc_auc_at),
        "macro_f1": _multilabel_f1,
    },
    TaskType.RECOMMENDATION: {name: _recommendation(name) for name in ("map", "precision", "recall", "ndcg")},
}
"""The quick way of each metric. A metric that stands in no row is resampled by `by_rows`."""
