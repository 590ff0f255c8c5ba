"""Windows against a count by hand, row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relbench_harness.data.database import Database
from relbench_harness.features.history import History, available, child_paths, owners
from relbench_harness.features.windows import Stretches, Windows

DAY = 86_400_000_000_000
Ask = Callable[..., Any]


def test_a_row_is_seen_strictly_before_the_cut_off(shop: Database, questions: Ask) -> None:
    asked = questions(shop, "customers", [0, 0, 0, 1, 2], [1, 2, 2.5, 9, 9])
    found = Windows(rows=(1,), days=(1.0,), hops=1).fit(asked).transform(asked)
    assert found["orders[customer] rows"].values.tolist() == [0, 1, 3, 1, 0]
    # the last row by (time, row number) is order 3, paid 3
    np.testing.assert_array_equal(found["orders[customer] paid mean last 1"].values, [np.nan, 1, 3, 5, np.nan])
    np.testing.assert_array_equal(found["orders[customer] paid mean"].values, [np.nan, 1, 2, 5, np.nan])
    np.testing.assert_array_equal(found["orders[customer] rows 1d"].values, [0, 1, 2, 0, 0])


def test_two_hops_wait_for_the_order_in_between(shop: Database, questions: Ask) -> None:
    asked = questions(shop, "customers", [0, 0, 0], [2, 2.5, 9])
    found = Windows(rows=(1,), days=(1.0,), hops=2).fit(asked).transform(asked)
    # the line that is older than its order counts from the order's time on
    assert found["orders[customer]/lines[order] rows"].values.tolist() == [2, 3, 4]


def test_no_rows_at_all_give_features_of_the_same_names(shop: Database, questions: Ask) -> None:
    asked = questions(shop, "customers", [0], [9])
    fitted = Windows().fit(asked)
    none = shop.upto(0)
    found = fitted.transform(questions(none, "customers", [0, 1], [9, 9]))
    assert found.names == fitted.transform(asked).names
    assert np.isnan(found["orders[customer] paid mean"].values).all()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_history_is_what_a_loop_finds(shop: Database, data: st.DataObject) -> None:
    who = np.asarray(data.draw(st.lists(st.integers(-1, 2), min_size=1, max_size=8)))
    when = np.asarray([data.draw(st.integers(0, 10)) * DAY // 2 for _ in who])
    for path in child_paths(shop, "customers", 2):
        history = History.along(shop, path)
        owner, at = owners(shop, path), available(shop, path)
        first, last = history.seen(who, when)
        for i, (entity, t) in enumerate(zip(who, when, strict=True)):
            expected = [r for r in range(len(owner)) if owner[r] == entity >= 0 and at[r] < t]
            assert sorted(history.rows[first[i] : last[i]]) == expected


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=30),
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(1, 5),
)
def test_stretches_equal_numpy(values: list[float | None], one: int, two: int, count: int) -> None:
    array = np.asarray([np.nan if v is None else v for v in values])
    begin, end = np.asarray([min(one, two, len(array))]), np.asarray([min(max(one, two), len(array))])
    inside = array[begin[0] : end[0]]
    inside = inside[~np.isnan(inside)]
    stretches = Stretches(array, np.array([0, len(array)]))
    scale = 1e-7 * (1 + np.nanmax(np.abs(array), initial=0.0))
    mean = stretches.mean(begin, end)[0]
    assert (np.isnan(mean) and not len(inside)) or mean == pytest.approx(inside.mean(), abs=scale)
    std = stretches.std(begin, end)[0]
    # the square root of a difference keeps half the digits
    assert (np.isnan(std) and len(inside) < 2) or std == pytest.approx(inside.std(ddof=1), abs=3e-4 * scale * 1e7)
    low, high = stretches.extremes(begin, end, count)
    tail = array[max(begin[0], end[0] - count) : end[0]]
    tail = tail[~np.isnan(tail)]
    assert (np.isnan(low[0]) and not len(tail)) or (low[0], high[0]) == (tail.min(), tail.max())
