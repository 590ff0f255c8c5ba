"""The interface for notebooks: open a task, score, run, rank."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import relbench_harness
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Budget, Examples

TASK = "little-shop/churn"


@dataclass(frozen=True)
class Fixed:
    """Answers every question with the same number."""

    value: float = 0.3

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fixed:
        return self

    def predict(self, questions: Examples) -> NDArray[np.float64]:
        return np.full(len(questions), self.value)


@dataclass(frozen=True)
class Wrong(Fixed):
    """Answers one question too many."""

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Wrong:
        return self

    def predict(self, questions: Examples) -> NDArray[np.float64]:
        return np.zeros(len(questions) + 1)


def test_tables_hide_the_answers_of_the_test_split(shop_path: Path) -> None:
    task = relbench_harness.open_task(TASK)
    assert list(task.table("train").columns) == ["date", "customer", "churn"]
    assert list(task.table("test").columns) == ["date", "customer"]
    assert task.database["orders"].times is not None
    assert task.database["orders"].times.max() < task.dataset.cuts.test.value


def test_scores_of_ones_own_predictions(shop_path: Path) -> None:
    task = relbench_harness.open_task(TASK)
    scores = task.score("val", task.table("val")["churn"].to_numpy())
    assert scores["roc_auc"] == 1.0
    with pytest.raises(InputError, match=r"predictions have shape \(3,\), expected \(25,\)"):
        task.score("test", np.zeros(3))
    with pytest.raises(InputError, match="no split 'tset'; did you mean 'test'"):
        task.score("tset", np.zeros(3))  # type: ignore[arg-type]


def test_methods_by_name_and_as_objects(shop_path: Path) -> None:
    by_name = relbench_harness.run(TASK, "constant", seed=1, regime="rolling")
    assert by_name.ok and by_name.seed == 1 and by_name.regime == "rolling"
    mine = relbench_harness.run(TASK, Fixed(0.2))
    assert mine.ok and mine.method == "Fixed" and mine.config["value"] == 0.2
    assert mine.scores["test"]["roc_auc"] == 0.5


def test_a_wrong_answer_is_a_recorded_failure(shop_path: Path) -> None:
    result = relbench_harness.run(TASK, Wrong())
    assert result.status == "invalid_predictions"
    assert "predictions have shape (26,), expected (25,)" in str(result.error)


def test_learning_again_on_validation_is_said_in_the_result(shop_path: Path) -> None:
    assert relbench_harness.run(TASK, "constant", fit_on="train+val").fitted_on == "train+val"
    result = relbench_harness.run(TASK, Fixed(), fit_on="train+val")
    assert result.status == "bad_input" and "cannot learn again" in str(result.error)


def test_the_same_seed_gives_the_same_result(shop_path: Path) -> None:
    first, second = (relbench_harness.run(TASK, "label_history", seed=5) for _ in range(2))
    assert first.scores == second.scores and first.config == second.config


def test_results_rank(shop_path: Path) -> None:
    results = [relbench_harness.run(TASK, method) for method in ("constant", "label_history")]
    board = relbench_harness.leaderboard(results)
    assert set(board["method"]) == {"constant", "label_history"}
