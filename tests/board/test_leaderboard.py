"""The leaderboard as a function: what is averaged, what is kept apart, who ranks where."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relbench_harness.board import elo
from relbench_harness.board.leaderboard import COLUMNS, UNKNOWN, leaderboard
from relbench_harness.board.overall import _separable, critical_difference, overall, studentized_range
from relbench_harness.board.render import sheets
from relbench_harness.protocol.result import Result

Make = Callable[..., Result]


def ranked(board: pd.DataFrame) -> list[tuple[int, str]]:
    return list(zip(board["rank"].tolist(), board["method"].tolist(), strict=True))


def test_seeds_are_averaged(result: Make) -> None:
    board = leaderboard([result("gnn", test=score, seed=seed) for seed, score in enumerate([0.70, 0.72, 0.77])])
    (row,) = board.to_dict("records")
    assert row["test"] == pytest.approx(0.73) and row["test_sd"] == pytest.approx(np.std([0.70, 0.72, 0.77], ddof=1))
    assert row["val"] == pytest.approx(0.63) and row["val_sd"] == pytest.approx(row["test_sd"])
    assert (row["scored"], row["runs"], row["coverage"], row["status"]) == (3, 3, 1.0, "ok")
    assert (row["seconds"], row["seconds_warm"], row["peak_memory_mb"]) == (2.0, 1.5, 100.0)
    assert (row["lines_task"], row["lines_method"], row["lines_harness"]) == (0, 10, 1000)


def test_one_seed_has_no_deviation(result: Make) -> None:
    assert math.isnan(leaderboard([result()])["test_sd"][0])


def test_the_better_score_ranks_first_whichever_way_is_better(result: Make) -> None:
    up = [result("a", 0.6), result("b", 0.8), result("c", 0.6)]
    down = [result(m, s, task="rel-f1/driver-position", task_type="regression") for m, s in (("a", 0.6), ("b", 0.8))]
    board = leaderboard(up + down)
    assert ranked(board[board["metric"] == "roc_auc"]) == [(1, "b"), (2, "a"), (2, "c")]
    assert ranked(board[board["metric"] == "nmae"]) == [(1, "a"), (2, "b")]


def test_regimes_and_versions_of_the_data_are_never_mixed(result: Make) -> None:
    board = leaderboard([
        result("a", 0.9, regime="rolling"), result("b", 0.7), result("a", 0.6),
        result("a", 0.95, dataset_fingerprint="bbbbbbbbbbbb", started="2025-01-01T00:00:00+00:00"),
    ])  # fmt: skip
    groups = {key: ranked(group) for key, group in board.groupby(["regime", "data"])}
    assert groups == {
        ("frozen", "aaaaaaaa"): [(1, "b"), (2, "a")],
        ("frozen", "bbbbbbbb"): [(1, "a")],
        ("rolling", "aaaaaaaa"): [(1, "a")],
    }


def test_a_run_that_failed_before_its_data_was_there_joins_the_newest_data(result: Make) -> None:
    board = leaderboard([
        result("a", 0.9, dataset_fingerprint="old_old_", started="2025-01-01T00:00:00+00:00"), result("a", 0.8),
        result("b", None, dataset_fingerprint=""),
    ])  # fmt: skip
    assert ranked(board[board["data"] == "aaaaaaaa"]) == [(1, "a"), (2, "b")]


def test_a_failed_run_ranks_last_and_is_shown(result: Make) -> None:
    board = leaderboard([
        result("whole", 0.55), result("half", 0.9), result("half", None, seed=1, status="timeout"),
        result("none", None), result("nothing", None, status="out_of_memory"), result("undefined", math.nan),
    ])  # fmt: skip
    assert ranked(board) == [(1, "whole"), (2, "half"), (3, "none"), (3, "nothing"), (3, "undefined")]
    told = board.set_index("method")
    assert told["status"].to_dict() == {
        "whole": "ok", "half": "1 of 2: timeout", "none": "error", "nothing": "out_of_memory",
        "undefined": "roc_auc undefined",
    }  # fmt: skip
    assert told["coverage"].to_dict() == {"whole": 1, "half": 0.5, "none": 0, "nothing": 0, "undefined": 0}
    assert told["test"]["half"] == 0.9 and math.isnan(told["test"]["none"])
    assert told["error"]["none"] == "ValueError: no"


def test_the_latest_of_two_equal_runs_counts(result: Make) -> None:
    old = result("a", 0.9, started="2026-01-01T00:00:00+00:00")
    new = result("a", 0.6, started="2026-01-02T00:00:00+00:00")
    mended = [result("b", None, started="2026-01-01T00:00:00+00:00"), result("b", 0.7, started="2026-01-03T00:00:00+00:00")]
    board = leaderboard([new, old, *reversed(mended)]).set_index("method")
    assert board["test"].to_dict() == {"a": 0.6, "b": 0.7}
    assert board["runs"].to_dict() == {"a": 1, "b": 1}


def test_settings_make_rows_of_their_own(result: Make) -> None:
    def config(depth: int) -> dict[str, object]:
        return {"_target_": "x.T", "depth": depth, "features": {"_target_": "x.F", "hops": 2}}

    board = leaderboard([
        result("tree", 0.7, config=config(2)), result("tree", 0.8, config=config(3)), result("constant", 0.5),
        result("constant", 0.5, seed=1, budget={"seed": 1}), result("constant", 0.5, budget={"seed": 0}),
    ])  # fmt: skip
    assert ranked(board) == [(1, "tree (depth=3)"), (2, "tree (depth=2)"), (3, "constant")]
    board = leaderboard([
        result("a", 0.7, fitted_on="train"), result("a", 0.8, fitted_on="train+val"),
        result("b", 0.6, budget={"seed": 0, "threads": 1}), result("b", 0.6, budget={"seed": 0, "threads": 2}),
    ])  # fmt: skip
    names = [(1, "a (fit_on=train+val)"), (2, "a (fit_on=train)"), (3, "b (budget.threads=1)"), (3, "b (budget.threads=2)")]
    assert ranked(board) == names


def test_settings_that_differ_by_task_alone_make_one_method(result: Make) -> None:
    board = leaderboard([
        result("sql", 0.7, task="rel-f1/driver-dnf", config={"path": "dnf.sql"}),
        result("sql", 0.7, task="rel-f1/driver-top3", config={"path": "top3.sql"}),
    ])  # fmt: skip
    assert set(board["method"]) == {"sql"}


def test_machines_are_told(result: Make) -> None:
    ours, theirs = {"cpu": "A", "gpu": None}, {"cpu": "A", "gpu": "H"}
    board = leaderboard([result("a", machine=ours), result("a", seed=1, machine=theirs), result("b", machine=ours)])
    assert board.set_index("method")["machine"].to_dict() == {"a": "2 machines", "b": "A"}


def test_no_results_make_an_empty_board() -> None:
    board = leaderboard([])
    assert list(board.columns) == list(COLUMNS) and len(board) == 0
    assert len(overall(board)) == 0


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_results_does_not_matter(result: Make, order: list[int]) -> None:
    results = [result(m, s, seed=seed) for m, s, seed in
               [("a", 0.6, 0), ("a", 0.7, 1), ("b", None, 0), ("b", 0.9, 1), ("c", 0.65, 0), ("c", 0.65, 1)]]  # fmt: skip
    pd.testing.assert_frame_equal(leaderboard(results), leaderboard([results[i] for i in order]))


# -- across tasks ---------------------------------------------------------------------------------------------------------


def suite(result: Make) -> pd.DataFrame:
    """a beats b beats c on three tasks; c failed on the third, where d was not run either."""
    scores = {"a": [0.9, 0.8, 0.9], "b": [0.8, 0.7, 0.8], "c": [0.7, 0.6, None], "d": [0.6, 0.5]}
    return leaderboard([result(m, s, task=f"x/{i}") for m, each in scores.items() for i, s in enumerate(each)])


def test_ranks_across_tasks(result: Make) -> None:
    table = overall(suite(result)).set_index("method")
    assert table["rank"].to_dict() == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert table["mean_rank"].to_dict() == pytest.approx({"a": 1, "b": 2, "c": (3 + 3 + 3.5) / 3, "d": (4 + 4 + 3.5) / 3})
    assert table["win_rate"].to_dict() == pytest.approx({"a": 1, "b": 2 / 3, "c": 2.5 / 9, "d": 0.5 / 9})
    assert table["coverage"].to_dict() == pytest.approx({"a": 1, "b": 1, "c": 2 / 3, "d": 2 / 3})
    assert table["tasks"].to_dict() == {"a": 3, "b": 3, "c": 3, "d": 2}
    # a beats every other everywhere: no finite rating exists, and none is made up
    assert table["elo"].isna().all()


def test_elo_is_the_odds_of_winning(result: Make) -> None:
    # a beats b on 3 of 4 tasks: odds of 3 to 1
    board = leaderboard(
        [result(m, s, task=f"x/{i}") for i in range(4) for m, s in (("a", 0.7), ("b", 0.8 if i == 0 else 0.6))]
    )
    table = overall(board).set_index("method")
    assert table["elo"]["a"] - table["elo"]["b"] == pytest.approx(400 * math.log10(3), abs=0.01)
    assert table["elo"].mean() == pytest.approx(1000)
    assert table["elo_low"]["a"] <= table["elo"]["a"]
    # some resamples hold no task that a lost
    assert table["elo_high"]["a"] == math.inf and table["elo_low"]["b"] == -math.inf


def test_regimes_rank_apart_and_one_method_alone_does_not_rank(result: Make) -> None:
    board = leaderboard([result("a", 0.7), result("b", 0.6), result("b", 0.9, regime="rolling"), result("a", 0.8, regime="rolling"),])  # fmt: skip
    table = overall(board)
    assert ranked(table[table["regime"] == "frozen"]) == [(1, "a"), (2, "b")]
    assert ranked(table[table["regime"] == "rolling"]) == [(1, "b"), (2, "a")]
    assert table["elo"].isna().all()
    assert len(overall(leaderboard([result("a", 0.7)]))) == 0


def test_critical_differences_of_demsar() -> None:
    # Demšar 2006, section 3.2.2: four classifiers, 14 data sets, q = 2.569
    assert critical_difference(4, 14) == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 14)), abs=1e-3)
    assert math.isnan(critical_difference(4, 1))


# -- results that cannot be compared --------------------------------------------------------------------------------------


def test_two_metrics_never_share_a_column(result: Make) -> None:
    position = {"task": "rel-f1/driver-position", "task_type": "regression"}
    other = {"metric": "mae", "scores": {"val": {"mae": 3.5}, "test": {"mae": 3.76}}}
    board = leaderboard([
        result("ours", 0.57, **position), result("theirs", 3.76, **position, **other),
        result("ours", 0.57, **position, **other),
    ])  # fmt: skip
    assert {key: ranked(group) for key, group in board.groupby("metric")} == {
        "nmae": [(1, "ours")],
        "mae": [(1, "ours"), (1, "theirs")],
    }


def test_results_without_a_fingerprint_are_ranked_apart(result: Make) -> None:
    board = leaderboard([
        result("ours", 0.7), result("theirs", 0.9, dataset_fingerprint="", config={}),
        result("theirs", None, seed=1, dataset_fingerprint="", config={}),
        result("lost", None, dataset_fingerprint=""),
    ])  # fmt: skip
    assert {key: ranked(group) for key, group in board.groupby("data")} == {
        "aaaaaaaa": [(1, "ours"), (2, "lost")],
        UNKNOWN: [(1, "theirs")],
    }
    assert board.set_index("method").loc["theirs", "runs"] == 2


def test_what_cannot_be_compared_is_not_ranked_across_tasks(result: Make) -> None:
    results = [result(m, s, task=f"x/{i}") for i in range(2) for m, s in (("a", 0.8), ("b", 0.7))]
    before = overall(leaderboard(results))
    strange = [result("c", 0.9, task=f"x/{i}", dataset_fingerprint="") for i in range(2)]
    strange += [result("d", 0.9, task=f"x/{i}", metric="lift", scores={"test": {"lift": 9.0}}) for i in range(2)]
    pd.testing.assert_frame_equal(overall(leaderboard([*results, *strange])), before)


@pytest.mark.parametrize("samples", [2, 3, 10, 100])
@pytest.mark.parametrize("share", [0.9, 0.95, 0.99])
def test_the_studentized_range_is_scipys(samples: int, share: float) -> None:
    from scipy import stats

    assert studentized_range(share, samples) == pytest.approx(stats.studentized_range.ppf(share, samples, np.inf), abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 9), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_methods_are_separable_where_they_are_no_strong_component(methods: int, tasks: int, seed: int) -> None:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    ranks = np.random.default_rng(seed).integers(1, methods + 1, (methods, tasks)).astype(np.float64)
    beats = csr_array((ranks[:, None] <= ranks[None, :]).any(axis=2))
    assert _separable(ranks) == (connected_components(beats, directed=True, connection="strong")[0] > 1)


@pytest.mark.parametrize(("methods", "tasks", "seed"), [(2, 7, 1), (4, 5, 1), (4, 5, 2), (9, 12, 3), (12, 2, 4)])
def test_elo_is_benchevals(methods: int, tasks: int, seed: int) -> None:
    from bencheval.elo_utils import EloHelper

    errors = pd.DataFrame(np.random.default_rng(seed).integers(0, 4, (methods, tasks)).astype(float)).rename_axis("method")
    long = errors.rename_axis(columns="task").reset_index().melt("method", value_name="error")
    helper = EloHelper(method_col="method", task_col="task", error_col="error")
    wins = methods - errors.rank(axis=0).to_numpy()
    theirs = helper.compute_mle_elo_from_ranks(long).sort_index().to_numpy()
    assert elo.ratings(wins.sum(axis=1)[None, :], tasks)[0] == pytest.approx(theirs, abs=0.01)
    # theirs stops where the likelihood is flat: far out, where no interval is shown
    drawn = helper.compute_elo_ratings_from_ranks(long, seed=0, BOOTSTRAP_ROUNDS=40, show_process=False)
    expected, found = drawn.sort_index(axis=1).to_numpy(), elo.resampled(wins, 40)
    near = np.abs(expected - 1000).max(axis=1) < 1000
    assert near.any() and found[near] == pytest.approx(expected[near], abs=0.5)
    assert (np.abs(found[~near] - 1000).max(axis=1) > 900).all()


def test_a_method_that_gave_way_is_marked(result: Make) -> None:
    gave_way = [result("gnn", seed=0, notes={"fallback": "constant"}), result("gnn", seed=1)]
    board = leaderboard([*gave_way, result("trees")]).set_index("method")
    assert board.loc["gnn", "fallback"] == "constant in 1 of 2 runs" and board.loc["trees", "fallback"] is None
    (sheet,) = sheets(board.reset_index())
    assert "gnn is worse on validation than a trivial method and gave way to constant in 1 of 2 runs." in sheet.notes
