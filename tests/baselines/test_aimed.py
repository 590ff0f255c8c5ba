"""A method fitted for another metric is better by that metric, all choices on validation follow it, and without a goal nothing changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from relbench_harness.baselines.aimed import Aim, Aimed, Primary
from relbench_harness.baselines.constant import Constant
from relbench_harness.baselines.gnn.objectives import Quantile, Regression, SquaredError, objective_for
from relbench_harness.baselines.guarded import Guard
from relbench_harness.baselines.quality import GOALS, quality
from relbench_harness.baselines.trees.method import BoostedTrees
from relbench_harness.baselines.trees.objectives import Objective, objectives_for
from shop import Shop

from relbench_harness.compose import make_guarded
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.features.entity import EntityColumns
from relbench_harness.features.series import SeriesChoice
from relbench_harness.features.windows import Windows
from relbench_harness.protocol.method import Budget, Examples, Goal
from relbench_harness.protocol.metrics import binary, regression

TRAIN, VALID, TEST = (60, 80, 100, 120, 140, 160, 180), (200, 220), (240, 260)
BLOCKS = [EntityColumns(), Windows(rows=(5,), days=(20, 90), hops=1, choice=SeriesChoice(shares=0))]
TREES = BoostedTrees(
    features=BLOCKS,
    n_estimators=60,
    learning_rate=0.1,
    ensemble_size=1,
    min_rows=5,
    early_stopping_rounds=20,
    staleness="fresh",
)
BUDGET = Budget(threads=1)


def spend(shop: Shop, days: tuple[int, ...]) -> Examples:
    """Customers who mostly buy nothing, and much where they do: the median is 0, the mean follows their habits."""
    found = shop.examples(TaskType.REGRESSION, days, 200)
    random = np.random.default_rng(days[0])
    buys = random.random(len(found)) < 0.42
    return replace(found, labels=buys * np.exp(0.3 * found.values) * random.lognormal(0, 0.3, len(found)))


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_a_model_of_spend_that_is_fitted_for_rmse_has_higher_r2_and_one_for_mae_a_smaller_mae(
    shop: Shop, library: str
) -> None:
    train, valid, test = (spend(shop, days) for days in (TRAIN, VALID, TEST))
    scores = {}
    for metric in ("mae", "rmse"):
        method = Aim(metric).around(Guard().around(replace(TREES, library=library)))
        fitted = method.fit(train, valid, BUDGET)
        assert fitted.notes["objective"] == {"metric": metric}  # type: ignore[attr-defined]
        scores[metric] = regression(test.values, fitted.predict(replace(test, labels=None)).astype(np.float64), 1.0)
    assert scores["rmse"]["r2"] > 0.03 > -0.05 > scores["mae"]["r2"], scores
    assert scores["mae"]["mae"] < scores["rmse"]["mae"]


def test_a_quantile_has_its_share_of_labels_below_it(shop: Shop) -> None:
    train, valid, test = (spend(shop, days) for days in (TRAIN, VALID, TEST))
    fitted = Aim("quantile", 0.8).around(TREES).fit(train, valid, BUDGET)
    assert 0.68 < (test.values <= fitted.predict(test)).mean() < 0.92
    assert fitted.notes["objective"] == {"metric": "quantile", "level": 0.8}  # type: ignore[attr-defined]


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
@pytest.mark.parametrize("metric", GOALS[TaskType.BINARY])
def test_binary_tasks_are_fitted_for_each_metric(shop: Shop, metric: str, library: str) -> None:
    train, valid, test = (shop.examples(TaskType.BINARY, days, 200) for days in (TRAIN, VALID, TEST))
    fitted = Aim(metric).around(replace(TREES, library=library, n_estimators=20)).fit(train, valid, BUDGET)
    scores = binary(test.values, fitted.predict(test).astype(np.float64))
    assert scores["average_precision"] > 0.85 and scores["log_loss"] < 0.6
    one_class = replace(valid, labels=np.ones(len(valid)))
    assert len(
        Aim(metric).around(replace(TREES, library=library, n_estimators=5)).fit(train, one_class, BUDGET).predict(test)
    )


def test_choices_follow_the_goal(shop: Shop) -> None:
    examples = spend(shop, TRAIN)
    labels, answer = examples.values, np.full(len(examples), 3.0)
    expected = {"mae": -np.abs(labels - 3).mean(), "rmse": -np.sqrt(((labels - 3) ** 2).mean())}
    for metric, value in expected.items():
        assert quality(replace(examples, goal=Goal(metric)), answer) == pytest.approx(value)
    levels = [
        quality(replace(examples, goal=Goal("quantile", 0.9)), np.full(len(labels), np.quantile(labels, q)))
        for q in (0.5, 0.9, 0.99)
    ]
    assert max(levels) == levels[1]
    binary_examples = shop.examples(TaskType.BINARY, VALID, 200)
    certain = replace(binary_examples, labels=np.ones(len(binary_examples)), goal=Goal("average_precision"))
    assert quality(certain, np.full(len(certain), 0.5)) == pytest.approx(np.log(0.5))
    # the guard's trivial answer is the one that is best by the goal
    for metric, level, best in (
        ("rmse", 0.5, labels.mean()),
        ("quantile", 0.9, np.quantile(labels, 0.9)),
        ("mae", 0.5, np.median(labels)),
    ):
        fitted = Aim(metric, level).around(Constant()).fit(examples, examples, BUDGET)
        assert fitted.predict(examples)[0] == pytest.approx(best)
        again = fitted.refit(replace(examples, labels=2 * labels))  # type: ignore[attr-defined]
        assert again.predict(examples)[0] == pytest.approx(2 * best)


def minimum(objective: SquaredError | Quantile, labels: NDArray[np.float64]) -> float:
    """The constant prediction of the least loss, among outputs from −4 to 4."""
    outputs = np.linspace(-4, 4, 4001)
    truth = torch.as_tensor(labels)
    losses = [float(objective.loss(torch.full((len(labels), 1), float(z)), truth)) for z in outputs]
    return float(objective.decode(np.asarray([[outputs[int(np.argmin(losses))]]]))[0])


def test_networks_minimise_what_the_goal_says(shop: Shop) -> None:
    examples = spend(shop, TRAIN)
    labels = examples.values
    squared = objective_for(replace(examples, goal=Goal("rmse")))
    quantile = objective_for(replace(examples, goal=Goal("quantile", 0.9)))
    assert isinstance(squared, SquaredError) and isinstance(quantile, Quantile)
    assert minimum(squared, labels) == pytest.approx(labels.mean(), rel=0.01)
    assert minimum(quantile, labels) == pytest.approx(np.quantile(labels, 0.9), rel=0.02)
    for one, start in ((squared, labels.mean()), (quantile, np.quantile(labels, 0.9))):
        assert one.decode(one.start[None])[0] == pytest.approx(start)
    assert isinstance(objective_for(replace(examples, goal=Goal("mae"))), Regression)


def test_without_a_goal_everything_is_as_it_was(shop: Shop) -> None:
    examples = spend(shop, VALID)
    assert examples.goal is None and Primary().around(TREES) is TREES
    assert objectives_for(examples, "blend", ()) == (Objective("absolute"), Objective("root"))
    assert objectives_for(replace(examples, goal=Goal("mae")), "blend", ()) == objectives_for(examples, "blend", ())
    assert "objective" not in make_guarded("xgboost")[1]
    method, config = make_guarded("xgboost", {"objective": "rmse", "answers": "calibrated"})
    assert list(config)[-3:] == ["guard", "objective", "answers"] and config["objective"]["metric"] == "rmse"
    assert type(method).__name__ == "Calibrated"


def test_a_metric_that_the_task_has_not_is_refused(shop: Shop) -> None:
    train = shop.examples(TaskType.BINARY, VALID, 200)
    with pytest.raises(InputError, match="its objective is one of roc_auc, average_precision, log_loss, not 'rmse'"):
        Aimed(Constant(), Goal("rmse")).fit(train, train, BUDGET)
    many = shop.examples(TaskType.MULTICLASS, VALID, 200)
    with pytest.raises(InputError, match="its objective is none but the primary metric, not 'log_loss'"):
        Aimed(Constant(), Goal("log_loss")).fit(many, many, BUDGET)
    with pytest.raises(InputError, match="no objective 'rsme'; did you mean 'rmse'"):
        Aim("rsme")
    with pytest.raises(InputError, match="lies between 0 and 1, got 90"):
        Aim("quantile", 90)
