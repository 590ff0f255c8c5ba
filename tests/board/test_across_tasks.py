"""Scores that tasks share, who beats whom, and another metric to rank by."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relbench_harness.board.leaderboard import leaderboard
from relbench_harness.board.metric_choice import LOWER_IS_BETTER, METRICS, ranked_by
from relbench_harness.board.normalised import with_normalised
from relbench_harness.board.overall import overall, win_matrix
from relbench_harness.board.published import PublishedRow
from relbench_harness.errors import InputError
from relbench_harness.protocol.metrics import PRIMARY
from relbench_harness.protocol.result import Result

Make = Callable[..., Result]
SCORES = st.dictionaries(
    st.sampled_from("abcde"),
    st.lists(st.one_of(st.none(), st.sampled_from([0.5, 0.6, 0.7, 0.8])), min_size=3, max_size=3),
    min_size=2,
)


def board_of(result: Make, scores: dict[str, list[float | None]]) -> pd.DataFrame:
    return leaderboard([result(m, s, task=f"x/{i}") for m, each in scores.items() for i, s in enumerate(each)])


def test_normalised_scores_lie_between_the_constant_and_the_best(result: Make) -> None:
    nmae = {"task_type": "regression", "task": "x/2"}
    results = [
        result("constant", 0.5, task="x/1"), result("a", 0.7, task="x/1"), result("b", 0.9, task="x/1"), result("c", 0.4, task="x/1"),
        result("constant", 1.0, **nmae), result("a", 0.6, **nmae), result("b", 0.2, **nmae), result("c", None, **nmae),
    ]  # fmt: skip
    board = with_normalised(leaderboard(results))
    found = board.pivot(index="method", columns="task", values="normalised")
    assert found["x/1"].to_dict() == pytest.approx({"constant": 0, "a": 0.5, "b": 1, "c": -0.25})
    assert found["x/2"].drop("c").to_dict() == pytest.approx({"constant": 0, "a": 0.5, "b": 1})
    # nothing stands in place of a score that is missing
    across = overall(board).set_index("method")["normalised"]
    assert math.isnan(found.loc["c", "x/2"]) and math.isnan(across["c"])
    assert across["a"] == pytest.approx(0.5)
    known = with_normalised(leaderboard(results), [PublishedRow("m", "x/2", "nmae", 0.0, "frozen", "s")])
    assert known.set_index(["task", "method"]).loc[("x/2", "a"), "normalised"] == pytest.approx(0.4)
    alone = with_normalised(leaderboard([r for r in results if r.method != "constant"]))
    assert alone["normalised"].isna().all()


@settings(max_examples=8, deadline=None)
@given(scores=SCORES)
def test_win_rates_are_the_means_of_the_matrix_and_depend_on_no_third(
    result: Make, scores: dict[str, list[float | None]]
) -> None:
    board = board_of(result, scores)
    wins, rates = win_matrix(board, "frozen"), overall(board).set_index("method")["win_rate"]
    assert wins.mean(axis=1).to_dict() == pytest.approx(rates.to_dict())
    both = wins.to_numpy() + wins.to_numpy().T
    assert np.allclose(both[~np.eye(len(wins), dtype=bool)], 1) and np.isnan(np.diag(wins)).all()
    gone = sorted(scores)[0]
    if len(scores) > 2:
        left = win_matrix(board_of(result, {m: s for m, s in scores.items() if m != gone}), "frozen")
        pd.testing.assert_frame_equal(left, wins.loc[left.index, left.columns])


@settings(max_examples=8, deadline=None)
@given(scores=SCORES)
def test_a_removed_method_changes_no_score_or_coverage(result: Make, scores: dict[str, list[float | None]]) -> None:
    whole = board_of(result, scores).set_index(["task", "method"])
    for gone in scores:
        left = board_of(result, {m: s for m, s in scores.items() if m != gone}).set_index(["task", "method"])
        for name in ("test", "val", "coverage", "scored", "seconds", "status"):
            pd.testing.assert_series_equal(left[name], whole.loc[left.index, name], check_dtype=False)


def test_failures_are_last_whatever_is_ranked_by(result: Make) -> None:
    stored = {"test": {"roc_auc": 0.6, "log_loss": 0.9}}
    results = [result("a", 0.6, scores=stored), result("b", 0.7, scores={"test": {"roc_auc": 0.7, "log_loss": 0.3}})]
    results += [result("c", None), result("old", 0.9), result("d", 0.4, task="x/y", task_type="regression")]
    board = leaderboard(ranked_by("log_loss", results))
    assert board["method"].tolist() == ["b", "a", "c", "old"] and board["test"].tolist()[:2] == [0.3, 0.9]
    assert not board["higher_is_better"].any() and board["status"].tolist()[2:] == ["error", "log_loss undefined"]
    assert board["test"][2:].isna().all()


def test_an_unknown_metric_is_one_sentence_with_the_nearest(result: Make) -> None:
    with pytest.raises(InputError, match="there is no metric 'rocauc'; did you mean 'roc_auc'"):
        ranked_by("rocauc", [result()])
    with pytest.raises(InputError, match="none of the tasks has the metric 'mae'"):
        ranked_by("mae", [result()])


def test_the_direction_of_each_metric_is_that_of_the_tasks() -> None:
    assert LOWER_IS_BETTER < METRICS
    for metric in PRIMARY.values():
        assert metric.name in METRICS and metric.higher_is_better == (metric.name not in LOWER_IS_BETTER)


def test_a_board_of_one_other_metric_is_ranked_across_tasks(result: Make) -> None:
    results = [
        result(m, s, task=f"x/{i}", task_type="regression", scores={"test": {"mae": s, "nmae": s}})
        for i in range(2) for m, s in (("a", 1.0), ("b", 2.0))
    ]  # fmt: skip
    table = overall(leaderboard(ranked_by("mae", results)))
    assert table["method"].tolist() == ["a", "b"] and (table["tasks"] == 2).all()


def test_a_win_is_a_task_where_one_ranks_before_the_other_and_a_failure_loses(result: Make) -> None:
    scores: dict[str, list[float | None]] = {"a": [0.9, 0.8, 0.7], "b": [0.8, 0.9, 0.7], "c": [None, 0.1, 0.1]}
    rates = win_matrix(board_of(result, scores), "frozen")
    assert rates.at["a", "b"] == rates.at["b", "a"] == 0.5
    assert rates.at["a", "c"] == 1.0 and rates.at["c", "a"] == 0.0 and math.isnan(rates.at["a", "a"])
