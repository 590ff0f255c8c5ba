"""A guard on quality: floors well below what the default recipe reaches, so that only a real loss fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from relbench_harness.compose import make_method
from relbench_harness.data.dataset import open_task
from relbench_harness.protocol.method import Budget, Method, Regime
from relbench_harness.protocol.stages import Stages

pytestmark = pytest.mark.slow


def achieved(method: Method, task: str, metric: str, regime: Regime = "rolling") -> float:
    stages = Stages(*open_task(task), regime)
    fitted = method.fit(stages.examples("train"), stages.examples("val"), Budget(threads=2))
    test = stages.holdout("test")
    return test.score(fitted.predict(test.examples))[metric]


def test_the_default_recipe_on_formula_one(real_data: Path) -> None:
    quick = {"ensemble_size": 1, "early_stopping_rounds": 40}
    assert achieved(make_method("xgboost_dfs", **quick)[0], "rel-f1/driver-top3", "roc_auc") > 0.89
    entity_only = achieved(make_method("xgboost", **quick)[0], "rel-f1/driver-top3", "roc_auc")
    assert entity_only < 0.89


@pytest.mark.thorough
def test_the_default_recipe_on_a_database_that_ends_early(real_data: Path) -> None:
    """Half of the forests have seen history as old as it will be."""
    quick = {"ensemble_size": 1, "early_stopping_rounds": 40}
    assert achieved(make_method("xgboost_dfs", **quick)[0], "rel-f1/driver-top3", "roc_auc", "frozen") > 0.82


def test_the_ranker_beats_popularity_and_past_items(real_data: Path) -> None:
    """Popularity scores 0.50 on this task and past items 0.69."""
    ranker = make_method("lightgbm_dfs", n_estimators=300)[0]
    assert achieved(ranker, "rel-f1/driver-circuit-compete", "map") > 0.75
