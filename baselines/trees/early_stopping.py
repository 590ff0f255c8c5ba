"""How many trees to keep: what validation says, held against what is typical."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .dataset import TreeDataset

TYPICAL_PATH = 4.0
"""Prior mean of trees × learning rate at which boosting is best, where training examples are many."""
FULL_SIZE = 3000
"""With fewer effective training examples than this, the prior mean is smaller in proportion."""
PRIOR_LOG_STD = 0.3
"""Prior standard deviation of the logarithm of the best number of trees about its mean."""
GREATER_IS_BETTER = ("auc", "average_precision", "ndcg")


def stopping_metric(metric: str, fallback: str, valid: TreeDataset | None) -> str:
    """`metric`; `fallback` in the place of AUROC or average precision where validation holds one class, for which they are undefined."""
    one_class = valid is None or len(np.unique(valid.labels)) < 2
    return fallback if metric in ("auc", "aucpr", "average_precision") and one_class else metric


def typical_n_estimators(train: TreeDataset, learning_rate: float) -> float:
    """How many trees are typical for so many training examples."""
    return max(1.0, TYPICAL_PATH / learning_rate * min(1.0, train.effective_size / FULL_SIZE))


def best_n_estimators(
    curves: Mapping[str, Sequence[float]], train: TreeDataset, valid: TreeDataset, learning_rate: float
) -> int:
    """How many trees to keep by the first of `curves`: metric → its value on validation after each tree."""
    metric, curve = next(iter(curves.items()))
    return best_round(curve, metric, learning_rate, valid.effective_size, typical_n_estimators(train, learning_rate))


def best_round(curve: Sequence[float], metric: str, learning_rate: float, examples: float, typical: float) -> int:
    """The most likely number of rounds, given what is typical and what validation says.

    A few hundred validation examples prefer one number to another by chance, unless they prefer it by much. So their
    evidence, in nats, stands beside a normal distribution of the logarithm of the number about that of the typical one.
    `examples` times the rise of a loss, or half the fall of a score that is better when greater, counts as evidence; errors
    without a natural unit count by their logarithm (a Laplace distribution's). The curve is averaged over 1 / learning_rate
    rounds, at least half as many are kept.

    Args:
        curve: `metric` on validation after each round.
        examples: How many independent examples validation is worth.
        typical: The prior's mean number of rounds.
    """
    half = int(np.clip(round(1 / learning_rate), 1, 50)) // 2
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
    prior = -0.5 * (np.log(rounds / typical) / PRIOR_LOG_STD) ** 2
    return int(rounds[np.argmax(examples * evidence + prior)])
