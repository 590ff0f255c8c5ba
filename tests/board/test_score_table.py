"""The table of all scores says what the leaderboard says, in every medium."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relbench_harness.board import render
from relbench_harness.board.leaderboard import leaderboard
from relbench_harness.board.score_table import latex_score_tables, score_sheets, score_tables
from relbench_harness.protocol.result import Result

Make = Callable[..., Result]


def less(value: float) -> dict[str, object]:
    """What makes a result one of which less is better."""
    return {
        "task": "rel-f1/driver-position",
        "metric": "nmae",
        "higher_is_better": False,
        "scores": {"test": {"nmae": value}},
    }


@pytest.fixture
def results(result: Make) -> list[Result]:
    return [
        result("gnn", 0.81),
        result("gnn", 0.83, seed=1),
        result("trees", 0.9),
        result("broken", None, status="timeout", error="TimeoutError: after 5 s"),
        result("gnn", **less(0.3)),
        result("trees", **less(0.4), notes={"fallback": "constant"}),
    ]


def test_each_cell_is_the_score_of_its_row(results: list[Result]) -> None:
    (sheet,) = score_sheets(leaderboard(results))
    assert sheet.title == "Scores on test, frozen"
    assert sheet.headings == ("method", "driver-dnf: roc_auc ↑", "driver-position: nmae ↓")
    assert set(sheet.rows) == {
        ("gnn", "0.8200 ± 0.0141", "0.3000"),
        ("trees", "0.9000", "0.4000 ‡"),
        ("broken", "–", "–"),
    }
    strong = {sheet.rows[i][0] + sheet.headings[j] for i, j in sheet.strong}
    assert strong == {"gnndriver-position: nmae ↓", "treesdriver-dnf: roc_auc ↑"}
    assert any("trivial method" in note for note in sheet.notes)


def test_the_longer_side_goes_down(result: Make) -> None:
    board = leaderboard([result(name, 0.5 + i / 10, task=f"rel-f1/t{i}") for i in range(3) for name in ("a", "b")])
    (sheet,) = score_sheets(board)
    assert sheet.headings == ("task", "a", "b")
    assert [row[0] for row in sheet.rows] == ["t0: roc_auc ↑", "t1: roc_auc ↑", "t2: roc_auc ↑"]
    # both are the best where they are equal
    assert sheet.strong == {(i, j) for i in range(3) for j in (1, 2)}


def test_tasks_of_several_datasets_and_versions_are_told_apart(result: Make) -> None:
    board = leaderboard([
        result("a", task="x/t"), result("b", task="x/t"), result("a", task="y/t"), result("b", task="y/t"),
        result("a", task="y/t", dataset_fingerprint="bbbbbbbbbbbb"),
    ])  # fmt: skip
    (table,) = score_tables(board)
    assert [table.heading(group) for group in table.groups] == [
        "x/t: roc_auc ↑",
        "y/t, data aaaaaaaa: roc_auc ↑",
        "y/t, data bbbbbbbb: roc_auc ↑",
    ]


def test_the_true_answers_stand_last_and_are_never_the_best(results: list[Result]) -> None:
    board = leaderboard(results)
    board["optimal"] = [0.99 if task == "rel-f1/driver-dnf" else math.nan for task in board["task"]]
    (sheet,) = score_sheets(board)
    assert sheet.rows[-1] == ("Bayes-optimal", "0.9900", "–")
    assert all(i < len(sheet.rows) - 1 for i, _ in sheet.strong)
    assert r"Bayes{-}optimal & 0.9900 & -- \\" in latex_score_tables(board)[0]


def test_every_medium_has_the_table(results: list[Result]) -> None:
    board = leaderboard(results)
    assert "| trees | **0.9000** | 0.4000 ‡ |" in render.markdown(board)
    assert '<th scope="row" class="text">trees</th><td><strong>0.9000</strong></td><td>0.4000 ‡</td>' in render.html(board)
    latex = render.FORMATS["latex"][1](board)
    assert r"trees & \textbf{0.9000} & \underline{0.4000} $\ddagger$ \\" in latex
    assert r"Method & driver{-}dnf: roc\_auc $\uparrow$ & driver{-}position: nmae $\downarrow$ \\" in latex


def test_one_task_or_one_method_has_no_table(result: Make) -> None:
    for few in ([], [result("a"), result("b")], [result("a", task="x/t"), result("a", task="x/u")]):
        assert score_sheets(leaderboard(few)) == [] and latex_score_tables(leaderboard(few)) == []


@settings(deadline=None, max_examples=30)
@given(st.dictionaries(st.tuples(st.sampled_from("abcd"), st.sampled_from("tuv")), st.integers(0, 10), min_size=1))
def test_no_cell_is_lost_or_made_up(result: Make, scores: dict[tuple[str, str], int]) -> None:
    board = leaderboard([replace(result(m, v / 10), task=f"d/{t}") for (m, t), v in scores.items()])
    for table in score_tables(board):
        shown = {
            (m, group[0][-1]): row
            for group in table.groups
            for m, row in zip(table.methods, table.column(group), strict=True)
        }
        assert {key: round(row["test"] * 10) for key, row in shown.items() if row} == scores
        for group in table.groups:
            values = [row["test"] if row else -1 for row in table.column(group)]
            assert [value == max(values) for value in values] == table.best(group)


def test_the_order_is_that_of_the_ranking_across_tasks(result: Make) -> None:
    board: pd.DataFrame = leaderboard(
        [result(m, v, task=f"d/{t}") for t in "tu" for m, v in (("a", 0.5), ("b", 0.9), ("c", 0.7))]
    )
    (table,) = score_tables(board)
    assert table.methods == ("b", "c", "a")
