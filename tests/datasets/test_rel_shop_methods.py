"""What methods find in rel-shop: all of it if told the causes, nothing of the far causes in the entity's own columns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scramble import later_rows_that_matter
from shop_worlds import part, shop, stages_and_truth, world
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from relbench_harness.compose import make_method
from relbench_harness.data.labels import Split
from relbench_harness.protocol.method import Budget
from relbench_harness.protocol.stages import Stages

VISIBLE = "rude+stain+night+price+recency+interaction+drift"


def told(address: str, split: Split) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(examples, causes) what the visible causes add, and the labels of churn."""
    dataset = world(address)
    labels = dataset.labels(dataset.task("customer-churn"), split)
    shop()
    causes = part("settings").chosen(VISIBLE)
    effects = part("reasons").effects(dataset.database, labels.entity, labels.time, causes)
    return np.column_stack(list(effects.values())), labels.target.to_numpy().astype(float)


@pytest.mark.slow
def test_an_oracle_that_is_told_the_causes_reaches_the_ceiling() -> None:
    address = f"rel-shop@scale=2,causes={VISIBLE}"
    causes, came = told(address, "train")
    model = LogisticRegression().fit(causes, came)
    causes, came = told(address, "test")
    _, truth = stages_and_truth(address, "customer-churn")
    best = roc_auc_score(came, truth.answers)
    assert best > 0.7
    assert roc_auc_score(came, model.predict_proba(causes)[:, 1]) > best - 0.005
    # the causes were given with their true weights
    assert np.allclose(model.coef_, -1, atol=0.25)


def reached(address: str, method: str) -> tuple[float, int]:
    """AUROC on test of a small variant of `method`, and how many examples that is."""
    dataset = world(address)
    stages = Stages(dataset, dataset.task("customer-churn"), "frozen")
    made, _ = make_method(method, n_estimators=100, ensemble_size=1, learning_rate=0.06)
    fitted = made.fit(stages.examples("train"), stages.examples("val"), Budget(threads=2))
    holdout = stages.holdout("test")
    return holdout.score(fitted.predict(holdout.examples))["roc_auc"], len(holdout.examples)


@pytest.mark.slow
@pytest.mark.parametrize("cause", ["rude", "stain", "interaction"])
def test_the_entity_columns_show_no_far_cause(cause: str) -> None:
    score, examples = reached(f"rel-shop@scale=2,causes={cause}", "lightgbm")
    assert abs(score - 0.5) < 4 * np.sqrt(1 / (3 * examples))


@pytest.mark.slow
def test_synthesised_features_show_some_of_the_causes() -> None:
    address = "rel-shop@scale=1"
    near, examples = reached(address, "lightgbm")
    far, _ = reached(address, "lightgbm_dfs")
    stages, truth = stages_and_truth(address, "customer-churn")
    best = roc_auc_score(stages.labels("test").target.to_numpy(), truth.answers)
    noise = np.sqrt(1 / (3 * examples))
    assert near + 2 * noise < far < best + noise


SMALL: dict[str, dict[str, Any]] = {
    "label_history": {},
    "lightgbm": {"n_estimators": 5, "ensemble_size": 1},
    "lightgbm_dfs": {"n_estimators": 5, "ensemble_size": 1},
    "gnn": {"epochs": 1, "steps_per_epoch": 2, "channels": 16},
}


CASES = [
    (method, task)
    for method in SMALL
    for task in ("customer-churn", "customer-fraud", "customer-products", "customer-spend", "product-category")
    if method != "lightgbm_dfs" or task in ("customer-churn", "product-category")
]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "task"), CASES)
def test_rows_of_the_future_change_no_answer(method: str, task: str) -> None:
    """Questions of many times about one database, which is scrambled from one of those times on."""
    dataset = world("rel-shop@scale=0.3")
    stages = Stages(dataset, dataset.task(task), "rolling")
    train = stages.examples("train")
    made, _ = make_method(method, **SMALL[method])
    fitted = made.fit(train, stages.examples("val"), Budget(threads=1, device="cpu"))
    asked_of = np.random.default_rng(0).permutation(len(train))[:200]
    assert later_rows_that_matter(fitted, replace(train.take(np.sort(asked_of)), labels=None)) == []
