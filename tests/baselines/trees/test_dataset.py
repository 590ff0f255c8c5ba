"""Labels of one time count as fewer examples than they are, and what they share is taken off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from relbench_harness.baselines.trees.dataset import TreeDataset, concatenated, sampled_rows


def every_second(rows: TreeDataset) -> TreeDataset:
    assert rows.time is not None
    return replace(rows, values=rows.values[::2], labels=rows.labels[::2], time=rows.time[::2])


def test_what_a_time_shares_is_not_learned_and_few_times_are_not_trusted() -> None:
    time = np.repeat([1, 2, 3], [300, 300, 50])
    labels = np.repeat([1.0, 3.0, 9.0], [300, 300, 50]) + np.tile([-0.5, 0.5], 325)
    rows = TreeDataset(np.zeros((650, 1), np.float32), labels, np.zeros(1, bool), time=time)
    level = rows.demeaned_by_time().labels
    np.testing.assert_allclose([level[:300].mean(), level[300:600].mean()], labels.mean())
    np.testing.assert_array_equal(level[600:], labels[600:])
    assert rows.effective_size < every_second(rows).effective_size * 2
    assert replace(rows, time=np.arange(650)).effective_size == 650
    assert replace(rows, time=np.zeros(650, np.int64)).effective_size == pytest.approx(10 * 650**0.5)
    assert replace(rows, time=None).effective_size == 650


def test_rows_follow_one_another_and_outputs_are_columns() -> None:
    one = TreeDataset(
        np.zeros((2, 1), np.float32), np.array([[1.0, 0.0], [0.0, 1.0]]), np.zeros(1, bool), time=np.arange(2)
    )
    two = replace(one, values=one.values + 1, labels=one.labels[::-1])
    both = concatenated([one, two])
    assert both.values[:, 0].tolist() == [0, 0, 1, 1]
    assert both.output(0).labels.tolist() == [1, 0, 0, 1] and both.output(1).labels.tolist() == [0, 1, 1, 0]
    assert both.groups is None and both.time is not None and both.time.tolist() == [0, 1, 0, 1]
    assert concatenated([replace(one, groups=np.array([2]), time=None)] * 2).groups.tolist() == [2, 2]  # type: ignore[union-attr]


@pytest.mark.parametrize(("rows", "most"), [(5, 9), (50, 9)])
def test_a_sample_is_ascending_without_repeats_and_the_same_twice(rows: int, most: int) -> None:
    found = sampled_rows(rows, most, seed=1)
    assert len(found) == min(rows, most) and (np.diff(found) > 0).all() and found.max() < rows
    np.testing.assert_array_equal(found, sampled_rows(rows, most, seed=1))
