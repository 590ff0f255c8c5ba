"""The ceiling of tasks whose truth is known, and the share of the way to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relbench_harness.board.causes import CHANCE, by_cause
from relbench_harness.board.ceiling import ceiling, with_ceilings
from relbench_harness.board.leaderboard import leaderboard
from relbench_harness.board.render import sheets
from relbench_harness.data.dataset import open_task
from relbench_harness.errors import ResultWarning
from relbench_harness.protocol.metrics import PRIMARY
from relbench_harness.protocol.result import Result

TASKS = ("customer-churn", "customer-spend", "customer-products", "product-category", "customer-fraud")


@pytest.mark.parametrize("name", TASKS)
def test_the_true_answers_are_better_than_a_constant(name: str) -> None:
    dataset, task = open_task(f"rel-shop@scale=1/{name}")
    found = ceiling(dataset, task, draws=5)
    assert found is not None
    metric = PRIMARY[task.type]
    gain = found.reached[metric.name] - found.constant[metric.name]
    assert (gain > 0) == metric.higher_is_better and gain != 0
    assert found.share(found.reached[metric.name]) == pytest.approx(1)
    assert found.share(found.constant[metric.name]) == pytest.approx(0)
    assert found.spread[metric.name] > 0


def outcome(test: float, method: str, task: str, fingerprint: str) -> Result:
    return Result(
        task=task,
        task_type="binary_classification",
        method=method,
        config={},
        seed=0,
        regime="rolling",
        fitted_on="train",
        status="ok",
        metric="roc_auc",
        higher_is_better=True,
        scores={"val": {"roc_auc": test}, "test": {"roc_auc": test}},
        dataset_fingerprint=fingerprint,
        started="2026-01-01T00:00:00+00:00",
    )


@pytest.fixture(scope="module")
def board() -> pd.DataFrame:
    address = "rel-shop@scale=1/customer-churn"
    dataset, _ = open_task(address)
    known = [outcome(v, m, address, dataset.database.fingerprint) for v, m in ((0.5, "constant"), (0.65, "middling"))]
    other = replace(known[0], dataset_fingerprint="0" * 32)
    elsewhere = outcome(0.7, "middling", "no-such-dataset/task", "1" * 32)
    return with_ceilings(leaderboard([*known, other, elsewhere]))


def test_each_method_has_its_share_of_the_way(board: pd.DataFrame) -> None:
    shop = board[board["task"].str.startswith("rel-shop") & (board["data"] != "00000000")].set_index("method")
    assert shop.loc["constant", "way"] == pytest.approx(0)
    expected = 0.15 / (shop.loc["middling", "optimal"] - 0.5)
    assert shop.loc["middling", "way"] == pytest.approx(expected)
    assert 0 < expected < 1


def test_no_truth_is_claimed_of_other_data(board: pd.DataFrame) -> None:
    others = board[~board["task"].str.startswith("rel-shop") | (board["data"] == "00000000")]
    assert len(others) == 2
    assert np.isnan(others[["optimal", "way"]].to_numpy(dtype=float)).all()


def test_the_sheet_shows_the_optimal_row_where_it_is_known(board: pd.DataFrame) -> None:
    shown = {sheet.title: sheet for sheet in sheets(board)}
    known = [s for s in shown.values() if any("Bayes-optimal" in row for row in s.rows)]
    assert len(known) == 1
    assert all(len(row) == len(known[0].headings) for row in known[0].rows)
    assert "of the way" in known[0].headings
    assert all("of the way" not in s.headings for s in shown.values() if s is not known[0] and "All" not in s.title)


def test_methods_by_causes() -> None:
    scores = {"rude": 0.55, "recency": 0.6}
    results = []
    for cause, value in scores.items():
        address = f"rel-shop@scale=0.5,causes={cause}/customer-churn"
        fingerprint = open_task(address)[0].database.fingerprint
        results += [outcome(0.5, "constant", address, fingerprint), outcome(value, "middling", address, fingerprint)]
    board = with_ceilings(leaderboard(results))
    table = by_cause(board)
    assert set(table.columns) == set(scores)
    assert table.loc["constant"].abs().max() < 1e-9
    for cause in scores:
        row = board[board["task"].str.contains(cause) & (board["method"] == "middling")].iloc[0]
        assert table.loc["middling", cause] == row["way"] > 0
        assert table.loc[CHANCE, cause] == pytest.approx(row["stated_sd"] / (row["optimal"] - row["constant"]))
    assert sheets(board)[-1].headings == ("method", *table.columns)


def test_a_board_of_other_tasks_has_no_table_of_causes(board: pd.DataFrame) -> None:
    assert by_cause(board).empty


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b""), lambda path: path.unlink()])
def test_a_truth_that_cannot_be_read_keeps_nobody_from_being_ranked(
    damage: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELBENCH_HARNESS_CACHE", str(tmp_path))
    address = "rel-shop@scale=0.1/customer-churn"
    made = leaderboard([outcome(0.5, "constant", address, open_task(address)[0].database.fingerprint)])
    for path in tmp_path.rglob("truth/*.arrow"):
        damage(path)
    with pytest.warns(ResultWarning, match="customer-churn is ranked without its best possible score: "):
        board = with_ceilings(made)
    assert board.equals(made)
