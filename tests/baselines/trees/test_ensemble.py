"""Boosters of both libraries: the loss they minimise, and how many rounds they have without validation."""

from __future__ import annotations

import time

import numpy as np
import pytest
from relbench_harness.baselines.trees import ensemble
from relbench_harness.baselines.trees.booster import TreeParameters
from relbench_harness.baselines.trees.dataset import TreeDataset
from relbench_harness.baselines.trees.early_stopping import typical_n_estimators
from relbench_harness.baselines.trees.ensemble import ConstantBooster, fit_booster, fit_ensemble
from relbench_harness.baselines.trees.objectives import Loss, Objective, signed_sqrt, signed_square
from relbench_harness.baselines.trees.xgboost_booster import second_derivative

from relbench_harness.protocol.method import Budget, Countdown

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


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_boosting_ends_when_its_time_is_over_and_later_boosters_are_left_out(library: str) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(20_000, 30)).astype(np.float32)
    data = TreeDataset(values, values[:, 0] + random.normal(size=20_000), np.zeros(30, bool))
    parameters = TreeParameters(library=library, n_estimators=100_000, early_stopping_rounds=0)  # type: ignore[arg-type]
    some = fit_ensemble(parameters, Objective("squared"), data, None, (100_000,) * 2, Budget(threads=1, seconds=1.0))
    assert len(some.n_estimators) == 1 and some.n_estimators[0] < 100_000
    none_left = fit_ensemble(parameters, Objective("squared"), data, None, (100_000,) * 9, Budget(threads=1, seconds=1e-6))
    assert none_left.n_estimators == (1,)
    stopping = TreeParameters(library=library, early_stopping_rounds=5)  # type: ignore[arg-type]
    with_validation = fit_ensemble(stopping, Objective("squared"), data, data, (1000,), Budget(threads=1, seconds=1e-6))
    assert with_validation.n_estimators == (1,)


def test_no_booster_is_begun_that_would_be_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boosters that take a fifth of the budget each: the time of the sixth is over before it begins."""

    def slow(*_: object) -> ConstantBooster:
        time.sleep(0.1)
        return ConstantBooster(np.zeros(1))

    monkeypatch.setattr(ensemble, "fit_booster", slow)
    data = TreeDataset(np.arange(10.0)[:, None], np.arange(10.0), np.zeros(1, bool))
    several = (10,) * 9
    made = fit_ensemble(TreeParameters(), Objective("squared"), data, data, several, Budget(threads=1, seconds=0.5))
    assert 1 <= len(made.boosters) <= 5
    assert len(fit_ensemble(TreeParameters(), Objective("squared"), data, data, several, Budget(threads=1)).boosters) == 9


def test_a_countdown_divides_what_is_left() -> None:
    countdown = Countdown(Budget(seconds=100.0), time.monotonic() - 40)
    assert 59 < countdown.left <= 60 and not countdown.is_over
    half = countdown.part(0.5, reserve=20)
    assert half.seconds is not None and 19 < half.seconds <= 20
    late = Countdown(Budget(seconds=1.0), time.monotonic() - 40)
    assert late.is_over and late.part().seconds == late.left > 0
    assert Countdown(Budget()).left == np.inf and Countdown(Budget()).part(0.1, 5).seconds is None


def test_a_leaf_of_xgboost_needs_rows_and_not_a_share_of_the_frequent_class() -> None:
    """Two groups of a rare class in twenty thousand rows, fifty rows each: a leaf of twenty rows may hold one."""
    random = np.random.default_rng(0)
    group = random.integers(0, 400, 20_000).astype(np.float32)
    labels = (np.isin(group, (7, 300)) & (random.random(20_000) < 0.5)).astype(np.float64)
    data = TreeDataset(group[:, None], labels, np.zeros(1, bool))
    parameters = TreeParameters(n_estimators=60, feature_fraction=1.0, subsample=1.0, l2=1.0, min_rows=20)
    margins = fit_booster(parameters, Objective("binary"), data, None, BUDGET).margins(data.values)[:, 0]
    assert margins[np.isin(group, (7, 300))].min() > margins[~np.isin(group, (6, 7, 8, 299, 300, 301))].max() + 1
    shares = {0.5: 0.25, 0.01: 0.0099}
    for share, expected in shares.items():
        found = second_derivative(Objective("binary"), (np.arange(10_000) < share * 10_000).astype(np.float64))
        assert abs(found - expected) < 1e-3
    assert second_derivative(Objective("squared"), labels) == 1.0
    assert abs(second_derivative(Objective("multiclass", classes=3), np.arange(3000.0) % 3) - 2 / 9) < 1e-3
