"""Boosters of both libraries: the loss they minimise, and how many rounds they have without validation."""

from __future__ import annotations

import numpy as np
import pytest
from relbench_harness.baselines.trees.booster import TreeParameters
from relbench_harness.baselines.trees.dataset import TreeDataset
from relbench_harness.baselines.trees.early_stopping import typical_n_estimators
from relbench_harness.baselines.trees.ensemble import fit_booster, fit_ensemble
from relbench_harness.baselines.trees.objectives import Loss, Objective, signed_sqrt, signed_square

from relbench_harness.protocol.method import Budget

BUDGET = Budget(threads=1)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_skewed_labels_are_answered_by_their_middle(library: str) -> None:
    """Half of the labels are zero, some are huge: the mean is a bad answer, and which column tells is learned all the same."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(3000, 4)).astype(np.float32)
    size = np.exp(2 * values[:, 0] + rng.normal(size=3000))
    labels = np.where(values[:, 1] > 0, size, 0.0)
    train = TreeDataset(values[:2000], labels[:2000], np.zeros(4, bool))
    parameters = TreeParameters(library=library, learning_rate=0.1, n_estimators=100)  # type: ignore[arg-type]
    losses: tuple[Loss, ...] = ("root", "squared")
    found = {
        loss: fit_booster(parameters, Objective(loss), train, None, BUDGET).margins(values[2000:])[:, 0] for loss in losses
    }
    found["root"] = signed_square(found["root"])
    error = {loss: np.abs(answer - labels[2000:]).mean() for loss, answer in found.items()}
    assert error["root"] < 0.85 * error["squared"]
    np.testing.assert_allclose(signed_square(signed_sqrt(np.array([-4.0, 0, 9]))), [-4, 0, 9])


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("objective", [Objective("multiclass", classes=3), Objective("absolute"), Objective("root")])
def test_without_a_validation_row_the_usual_rounds_are_fitted(library: str, objective: Objective) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(600, 4))
    train = TreeDataset(values, np.digitize(values[:, 0], [-0.5, 0.5]).astype(np.float64), np.zeros(4, bool))
    nothing = TreeDataset(values[:0], train.labels[:0], train.categorical)
    parameters = TreeParameters(library=library, learning_rate=0.1, n_estimators=100)  # type: ignore[arg-type]
    typical = round(typical_n_estimators(train, 0.1))
    assert 1 < typical < 100
    ensemble = fit_ensemble(parameters, objective, train, nothing, (100, 3), Budget(threads=1))
    assert ensemble.n_estimators == (typical, 3)
    assert np.isfinite(ensemble.margins(values)).all()


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_without_early_stopping_all_rounds_are_kept(library: str) -> None:
    random = np.random.default_rng(0)
    values, noise = random.normal(size=(600, 4)), random.normal(size=600)
    data = TreeDataset(values, noise, np.zeros(4, bool))
    parameters = TreeParameters(library=library, n_estimators=60, early_stopping_rounds=0)  # type: ignore[arg-type]
    assert fit_ensemble(parameters, Objective("squared"), data, data, (60,), Budget(threads=1)).n_estimators == (60,)
