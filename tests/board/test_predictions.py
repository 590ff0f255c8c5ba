"""Scores made again from stored predictions are the stored scores; what is not is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from relbench_harness.board import store
from relbench_harness.board.predictions import faults, mismatches, read_predictions, recomputed
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.labels import Split
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.metrics import PRIMARY
from relbench_harness.protocol.result import Outcome, Result
from relbench_harness.protocol.run import Answers
from relbench_harness.protocol.stages import Stages

TASKS = ("churn", "spend", "channel", "channels", "basket", "amount", "gift")
SPLITS: tuple[Split, Split] = ("val", "test")


def random_predictions(stages: Stages, split: Split, seed: int, kind: str) -> NDArray[np.generic]:
    random, n, task = np.random.default_rng(seed), len(stages.labels(split).entity), stages.task
    if task.type is TaskType.RECOMMENDATION:
        items = len(stages.dataset.database[str(task.item_table)])
        return np.stack([random.permutation(items)[: task.eval_k] for _ in range(n)])
    width = len(stages.classes) or stages.width
    values = random.random((n, width) if width else n)
    if task.type is TaskType.REGRESSION:
        values = 100 * values - 20
    return values.round(1) if kind == "ties" else values.astype(kind)


def outcome(stages: Stages, seed: int = 0, kind: str = "float64") -> Outcome:
    answers, task = Answers(stages, "train"), stages.task
    for split in SPLITS:
        answers.hand_in(split, random_predictions(stages, split, seed, kind))
    metric = PRIMARY[task.type]
    result = Result(
        task=task.id,
        task_type=task.type.value,
        method="random",
        config={},
        seed=seed,
        regime="rolling",
        fitted_on="train",
        status="ok",
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        scores=answers.scores,
        dataset_fingerprint=stages.dataset.database.fingerprint,
    )
    return Outcome(result, answers.table)


def stored(stages: Stages, folder: Path, seed: int = 0, kind: str = "float64") -> tuple[Result, Path]:
    """A result read back from disk, and where its predictions lie."""
    store.write(outcome(stages, seed, kind), folder)
    ((path, result),) = store.located_results(folder)
    return result, path.with_name(str(result.predictions))


@pytest.fixture(scope="module")
def stages(shop_dataset: Dataset) -> dict[str, Stages]:
    return {name: Stages(shop_dataset, shop_dataset.task(name), "rolling") for name in TASKS}


@pytest.mark.parametrize("name", TASKS)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["float64", "float32", "ties"]))
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_stored_scores_come_again(
    stages: dict[str, Stages], tmp_path_factory: pytest.TempPathFactory, name: str, seed: int, kind: str
) -> None:
    result, path = stored(stages[name], tmp_path_factory.mktemp("results"), seed, kind)
    assert faults(result, path, stages[name]) == []
    again = recomputed(read_predictions(path), stages[name], str(path))
    assert {split: list(scores) for split, scores in again.items()} == {s: list(again["val"]) for s in SPLITS}


def test_a_score_that_differs_is_named(stages: dict[str, Stages], tmp_path: Path) -> None:
    result, path = stored(stages["churn"], tmp_path)
    value = result.scores["test"]["log_loss"]
    scores = {**result.scores, "test": {**result.scores["test"], "log_loss": value + 1e-9}}
    assert faults(replace(result, scores=scores), path, stages["churn"]) == [
        f"{path}: test log_loss is stored as {value + 1e-9!r}, but its predictions give {value!r}"
    ]


def test_what_is_no_number_equals_only_itself() -> None:
    nan = float("nan")
    assert list(mismatches({"val": {"a": nan}}, {"val": {"a": nan}}, "x")) == []
    assert list(mismatches({"val": {"a": nan}}, {"val": {"a": 0.5}}, "x")) == [
        "x: val a is stored as nan, but its predictions give 0.5"
    ]
    assert list(mismatches({"val": {"b": 1.0}, "test": {}}, {"val": {"a": 0.5}}, "x")) == [
        "x: val b is stored as 1.0, but the task has no such metric",
        "x: split 'test' has scores but no predictions",
    ]


def test_other_data_and_another_type_are_named(stages: dict[str, Stages], tmp_path: Path) -> None:
    result, path = stored(stages["churn"], tmp_path)
    assert "made on data ffffffffffff" in faults(replace(result, dataset_fingerprint="f" * 32), path, stages["churn"])[0]
    assert "calls its task regression" in faults(replace(result, task_type="regression"), path, stages["churn"])[0]


def changed(table: pa.Table, name: str, values: list[object] | pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values))


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("churn", lambda t: t.slice(1), "holds .* predictions for split 'val', which has"),
        ("churn", lambda t: changed(t, "entity", t["entity"].to_pylist()[::-1]), "is about another example"),
        ("churn", lambda t: t.drop_columns(["time"]), "predictions have columns"),
        ("churn", lambda t: changed(t, "split", ["train"] * len(t)), "predictions for split 'train'"),
        ("churn", lambda t: changed(t, "split", [None] * len(t)), "column 'split' of predictions is null"),
        ("churn", lambda t: changed(t, "prediction", [[0.5]] * len(t)), "type list<.*>, expected numbers"),
        ("churn", lambda t: changed(t, "prediction", [float("nan")] * len(t)), "NaN or infinite"),
        ("churn", lambda t: changed(t, "prediction", ["a"] * len(t)), "expected numbers"),
        ("basket", lambda t: changed(t, "prediction", [[1, 2]] * len(t)), "a prediction of 2 values, expected 4"),
        ("basket", lambda t: changed(t, "prediction", [1] * len(t)), "type int64, expected lists"),
    ],
)  # fmt: skip
def test_a_table_that_is_none_is_named(
    stages: dict[str, Stages], tmp_path: Path, task: str, change: object, message: str
) -> None:
    result, path = stored(stages[task], tmp_path)
    pq.write_table(change(pq.read_table(path)), path)  # type: ignore[operator]
    (fault,) = faults(result, path, stages[task])
    assert str(path) in fault
    with pytest.raises(InputError, match=message):
        raise InputError(fault)


def test_a_file_that_is_none_is_named(stages: dict[str, Stages], tmp_path: Path) -> None:
    result, path = stored(stages["churn"], tmp_path)
    path.write_bytes(b"no parquet")
    assert f"{path}: predictions cannot be read" in faults(result, path, stages["churn"])[0]
    assert "cannot be read" in faults(result, path.with_name("absent.parquet"), stages["churn"])[0]
