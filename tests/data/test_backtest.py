"""Backtests: cut points moved back, the test split of one is the dataset's validation split, and later rows are gone."""

from __future__ import annotations

import numpy as np
import pytest

from relbench_harness.data.dataset import Dataset, open_dataset
from relbench_harness.data.table import nanoseconds
from relbench_harness.errors import InputError


@pytest.mark.parametrize("name", ["churn", "spend", "channel", "channels", "basket"])
def test_the_test_split_of_a_backtest_is_the_validation_split(shop_dataset: Dataset, name: str) -> None:
    moved = open_dataset(f"{shop_dataset.folder}@backtest=1")
    task = shop_dataset.task(name)
    ours, theirs = moved.labels(moved.task(name), "test"), shop_dataset.labels(task, "val")
    # the last window of a backtest ends with its data
    kept = theirs.time <= ours.time.max()
    assert np.array_equal(ours.time, theirs.time[kept]) and np.array_equal(ours.entity, theirs.entity[kept])
    assert ours.target.to_pylist() == theirs.target.filter(kept).to_pylist()


def test_nothing_after_the_labels_of_a_backtest_is_left(shop_dataset: Dataset) -> None:
    span = shop_dataset.cuts.test - shop_dataset.cuts.val
    for spans in (1, 2):
        moved = open_dataset(f"{shop_dataset.folder}@backtest={spans}")
        assert (
            moved.cuts.test == shop_dataset.cuts.test - spans * span
            and moved.cuts.val == shop_dataset.cuts.val - spans * span
        )
        for table in moved.database.values():
            assert table.times is None or not len(table) or table.times[-1] <= nanoseconds(moved.cuts.test + span)
        assert any(len(table) < len(shop_dataset.database[name]) for name, table in moved.database.items())


def test_a_backtest_shares_the_stored_database_and_is_a_dataset_of_its_own(shop_dataset: Dataset) -> None:
    moved = open_dataset(f"{shop_dataset.folder}@backtest=1")
    assert moved.stored == open_dataset(str(shop_dataset.folder)).stored
    assert moved.task("churn").id == "shop@backtest=1/churn"


@pytest.mark.parametrize("value", ["0", "-1", "one", "true", "1.5"])
def test_a_backtest_that_is_no_number_of_spans_is_refused(shop_dataset: Dataset, value: str) -> None:
    with pytest.raises(InputError, match="whole number from 1"):
        open_dataset(f"{shop_dataset.folder}@backtest={value}")
