"""Windows against a count by hand, row by row."""

from __future__ import annotations

import numpy as np
from made_examples import examples_about

from relbench_harness.data.database import Database
from relbench_harness.features.windows import Windows


def test_a_row_is_seen_strictly_before_the_cut_off(shop: Database) -> None:
    examples = examples_about(shop, "customers", [0, 0, 0, 1, 2], [1, 2, 2.5, 9, 9])
    found = Windows(rows=(1,), days=(1.0,), hops=1).fit(examples).transform(examples)
    assert found["orders[customer] rows"].values.tolist() == [0, 1, 3, 1, 0]
    # the last row by (time, row number) is order 3, paid 3
    np.testing.assert_array_equal(found["orders[customer] paid mean last 1"].values, [np.nan, 1, 3, 5, np.nan])
    np.testing.assert_array_equal(found["orders[customer] paid mean"].values, [np.nan, 1, 2, 5, np.nan])
    np.testing.assert_array_equal(found["orders[customer] rows 1d"].values, [0, 1, 2, 0, 0])


def test_two_hops_wait_for_the_order_in_between(shop: Database) -> None:
    examples = examples_about(shop, "customers", [0, 0, 0], [2, 2.5, 9])
    found = Windows(rows=(1,), days=(1.0,), hops=2).fit(examples).transform(examples)
    # the line that is older than its order counts from the order's time on
    assert found["orders[customer]/lines[order] rows"].values.tolist() == [2, 3, 4]


def test_no_rows_at_all_give_features_of_the_same_names(shop: Database) -> None:
    examples = examples_about(shop, "customers", [0], [9])
    fitted = Windows().fit(examples)
    none = shop.upto(0)
    found = fitted.transform(examples_about(none, "customers", [0, 1], [9, 9]))
    assert found.names == fitted.transform(examples).names
    assert np.isnan(found["orders[customer] paid mean"].values).all()
