"""The interface for notebooks: open a task, score, run, rank."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import relbench_harness
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Budget, Examples

TASK = "little-shop/churn"


@dataclass(frozen=True)
class Fixed:
    """Answers every example with the same number."""

    value: float = 0.3

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fixed:
        return self

    def predict(self, examples: Examples) -> NDArray[np.float64]:
        return np.full(len(examples), self.value)


@dataclass(frozen=True)
class Wrong(Fixed):
    """Answers one example too many."""

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Wrong:
        return self

    def predict(self, examples: Examples) -> NDArray[np.float64]:
        return np.zeros(len(examples) + 1)


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


def test_the_public_names_are_shown() -> None:
    names = {name for name in dir(relbench_harness) if not name.startswith("_")}
    assert names == set(relbench_harness.__all__) >= {"Budget", "leaderboard", "open_task", "run"}
    assert all(getattr(relbench_harness, name) is not None for name in names)
    assert relbench_harness.Budget is Budget
    with pytest.raises(AttributeError, match="no attribute 'Budgt'"):
        relbench_harness.Budgt  # noqa: B018


def test_predictions_are_there_without_a_folder(shop_path: Path, tmp_path: Path) -> None:
    finished = relbench_harness.run(TASK, Fixed(0.2))
    assert finished.predictions is not None
    assert list(finished.predictions.columns) == ["split", "entity", "time", "prediction"]
    assert finished.predictions.groupby("split").size().to_dict() == {"test": 25, "val": 25}
    assert set(finished.predictions["prediction"]) == {0.2}
    assert relbench_harness.run(TASK, Wrong()).predictions is None
    stored = relbench_harness.run(TASK, Fixed(0.2), results_dir=str(tmp_path))
    assert stored.predictions is not None and stored.predictions.equals(finished.predictions)
    (path,) = tmp_path.rglob("*.parquet")
    assert stored.result.predictions == path.name


def test_a_finished_run_can_be_copied_and_shown(shop_path: Path) -> None:
    finished = relbench_harness.run(TASK, Fixed(0.2))
    again = pickle.loads(pickle.dumps(finished))
    assert again.result == finished.result and copy.copy(finished).scores == finished.scores
    assert repr(finished) == "<Fixed on little-shop/churn, seed 0, frozen: roc_auc test 0.5000>"
    assert "failed (invalid_predictions)" in repr(relbench_harness.run(TASK, Wrong()))


def test_a_budget_is_a_mapping_or_an_object(shop_path: Path) -> None:
    by_name = relbench_harness.run(TASK, "constant", seed=3, budget={"seconds": 5, "threads": 1})
    assert by_name.ok and by_name.seed == 3
    assert by_name.budget == {"seed": 3, "seconds": 5, "memory_mb": None, "threads": 1, "trials": 20, "device": "auto"}
    assert relbench_harness.run(TASK, "constant", budget=Budget(seed=4, seconds=5)).seed == 4
    assert relbench_harness.run(TASK, "constant", seed=1, budget=Budget(seconds=5)).seed == 1


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"second": 5}, "a budget has no 'second'; did you mean 'seconds'"),
        ({"seconds": "5"}, "budget: seconds is '5', not"),
        ({"threads": 1.5}, "budget: threads is 1.5, not int"),
        ({"threads": True}, "budget: threads is True, not int"),
        ({"seconds": float("nan")}, "budget: seconds is nan; it is more than 0"),
        (Budget(seconds=-3), "budget: seconds is -3; it is more than 0"),
        (60, "budget is 60, neither a Budget nor a mapping of its fields: seed, seconds"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(budget: Any, message: str, shop_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        relbench_harness.run(TASK, "constant", budget=budget)


@dataclass(frozen=True, slots=True)
class Slotted:
    value: float = 0.25

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fixed:
        return Fixed(self.value)


def test_what_is_no_method_is_refused_and_what_is_one_is_taken(shop_path: Path, tmp_path: Path) -> None:
    for wrong in (3, None, Fixed, "constnt"):
        with pytest.raises(InputError, match="no method"):
            relbench_harness.run(TASK, wrong)  # type: ignore[arg-type]
    finished = relbench_harness.run(TASK, Slotted(0.5), results_dir=tmp_path)  # type: ignore[arg-type]
    assert finished.ok and finished.config["value"] == 0.5 and len(list(tmp_path.rglob("*.parquet"))) == 1


def test_an_open_task_says_what_it_is(shop_path: Path) -> None:
    assert repr(relbench_harness.open_task(TASK)) == "<binary_classification task little-shop/churn about customers>"
