"""Simulated staleness: every example sees rows up to one of the lags before its time, never more than it saw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relbench_harness.data.dataset import Dataset
from relbench_harness.protocol.method import Examples
from relbench_harness.protocol.stages import Stages
from relbench_harness.temporal.staleness import simulate_staleness, staleness_of

DAY = 86_400_000_000_000


@pytest.fixture(scope="module")
def train(shop_dataset: Dataset) -> Examples:
    return Stages(shop_dataset, shop_dataset.task("spend"), "frozen").examples("train")


def test_staleness_is_the_time_since_the_end_of_what_is_seen(shop_dataset: Dataset) -> None:
    frozen, rolling = (
        Stages(shop_dataset, shop_dataset.task("churn"), regime).holdout("test").examples
        for regime in ("frozen", "rolling")
    )
    assert len(np.unique(frozen.time)) == 2
    found = staleness_of(frozen)
    expected = {int(time): int(time - cutoff) for time, cutoff in zip(frozen.time, frozen.cutoff, strict=True)}
    assert found.tolist() == [expected[time] for time in sorted(expected)] and found.max() > 0
    assert staleness_of(rolling).tolist() == [0, 0]
    assert len(staleness_of(frozen.take(np.arange(0)))) == 0


@settings(max_examples=30, deadline=None)
@given(lags=st.lists(st.integers(0, 60), min_size=1, max_size=5), seed=st.integers(0, 2**31 - 1), seen=st.integers(0, 40))
def test_cutoffs_move_back_by_one_of_the_lags(train: Examples, lags: list[int], seed: int, seen: int) -> None:
    given_ = replace(train, cutoff=train.time - seen * DAY)
    lag = np.asarray(lags, np.int64) * DAY
    found = simulate_staleness(given_, lag, np.random.default_rng(seed))
    assert set(((found.time - found.cutoff) // DAY).tolist()) <= {max(days, seen) for days in lags}
    assert (found.cutoff <= given_.cutoff).all()
    assert found.labels is given_.labels and found.time is given_.time and found.entity is given_.entity
    np.testing.assert_array_equal(found.cutoff, simulate_staleness(given_, lag, np.random.default_rng(seed)).cutoff)
