"""Intervals, ties and paired differences on a leaderboard, from predictions stored beside results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from relbench_harness.board import store
from relbench_harness.board.intervals import interval
from relbench_harness.board.leaderboard import leaderboard
from relbench_harness.board.predictions import predictions_for, read_predictions, split_labels
from relbench_harness.board.uncertainty import COLUMNS, with_uncertainty
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.names import PATH_VARIABLE
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError, ResultWarning
from relbench_harness.protocol.method import Ragged
from relbench_harness.protocol.metrics import PRIMARY
from relbench_harness.protocol.result import Outcome, Result
from relbench_harness.protocol.run import Answers
from relbench_harness.protocol.stages import Stages

NOISE = {"good": 1.0, "twin": 1.01, "poor": 3.0, "worst": 9.0}
TASKS = ("churn", "spend")


def run_of(stages: Stages, method: str, seed: int, noise: float) -> Outcome:
    """A run whose predictions are the labels with noise."""
    answers, task = Answers(stages, "train"), stages.task
    random = np.random.default_rng([seed, len(method)])
    for split in ("val", "test"):
        labels = split_labels(stages, split).labels
        assert not isinstance(labels, Ragged)
        noisy = labels + noise * np.std(labels) * random.normal(size=len(labels))
        answers.hand_in(split, 1 / (1 + np.exp(-noisy)) if task.type is TaskType.BINARY else noisy)
    metric = PRIMARY[task.type]
    result = Result(
        task=task.id,
        task_type=task.type.value,
        method=method,
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


@pytest.fixture(scope="module")
def stages(shop_dataset: Dataset) -> dict[str, Stages]:
    return {name: Stages(shop_dataset, shop_dataset.task(name), "rolling") for name in TASKS}


@pytest.fixture
def folder(stages: dict[str, Stages], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results of four methods on two tasks, whose dataset can be found by its name."""
    monkeypatch.setenv(PATH_VARIABLE, str(stages["churn"].dataset.folder.parent))
    for one in stages.values():
        for method, noise in NOISE.items():
            for seed in (0, 1):
                store.write(run_of(one, method, seed, noise), tmp_path)
    return tmp_path


def ranked(folder: Path, results: list[Result] | None = None, against: str | None = None) -> pd.DataFrame:
    results = store.read_results(folder) if results is None else results
    return with_uncertainty(leaderboard(results), folder, results, against, draws=200)


def test_intervals_ties_and_differences(folder: Path, stages: dict[str, Stages]) -> None:
    board = ranked(folder)
    assert tuple(board.columns[-len(COLUMNS) :]) == COLUMNS
    assert ((board["low"] < board["test"]) & (board["test"] < board["high"])).all()
    churn = board[board["metric"] == "roc_auc"].set_index("method")
    labels = split_labels(stages["churn"], "test")
    assert (churn["examples"] == len(labels)).all() and (churn["entities"] == len(set(labels.entity.tolist()))).all()
    best = churn.index[0]
    assert churn["tied"].to_dict() == {name: name in ("good", "twin") for name in NOISE}
    others = churn.drop(best)
    assert (others["against"] == best).all() and pd.isna(churn.loc[best, "difference"])
    assert others["difference"].tolist() == pytest.approx((others["test"] - churn.loc[best, "test"]).tolist())
    assert (others["tied"] == others["verdict"].str.endswith("no difference shown")).all()
    assert "worse by" in churn.loc["worst", "verdict"]
    paths = sorted(folder.glob("*__churn/poor/*.parquet"))
    runs = [predictions_for(read_predictions(path), "test", labels, "") for path in paths]
    alone = interval("roc_auc", labels, runs, draws=200)
    assert len(runs) == 2 and churn.loc["poor", ["low", "high"]].tolist() == pytest.approx([alone.low, alone.high])


def test_a_removed_method_changes_no_other(folder: Path) -> None:
    whole = ranked(folder)
    results = store.read_results(folder)
    same = ["test", "test_sd", "val", "coverage", "low", "high", "entities", "examples"]
    for gone in NOISE:
        left = ranked(folder, [one for one in results if one.method != gone])
        both = whole.merge(left, on=["task", "regime", "method"], suffixes=("", "_left"))
        assert len(both) == len(left) == len(whole) - 2
        for name in same:
            pd.testing.assert_series_equal(both[name], both[f"{name}_left"], check_names=False)


def test_differences_to_a_chosen_method(folder: Path) -> None:
    board = ranked(folder, against="poor")
    assert set(board["against"].dropna()) == {"poor"} and board["verdict"].isna().sum() == len(TASKS)
    to_best = ranked(folder)
    assert board["tied"].tolist() == to_best["tied"].tolist()
    best, poor = (frame[frame["metric"] == "roc_auc"].set_index("method") for frame in (to_best, board))
    assert poor.loc["good", "difference"] == pytest.approx(-best.loc["poor", "difference"])
    assert "better by" in poor.loc["good", "verdict"]
    with pytest.raises(InputError, match="no method 'por' to compare with; did you mean 'poor'"):
        ranked(folder, against="por")
    several = [replace(one, config={"depth": depth}) for one in store.read_results(folder) for depth in (1, 2)]
    with pytest.raises(
        InputError, match=r"'poor' has several rows to compare with; name one of them, such as 'poor \(depth"
    ):
        ranked(folder, several, against="poor")
    assert set(ranked(folder, several, against="poor (depth=2)")["against"].dropna()) == {"poor (depth=2)"}


def test_what_cannot_be_made_again_has_no_interval(folder: Path) -> None:
    results = store.read_results(folder)
    # one seed without predictions, one score that its predictions do not give, one whose file is about other examples
    for path in folder.glob("*/good/*-seed1-*.parquet"):
        path.unlink()
    for path in folder.glob("*/worst/*.parquet"):
        table = pq.read_table(path)
        pq.write_table(table.slice(0, len(table) - 1), path)
    changed = [
        replace(one, scores={**one.scores, "test": {one.metric: 0.25}}) if one.method == "poor" else one for one in results
    ]
    with pytest.warns(ResultWarning, match=r"(poor on .* is stored as 0.25, but)|(worst on .* holds)"):
        board = ranked(folder, changed)
    known = board["low"].notna().groupby(board["method"]).any()
    assert known.to_dict() == {"good": False, "twin": True, "poor": False, "worst": False}
    others = [replace(one, dataset_fingerprint="f" * 32) for one in results]
    assert ranked(folder, others)["low"].isna().all() and not ranked(folder, others)["tied"].any()


def test_an_empty_board_and_data_that_are_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(ranked(folder, [])) == 0 and set(COLUMNS) <= set(ranked(folder, []).columns)
    monkeypatch.setenv(PATH_VARIABLE, "")
    assert ranked(folder)["low"].isna().all()
