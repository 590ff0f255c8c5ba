"""The number of trees kept is the likeliest one: validation counts by its size, and what is typical by its prior."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from relbench_harness.baselines.trees.dataset import TreeDataset
from relbench_harness.baselines.trees.early_stopping import best_round, typical_n_estimators


def test_a_lucky_first_round_is_not_kept() -> None:
    curve = np.concatenate([[0.9], np.linspace(0.6, 0.8, 60), np.linspace(0.8, 0.7, 60)])
    assert abs(best_round(curve.tolist(), "auc", 0.1, 10**6, 40) - 61) < 5
    assert abs(best_round((1 - curve).tolist(), "mae", 0.1, 10**6, 40) - 61) < 5
    assert abs(best_round((1 - curve).tolist(), "binary_logloss", 0.1, 10**6, 40) - 61) < 5
    assert best_round([0.5], "auc", 0.03, 10**6, 40) == 1


def test_a_small_validation_hardly_moves_the_number_of_rounds() -> None:
    curve = np.linspace(0.6, 0.8, 1000).tolist()
    few, more, many = (best_round(curve, "auc", 0.05, examples, 80) for examples in (50, 300, 10**6))
    assert 80 <= few < 90 < more < 150 and many > 900


def test_few_training_examples_usually_end_boosting_early() -> None:
    rows = TreeDataset(np.zeros((6000, 1), np.float32), np.zeros(6000), np.zeros(1, bool), time=np.arange(6000))
    assert typical_n_estimators(rows, 0.05) == 80
    few = TreeDataset(rows.values[:750], rows.labels[:750], rows.categorical, time=np.arange(750))
    assert typical_n_estimators(few, 0.05) == 20
    assert typical_n_estimators(replace(rows, time=np.zeros(6000, np.int64)), 0.05) < 21
    assert typical_n_estimators(replace(rows, time=None), 0.05) == 80
