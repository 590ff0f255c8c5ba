"""Intervals of a backtest are those of boards, and stability indices are those of the formula."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from relbench_harness.backtests.carry_out import Cell
from relbench_harness.backtests.origins import origins
from relbench_harness.backtests.plan import Plan
from relbench_harness.backtests.scoring import joint, scored_cells, seconds_of
from relbench_harness.backtests.shift import by_category, by_quantiles, column_shifts, label_shift, near, stability
from relbench_harness.board.intervals import interval, resampled
from relbench_harness.board.paired import paired
from relbench_harness.board.predictions import SplitLabels, split_labels
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.table import nanoseconds

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def labels(shop_dataset: Dataset) -> list[SplitLabels]:
    """Those of two origins."""
    opened = (shop_dataset, shop_dataset.task("churn"))
    return [split_labels(one, "test") for one in origins(opened, Plan(3, "horizon"), "frozen")]


@pytest.fixture(scope="module")
def cells(labels: list[SplitLabels]) -> list[Cell]:
    """`every` knows something of the labels, `never` does not."""
    found = []
    for origin, one in enumerate(labels):
        truth = np.asarray(one.labels, np.float64)
        noise = RANDOM.random(len(one))
        found.append(Cell("never", origin, 0, 10.0 * origin, one, noise, 3.0 * (origin == 0), 1.0))
        found.append(Cell("every", origin, origin, 0.0, one, noise if origin == 0 else truth * 0.4 + noise * 0.6, 3.0, 1.0))
    return found


def test_scores_and_differences_of_an_origin_are_those_of_boards(cells: list[Cell]) -> None:
    found = scored_cells("roc_auc", cells, draws=200)
    never, every = cells[2], cells[3]
    assert found.intervals["every", 1] == interval("roc_auc", every.labels, [every.predictions], 200)
    gain = next(g for g in found.gains if g.origin == 1)
    assert (gain.first, gain.second, gain.age) == ("every", "never", 10.0)
    assert gain.difference == paired("roc_auc", every.labels, [every.predictions], [never.predictions], 200)
    assert not [g for g in found.gains if g.origin == 0]


def test_the_mean_over_origins_draws_an_entity_at_all_of_them(cells: list[Cell]) -> None:
    later = cells[3::2]
    found = joint("roc_auc", later, 200)
    each = [resampled("roc_auc", c.labels, [c.predictions], 200) for c in later]
    assert all(np.array_equal(c.labels.entity, later[0].labels.entity) for c in later)
    # all customers are at every origin, so the draws are the same ones
    assert found.actual == pytest.approx(np.mean([one.actual for one in each], axis=0))
    assert found.drawn == pytest.approx(np.mean([one.drawn for one in each], axis=0), nan_ok=True)
    whole = next(g for g in scored_cells("roc_auc", cells, 200).gains if g.origin is None)
    assert whole.age == 15.0 and whole.difference.shown and whole.difference.low > 0


def test_an_origin_without_an_answer_has_no_mean(cells: list[Cell]) -> None:
    broken = [*cells[:-1], cells[-1].__class__("every", 2, 2, 0.0, cells[-1].labels, None, error="no")]
    found = scored_cells("roc_auc", broken, 50)
    assert set(found.means) == {"never"} and [g.origin for g in found.gains] == [1]


def test_seconds_are_added_up_by_policy(cells: list[Cell]) -> None:
    assert (seconds_of(cells, "never"), seconds_of(cells, "every")) == ((3.0, 3.0), (9.0, 3.0))


def test_the_stability_index_is_that_of_the_formula() -> None:
    before, now = np.array([60.0, 40.0]), np.array([20.0, 80.0])
    q, p = (np.array([60.5, 40.5]) / 101, np.array([20.5, 80.5]) / 101)
    assert stability(before, now) == pytest.approx(sum((p - q) * np.log(p / q)))
    assert stability(before, 3 * before) < 1e-3
    assert math.isnan(stability(before, np.zeros(2)))


def test_bins_are_deciles_or_frequent_categories_and_one_for_what_is_missing() -> None:
    numbers = pa.chunked_array([pa.array([float(i) for i in range(100)])])
    assert by_quantiles(numbers)(numbers).tolist() == [10.0] * 10 + [0.0]
    assert by_quantiles(numbers)(pa.chunked_array([[None, 1e9, -5.0]])).tolist() == [1.0, *[0.0] * 8, 1.0, 1.0]
    names = pa.chunked_array([["a"] * 3 + ["b"] * 2 + [None]])
    assert by_category(names)(pa.chunked_array([["b", "c", None, None]])).tolist() == [0.0, 1.0, 1.0, 2.0]


def test_a_column_that_moved_is_first_and_nothing_later_is_read(shop_dataset: Dataset) -> None:
    opened = (shop_dataset, shop_dataset.task("churn"))
    stages = origins(opened, Plan(2, "horizon"), "frozen")
    cut = nanoseconds(stages[-1].dataset.cuts.val)
    moved = []
    for one in stages:
        dataset, table = one.dataset, one.dataset.database["order"]
        assert table.times is not None
        column = """amount "now" paid"""
        paid = np.where(table.times >= cut, 1e6, 1.0) + np.arange(len(table)) % 7
        rows = table.rows.set_column(table.rows.column_names.index(column), column, pa.array(paid))
        tables = [
            table.__class__(**{**vars_of(t), "rows": rows}) if t.name == "order" else t for t in dataset.database.values()
        ]
        dataset.__dict__["database"] = dataset.database.__class__(tables)
        moved.append(one.__class__(dataset, one.task, one.regime))
    assert all(math.isnan(one.largest) for one in column_shifts(moved, fewest=10**6))
    first = column_shifts(moved, fewest=20)[0]
    assert (first.table, first.column) == ("order", column)
    # the first origin lies where the values begin to be others
    assert first.indices[0] < 0.1 and first.indices[1] > 2
    assert set(near(stages[0].shown, stages[0].task)) == {"customer", "order", "tickets", "visits", "order lines"}


def vars_of(table: object) -> dict[str, object]:
    names = ("name", "key", "time", "references", "origin", "dropped", "stypes")
    return {name: getattr(table, name) for name in names}


@pytest.mark.parametrize("task", ["churn", "spend", "channel", "channels", "basket"])
def test_labels_of_every_type_have_a_shift(shop_dataset: Dataset, task: str) -> None:
    stages = origins((shop_dataset, shop_dataset.task(task)), Plan(2, "horizon"), "frozen")
    found = label_shift(stages)
    assert len(found.indices) == 2 and all(0 <= index < 3 for index in found.indices)
    assert math.isnan(found.before) == (task == "channel")
    if task == "churn":
        assert found.means[0] == pytest.approx(float(np.mean(stages[0].labels("test").target.to_pylist())))
