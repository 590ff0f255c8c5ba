"""Metrics against slow definitions; predictions that cannot be scored are refused in one sentence."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as skm
from hypothesis import given, settings
from hypothesis import strategies as st

from relbench_harness.data.task import Kind, Task, TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Ragged
from relbench_harness.protocol.metrics import PRIMARY, lift, score


def task(kind: TaskType, k: int | None = None) -> Task:
    items = "items" if kind is TaskType.RECOMMENDATION else None
    return Task(
        "toy", "t", Kind.FORECAST, kind, "people", "who", "y", "t", pd.Timedelta("1D"), items, items, k, folder=Path(".")
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=60),
    st.sampled_from([1.0, 5.0, 10.0, 50.0, 100.0]),
)
def test_lift_is_its_mean_over_every_order_of_ties(rows: list[tuple[bool, int]], percent: float) -> None:
    truth, given_ = np.array([float(y) for y, _ in rows]), np.array([float(p) for _, p in rows])
    found = lift(truth, given_, percent)
    if truth.sum() == 0:
        assert math.isnan(found)
        return
    top = max(1, math.ceil(len(rows) * percent / 100))
    hits = 0.0
    for positive, mine in rows:
        above, tied = sum(p > mine for _, p in rows), sum(p == mine for _, p in rows)
        # the chance to be among the first `top` when equal predictions stand in random order
        hits += positive * min(max(top - above, 0) / tied, 1.0)
    assert found == pytest.approx(hits / top / truth.mean())


def brute_recommendation(truth: list[set[int]], given_: np.ndarray, k: int) -> dict[str, float]:  # type: ignore[type-arg]
    scores: dict[str, list[float]] = {"map": [], "precision": [], "recall": [], "ndcg": []}
    for wanted, named in zip(truth, given_, strict=True):
        if not wanted:
            continue
        hits, total, gain = 0, 0.0, 0.0
        for rank, item in enumerate(named, start=1):
            if int(item) in wanted:
                hits += 1
                total += hits / rank
                gain += 1 / math.log2(rank + 1)
        ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(wanted), k) + 1))
        scores["map"].append(total / min(len(wanted), k))
        scores["precision"].append(hits / k)
        scores["recall"].append(hits / len(wanted))
        scores["ndcg"].append(gain / ideal)
    return {name: float(np.mean(values)) for name, values in scores.items()}


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 8), max_size=6), min_size=1, max_size=12).filter(lambda lists: any(lists)),
    st.integers(1, 5),
    st.integers(0, 10**6),
)
def test_recommendation_metrics(truth: list[set[int]], k: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    named = np.stack([generator.permutation(np.arange(-1, 9))[:k] for _ in truth])
    offsets = np.cumsum([0, *map(len, truth)])
    labels = Ragged(offsets, np.array([i for wanted in truth for i in sorted(wanted)], dtype=np.int64))
    found = score(task(TaskType.RECOMMENDATION, k), labels, named, 1.0)
    assert found == pytest.approx(brute_recommendation(truth, named, k), abs=1e-12)


def test_other_types_are_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    classes = generator.integers(0, 4, 200)
    chances = generator.dirichlet(np.ones(4), 200)
    found = score(task(TaskType.MULTICLASS), classes, chances, 1.0, 4)
    assert found["macro_f1"] == skm.f1_score(classes, chances.argmax(1), average="macro")
    assert found["accuracy"] == skm.accuracy_score(classes, chances.argmax(1))
    assert found["log_loss"] == pytest.approx(skm.log_loss(classes, chances), abs=1e-12)
    many = (generator.random((200, 3)) < 0.3).astype(float)
    guesses = generator.random((200, 3))
    found = score(task(TaskType.MULTILABEL), many, guesses, 1.0, 3)
    assert found["macro_average_precision"] == pytest.approx(skm.average_precision_score(many, guesses, average="macro"))
    assert found["roc_auc"] == pytest.approx(skm.roc_auc_score(many, guesses, average="macro"))
    truth, guess = many[:, 0], guesses[:, 0]
    found = score(task(TaskType.BINARY), truth, guess, 1.0)
    assert found["roc_auc"] == skm.roc_auc_score(truth, guess)
    assert found["average_precision"] == skm.average_precision_score(truth, guess)
    assert found["log_loss"] == pytest.approx(skm.log_loss(truth, guess), abs=1e-12)
    assert found["f1"] == skm.f1_score(truth, guess >= 0.5)
    truth = generator.normal(size=200)
    found = score(task(TaskType.REGRESSION), truth, guess, 2.0)
    assert found["nmae"] == skm.mean_absolute_error(truth, guess) / 2
    assert found["rmse"] == pytest.approx(skm.mean_squared_error(truth, guess) ** 0.5)
    assert found["r2"] == skm.r2_score(truth, guess)


def test_the_primary_metric_comes_first() -> None:
    labels = {
        TaskType.BINARY: (np.array([0.0, 1.0]), np.array([0.2, 0.3]), 0),
        TaskType.REGRESSION: (np.array([0.0, 1.0]), np.array([0.2, 0.3]), 0),
        TaskType.MULTICLASS: (np.array([0, 1]), np.eye(2), 2),
        TaskType.MULTILABEL: (np.eye(2), np.eye(2), 2),
        TaskType.RECOMMENDATION: (Ragged(np.array([0, 1]), np.array([3])), np.array([[3]]), 0),
    }
    for kind, (truth, given_, classes) in labels.items():
        assert next(iter(score(task(kind, 1), truth, given_, 1.0, classes))) == PRIMARY[kind].name


def test_a_split_of_one_class_has_no_auroc_and_no_fault() -> None:
    found = score(task(TaskType.BINARY), np.zeros(5), np.arange(5) / 5, 1.0)
    assert math.isnan(found["roc_auc"]) and math.isnan(found["lift_1"]) and found["log_loss"] > 0


def test_a_class_unknown_at_training_is_never_right() -> None:
    found = score(task(TaskType.MULTICLASS), np.array([0, -1]), np.array([[1.0, 0.0], [1.0, 0.0]]), 1.0, 2)
    assert found["accuracy"] == 0.5


@pytest.mark.parametrize(
    ("kind", "given_", "message"),
    [
        (TaskType.BINARY, np.zeros(3), r"shape \(3,\), expected \(2,\)"),
        (TaskType.BINARY, np.zeros((2, 1)), r"shape \(2, 1\), expected \(2,\)"),
        (TaskType.REGRESSION, np.array([0.0, np.nan]), "1 predictions are NaN or infinite, first for example 1"),
        (TaskType.REGRESSION, np.array([np.inf, 0.0]), "NaN or infinite, first for example 0"),
        (TaskType.BINARY, np.array(["a", "b"]), "expected numbers"),
        (TaskType.MULTICLASS, np.zeros((2, 2)), r"expected \(2, 3\)"),
        (TaskType.RECOMMENDATION, np.zeros((2, 3)), r"expected \(2, 4\)"),
        (TaskType.RECOMMENDATION, np.full((2, 4), 0.5), "must be row numbers of table 'items'"),
        (TaskType.RECOMMENDATION, np.full((2, 4), np.nan), "must be row numbers of table 'items'"),
    ],
)
def test_bad_predictions(kind: TaskType, given_: np.ndarray, message: str) -> None:  # type: ignore[type-arg]
    truth = Ragged(np.array([0, 1, 2]), np.array([0, 1])) if kind is TaskType.RECOMMENDATION else np.array([0.0, 1.0])
    with pytest.raises(InputError, match=message) as caught:
        score(task(kind, 4), truth, given_, 1.0, 3)
    assert "toy/t" in str(caught.value)
