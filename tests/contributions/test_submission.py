"""What is submitted to RelBench's leaderboard gives the stored scores by RelBench's own evaluation, to the last digit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from relbench.submit import LEADERBOARD_TASKS, evaluate_task

from relbench_harness.board import store
from relbench_harness.cli import main
from relbench_harness.contributions.submission import prediction_table, submit
from relbench_harness.data.dataset import Dataset, open_task
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.metrics import PRIMARY
from relbench_harness.protocol.result import Outcome, Result
from relbench_harness.protocol.run import Answers
from relbench_harness.protocol.stages import Stages

TASKS = ("driver-dnf", "driver-position", "driver-circuit-compete")
"""One of each family."""


def run_of(address: str, seed: int = 0, scale: float = 1.0, regime: str = "frozen") -> Outcome:
    """A run that answers at random: ties, values of many digits, and lists that are not full."""
    stages = Stages(*open_task(address), "frozen")
    random, task, answers = np.random.default_rng(seed), stages.task, Answers(stages, "train")
    for split in ("val", "test"):
        n = len(stages.labels(split).entity)
        if task.type is TaskType.RECOMMENDATION:
            items = len(stages.dataset.database[str(task.item_table)])
            given = np.stack([random.permutation(items)[: task.eval_k or 1] for _ in range(n)])
            given[np.arange(given.shape[1])[None, :] >= random.integers(0, given.shape[1] + 1, n)[:, None]] = -1
        else:
            given = scale * np.where(random.random(n) < 0.3, random.random(n).round(1), random.random(n))
        answers.hand_in(split, given)
    metric = PRIMARY[task.type]
    result = Result(
        *(address, task.type.value, "random", {}, seed, regime, "train", "ok", metric.name, metric.higher_is_better),
        scores=answers.scores,
        budget={"seed": seed},
        dataset_fingerprint=stages.dataset.database.fingerprint,
        started=f"2026-01-0{seed + 1}T00:00:00+00:00",
    )
    return Outcome(result, answers.table)


@pytest.fixture(scope="module")
def runs(real_data: Path) -> dict[str, Outcome]:
    return {task: run_of(f"rel-f1/{task}") for task in TASKS}


def test_relbench_gives_the_stored_scores(
    runs: dict[str, Outcome], real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for outcome in runs.values():
        store.write(outcome, tmp_path / "results")
    assert main(["submission", str(tmp_path / "results"), "random", "--to", str(tmp_path / "to")]) == 0
    shown = capsys.readouterr().out.splitlines()
    for task, outcome in runs.items():
        csv = tmp_path / "to" / f"rel-f1__{task}.csv"
        theirs = evaluate_task(f"rel-f1/{task}", csv, dataset=real_data / "rel-f1")
        assert theirs[outcome.result.metric] == outcome.result.score
        (said,) = [line for line in shown if line.startswith(f"rel-f1/{task}: ")]
        assert said.endswith(f"relbench gives {outcome.result.metric} {outcome.result.score!r}, as stored")
    assert {path.name for path in (tmp_path / "to").iterdir()} == {f"rel-f1__{task}.csv" for task in TASKS}
    lists = [json.loads(cell) for cell in pd.read_csv(tmp_path / "to" / "rel-f1__driver-circuit-compete.csv")["circuitId"]]
    assert all(isinstance(item, int) and item >= 0 for items in lists for item in items)
    for family, tasks in LEADERBOARD_TASKS.items():
        (said,) = [line for line in shown if line.startswith(f"{family}: 1 of {len(tasks)} tasks; lacking: ")]
        assert all(task in said for task in tasks if not task.startswith("rel-f1/"))
    assert "nothing was uploaded" in shown[-1]


def test_row_numbers_become_the_keys_of_the_source(shop_dataset: Dataset) -> None:
    task = shop_dataset.task("basket")
    database = shop_dataset.database
    origin = {t: database[t].origin for t in (task.entity_table, str(task.item_table))}
    test = pa.table(
        {
            "split": ["test"] * 2,
            "entity": [1, 0],
            "time": pa.array([0, 1], pa.timestamp("ns")),
            "prediction": pa.array([[2, 0, -1, -1], [-1] * 4], pa.list_(pa.int64())),
        }
    )
    frame = prediction_table(shop_dataset, task, test)

    def key(table: str, row: int) -> object:
        return row if origin[table] is None else origin[table][row].as_py()

    assert frame[task.entity_col].tolist() == [key(task.entity_table, 1), key(task.entity_table, 0)]
    assert frame[task.target].tolist() == [json.dumps([key(str(task.item_table), row) for row in (2, 0)]), "[]"]


def test_what_relbench_would_refuse_is_left_out(real_data: Path, tmp_path: Path) -> None:
    store.write(run_of("rel-f1/driver-dnf", scale=1.5), tmp_path / "results")
    made = submit(tmp_path / "results", "random", tmp_path / "to", None, None)
    assert made.written == {} and "outside of [0, 1]" in made.refused["rel-f1/driver-dnf"]
    assert not list((tmp_path / "to").glob("*"))


def test_stored_scores_that_do_not_come_again_are_left_out(runs: dict[str, Outcome], tmp_path: Path) -> None:
    result, table = runs["driver-dnf"]
    scores = {**result.scores, "test": {**result.scores["test"], "roc_auc": result.score + 1e-9}}
    store.write(Outcome(replace(result, scores=scores), table), tmp_path)
    made = submit(tmp_path, "random", tmp_path / "to", None, None)
    assert "is stored as" in made.refused["rel-f1/driver-dnf"]


def test_one_run_stands_for_a_task(runs: dict[str, Outcome], tmp_path: Path) -> None:
    """The least seed unless another is named; neither of two regimes nor of two settings is taken for granted."""
    first, (later, table) = runs["driver-dnf"], run_of("rel-f1/driver-dnf", seed=1)
    for outcome in (first, Outcome(later, table)):
        store.write(outcome, tmp_path / "a")
    assert "seed 0" in submit(tmp_path / "a", "random", tmp_path / "0", None, None).written["rel-f1/driver-dnf"]
    assert "seed 1" in submit(tmp_path / "a", "random", tmp_path / "1", None, 1).written["rel-f1/driver-dnf"]
    assert "there are 0, 1" in submit(tmp_path / "a", "random", tmp_path / "2", None, 2).refused["rel-f1/driver-dnf"]
    store.write(Outcome(replace(later, config={"depth": 3}), table), tmp_path / "a")
    assert (
        "2 different settings" in submit(tmp_path / "a", "random", tmp_path / "3", None, None).refused["rel-f1/driver-dnf"]
    )
    store.write(Outcome(replace(later, regime="rolling"), table), tmp_path / "a")
    with pytest.raises(InputError, match="both regimes; choose one by --regime"):
        submit(tmp_path / "a", "random", tmp_path / "4", None, None)


def test_bad_input_is_one_sentence(runs: dict[str, Outcome], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store.write(runs["driver-dnf"], tmp_path / "a")
    for given, message in (
        ([str(tmp_path / "a"), "randm", "--to", str(tmp_path / "to")], "no method 'randm' in"),
        ([str(tmp_path / "a"), "random", "--to", str(tmp_path)], "is no new or empty folder"),
        ([str(tmp_path / "a"), "random", "--to", str(tmp_path / "to"), "--regime", "rolling"], "no successful run"),
    ):
        assert main(["submission", *given]) == 2
        assert message in capsys.readouterr().err
