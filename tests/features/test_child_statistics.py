"""Statistics of child tables against a count by hand, row by row."""

from __future__ import annotations

import numpy as np
from made_examples import examples_about, made_task

from relbench_harness.data.database import Database
from relbench_harness.features.child_statistics import ChildStatistics

ORDERS = "orders[customer]"


def test_rows_count_strictly_before_the_cut_off(shop: Database) -> None:
    examples = examples_about(shop, "customers", [0, 0, 0, 1, 2], [1, 2, 2.5, 9, 9], task=made_task("customers", days=1))
    found = ChildStatistics().fit(examples).transform(examples)
    assert found[f"{ORDERS} rows"].values.tolist() == [0, 1, 3, 1, 0]
    # Δ is a day, and a window [cut-off − Δ, cut-off) holds its first instant
    assert found[f"{ORDERS} rows 1d"].values.tolist() == [0, 1, 2, 0, 0]
    assert found[f"{ORDERS} rows 4d"].values.tolist() == [0, 1, 3, 0, 0]
    np.testing.assert_array_equal(found[f"{ORDERS} days since the last"].values, [np.nan, 1, 0.5, 7, np.nan])
    # the missing amount does not count, and an order of a week ago is too old for a mean
    np.testing.assert_array_equal(found[f"{ORDERS} paid mean"].values, [np.nan, 1, 2, np.nan, np.nan])


def test_only_the_first_numbers_are_averaged_and_names_do_not_depend_on_rows(shop: Database) -> None:
    examples = examples_about(shop, "customers", [0], [9])
    assert f"{ORDERS} paid mean" not in ChildStatistics(most_numbers=0).fit(examples).transform(examples).names
    fitted = ChildStatistics().fit(examples)
    none = fitted.transform(examples_about(shop.upto(0), "customers", [0, 1], [9, 9]))
    assert none.names == fitted.transform(examples).names
    assert np.isnan(none[f"{ORDERS} days since the last"].values).all()
