"""Precision, gain and lift against plain counting, ties, capacities of several times, hit rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_examples import made_task

from relbench_harness.board.predictions import SplitLabels
from relbench_harness.data.task import TaskType
from relbench_harness.protocol.method import Ragged
from relbench_harness.protocol.metrics import lift
from relbench_harness.trial.targeting import at_capacity, at_share, deciles, hit_rate, interval, precisions, top_positives

binary = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=1, max_size=40)


@given(binary, st.integers(1, 45))
def test_the_top_holds_what_a_mean_over_all_orders_of_ties_holds(rows: list[tuple[int, int]], number: int) -> None:
    truth, given_ = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    expected = left = 0.0
    left = min(number, len(rows))
    for value in sorted(set(given_), reverse=True):
        tied = truth[given_ == value]
        part = min(left, len(tied))
        expected += part * tied.mean()
        left -= part
    assert math.isclose(top_positives(truth, given_, number), expected, abs_tol=1e-9)


@given(binary, st.sampled_from([1, 5, 10]))
def test_lift_is_that_of_the_metrics(rows: list[tuple[int, int]], percent: int) -> None:
    truth, given_ = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    found = at_share(truth, given_, percent)
    if truth.sum():
        assert math.isclose(found.lift, lift(truth, given_, percent), abs_tol=1e-9)
        assert math.isclose(at_share(truth, given_, 100).gain, 1.0)
    else:
        assert math.isnan(found.lift) and math.isnan(found.gain)


def test_a_capacity_is_per_time() -> None:
    truth = np.array([1, 0, 0, 1, 1, 1.0])
    given_ = np.array([0.9, 0.8, 0.1, 0.3, 0.2, 0.1])
    time = np.array([1, 1, 1, 2, 2, 2])
    found = at_capacity(truth, given_, time, 2)
    assert (found.number, found.positives, found.precision) == (4, 3.0, 0.75)
    assert found.gain == 0.75 and math.isclose(found.lift, 0.75 / (4 / 6))
    assert at_capacity(truth, given_, time, 100).number == 6


def test_intervals_of_precision_hold_it_and_a_better_order_is_seen() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.uniform(size=600) < 0.3).astype(np.float64)
    good, poor = truth + rng.normal(0, 0.5, 600), rng.normal(size=600)
    labels = SplitLabels(made_task("customer", TaskType.BINARY), np.arange(600), np.repeat([1, 2], 300), truth)
    same = np.zeros(600)
    made = precisions(labels, truth, {"good": good, "poor": poor, "same": same}, 50)
    for name, given_ in (("good", good), ("poor", poor), ("same", same)):
        low, high = interval(made[name], labels)
        assert low < at_capacity(truth, given_, labels.time, 50).precision < high
    assert interval(made["good"] - made["poor"], labels)[0] > 0.2


def test_deciles_and_hit_rates() -> None:
    values = np.arange(100.0)
    assert [group.size for group in deciles(values, values)] == [10] * 10
    truth = Ragged(np.array([0, 1, 1, 3]), np.array([4, 7, 8]))
    named = np.array([[1, 4], [4, 7], [8, 1]])
    assert hit_rate(truth, named, 1) == 0.5
    assert hit_rate(truth, named, 2) == 1.0
    assert math.isnan(hit_rate(Ragged(np.array([0, 0]), np.zeros(0, np.int64)), named[:1], 1))


def test_a_percentage_takes_at_least_one() -> None:
    assert at_share(np.array([1.0, 0.0]), np.array([0.2, 0.1]), 1) == (1, 1.0, 1.0, 1.0, pytest.approx(2.0))
