"""The best constant of each objective has the least loss, and margins become predictions of the task's shape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from relbench_harness.baselines.trees.objectives import ERRORS, Objective, signed_sqrt, to_predictions

from relbench_harness.data.task import TaskType

NUMBERS = np.random.default_rng(0).exponential(3, 401) - 1
Real = NDArray[np.float64]


def pinball(level: float) -> Callable[[Real, float], Real]:
    return lambda labels, answer: np.maximum(level * (labels - answer), (level - 1) * (labels - answer))


@pytest.mark.parametrize(
    ("objective", "labels", "loss"),
    [
        (Objective("squared"), NUMBERS, lambda labels, answer: (labels - answer) ** 2),
        (Objective("root"), NUMBERS, lambda labels, answer: (signed_sqrt(labels) - answer) ** 2),
        (Objective("absolute"), NUMBERS, lambda labels, answer: np.abs(labels - answer)),
        (Objective("quantile", quantile=0.9), NUMBERS, pinball(0.9)),
        (
            Objective("binary"),
            (NUMBERS > 2).astype(float),
            lambda labels, margin: np.logaddexp(0, margin) - labels * margin,
        ),
    ],
)
def test_no_other_constant_has_less_loss(objective: Objective, labels: Real, loss: Callable[[Real, float], Real]) -> None:
    (best,) = objective.constant_margins(labels)
    least = loss(labels, best).mean()
    assert all(loss(labels, other).mean() >= least - 1e-12 for other in np.linspace(best - 2, best + 2, 201))


def test_the_constant_of_classes_is_their_frequency_and_of_ranks_nothing() -> None:
    margins = Objective("multiclass", classes=3).constant_margins(np.array([0.0, 0, 0, 2]))
    shares = to_predictions(TaskType.MULTICLASS, [Objective("multiclass", classes=3)], margins[None])
    np.testing.assert_allclose(shares, [[0.75, 0, 0.25]], atol=1e-5)
    assert Objective("rank").constant_margins(np.array([0.0, 1.0])).tolist() == [0.0]
    one_sided = Objective("binary").constant_margins(np.ones(5))
    assert np.isfinite(one_sided).all() and one_sided[0] > 10


def test_margins_become_predictions() -> None:
    margins = np.array([[0.0, 2.0], [-3.0, 3.0]])
    half = to_predictions(TaskType.BINARY, [Objective("binary")], margins[:, :1])
    np.testing.assert_allclose(half, [0.5, 1 / (1 + np.exp(3))])
    assert to_predictions(TaskType.MULTILABEL, [Objective("binary")] * 2, margins).shape == (2, 2)
    blend = [Objective(loss) for loss in ERRORS["blend"]]
    np.testing.assert_allclose(to_predictions(TaskType.REGRESSION, blend, margins), [(0 + 4) / 2, (-3 + 9) / 2])
    levels = [Objective("quantile", quantile=level) for level in (0.1, 0.6)]
    np.testing.assert_allclose(to_predictions(TaskType.REGRESSION, levels, margins), [2, 3])
