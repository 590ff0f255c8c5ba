"""Validation that says little or nothing: labels that training never saw, one class only, one value only, nobody's items.

Every method answers all the same, in the right shape and without NaN: what cannot be chosen on validation falls back to
what is usual.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_examples import all_labels
from small_methods import small

from relbench_harness.data.dataset import Dataset
from relbench_harness.presets import method_names
from relbench_harness.protocol.method import Budget, Examples, Ragged
from relbench_harness.protocol.stages import Stages

BUDGET = Budget(seed=5, threads=1, trials=2, device="cpu")
SLOW = ("dfs", "hybrid", "transformer", "gat", "tuned")


def no_items(examples: Examples) -> Examples:
    return replace(examples, labels=Ragged(np.zeros(len(examples) + 1, np.int64), np.zeros(0, np.int64)))


Change = Callable[[Examples, Examples], tuple[Examples, Examples]]
CHANGES: dict[tuple[str, str], Change] = {
    ("channel", "unseen classes"): lambda train, valid: (train, all_labels(valid, -1)),
    ("channel", "one class"): lambda train, valid: (train, all_labels(valid, 1)),
    ("channel", "one class in training, unseen classes"): lambda train, valid: (
        all_labels(train, 0),
        all_labels(valid, -1),
    ),
    ("churn", "one class"): lambda train, valid: (train, all_labels(valid, 1)),
    ("churn", "one class in training"): lambda train, valid: (all_labels(train, 0), valid),
    ("churn", "one class everywhere"): lambda train, valid: (all_labels(train, 0), all_labels(valid, 1)),
    ("channels", "no label"): lambda train, valid: (train, all_labels(valid, 0)),
    ("channels", "no label in training"): lambda train, valid: (all_labels(train, 0), all_labels(valid, 1)),
    ("spend", "one value"): lambda train, valid: (train, all_labels(valid, 3)),
    ("spend", "one value everywhere"): lambda train, valid: (all_labels(train, 3), all_labels(valid, 3)),
    ("basket", "nobody's items"): lambda train, valid: (train, no_items(valid)),
}


def cases() -> list[Any]:
    found = []
    for method in method_names():
        for task, what in CHANGES:
            marks = [pytest.mark.slow] if any(word in method for word in SLOW) else []
            found.append(pytest.param(method, task, what, marks=marks))
    return found


@pytest.mark.parametrize(("method", "task", "what"), cases())
def test_methods_answer_where_validation_says_nothing(shop_dataset: Dataset, method: str, task: str, what: str) -> None:
    stages = Stages(shop_dataset, shop_dataset.task(task), "rolling")
    train, valid = CHANGES[task, what](stages.examples("train"), stages.examples("val"))
    holdout = stages.holdout("test")
    try:
        predictor = small(method).fit(train, valid, BUDGET)
    except Exception as refusal:
        if task in str(refusal) or str(stages.task.type) in str(refusal):
            pytest.skip(f"{method} does not do {task}")
        raise
    predictions = np.asarray(predictor.predict(holdout.examples))
    holdout.score(predictions)
    assert np.isfinite(predictions.astype(np.float64)).all()


@pytest.mark.parametrize("method", ["lightgbm", "xgboost"])
def test_how_stale_examples_are_does_not_depend_on_their_labels(shop_dataset: Dataset, method: str) -> None:
    stages = Stages(shop_dataset, shop_dataset.task("channel"), "frozen")
    train, valid = stages.examples("train"), stages.examples("val")
    some = small(method).fit(train, valid, BUDGET)
    none = small(method).fit(train, all_labels(valid, -1), BUDGET)
    assert (some.views.staleness == none.views.staleness).all() and some.views.staleness.max() > 0
    holdout = stages.holdout("test")
    holdout.score(np.asarray(none.predict(holdout.examples)))
