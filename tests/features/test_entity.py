"""The example's own row, its parents and the calendar."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from made_examples import DAY, examples_about, made_database, made_task

from relbench_harness.data.database import Database
from relbench_harness.data.task import Kind
from relbench_harness.features.block import Column, Features, FeatureUnion, transform_many, united
from relbench_harness.features.context import ParentContext
from relbench_harness.features.entity import Calendar, EntityColumns
from relbench_harness.features.windows import Windows


def test_unseen_categories_have_no_code(shop: Database) -> None:
    examples = examples_about(shop, "customers", [0, 1, 2], [9, 9, 9])
    fitted = EntityColumns().fit(examples)
    assert fitted.transform(examples)["group"].vocabulary == ("a", "b")
    table = shop["customers"]
    other = table.rows.set_column(1, "group", pa.array(["b", "new", None], table.rows.schema.field(1).type))
    changed = Database([type(table)("customers", other, "id"), shop["orders"], shop["lines"]])
    other = examples_about(changed, "customers", [0, 1, 2], [9, 9, 9])
    assert fitted.transform(other)["group"].values.tolist() == [1, -1, -1]


def test_keys_and_row_numbers_are_no_features(shop: Database) -> None:
    examples = examples_about(shop, "orders", [0, 3], [9, 9])
    names = EntityColumns().fit(examples).transform(examples).names
    assert "id" not in names and "customer" not in names and "customer.id" not in names
    assert {"paid", "customer.group", "customer.born", "at.age"} == set(names)


def test_a_parent_that_is_still_to_come_is_not_read(shop: Database) -> None:
    late = examples_about(shop, "lines", [0, 1, 2], [1.5, 1.5, 1.5])
    paid = EntityColumns().fit(late).transform(late)["order.paid"].values
    # rows by time: line of order 0, line of order 0, line of order 3 (which appears on day 2)
    np.testing.assert_array_equal(paid, [1, 1, np.nan])
    own = examples_about(shop, "lines", [2], [1], task=made_task("lines", kind=Kind.AUTOCOMPLETE))
    assert EntityColumns().fit(own).transform(own)["order.paid"].values.tolist() == [3]


def test_every_type_of_column_is_read_or_left_out() -> None:
    when = dt.datetime(2020, 2, 29, 12)
    rows = pa.table(
        {
            "id": [0, 1],
            "truth": [True, None],
            "day": pa.array([when.date(), None], pa.date32()),
            "far": pa.array([dt.datetime(9999, 12, 31), None], pa.timestamp("us")),
            "money": pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)),
            "list": pa.array([[1, 2], None], pa.list_(pa.int64())),
            "wait": pa.array([dt.timedelta(seconds=5), None], pa.duration("us")),
            "none": pa.nulls(2),
            "bytes": pa.array([b"x", None]),
            "word": pa.array(["x", None]).dictionary_encode(),
            "order by \"'": [float("inf"), None],
        }
    )
    made = made_database({"things": rows}, {"things": ("id", None, {})})
    examples = examples_about(made, "things", [0, 1], [18321, 18321])
    found = EntityColumns().fit(examples).transform(examples)
    assert found["truth"].values[0] == 1 and found["money"].values[0] == 1.5
    assert found["list"].values[0] == 2 and found["wait"].values[0] == 5
    assert found["day.weekday"].values[0] == 5 and found["day.age"].values[0] == 0
    assert np.isnan(found["far.age"].values[0]) and np.isnan(found["order by \"'"].values[0])
    assert found["word"].vocabulary == ("x",)
    assert np.isnan(found.to_matrix()[1]).all()
    assert not {"none", "bytes"} & set(found.names)


def test_one_pass_equals_several(shop: Database) -> None:
    early = examples_about(shop.upto(2 * DAY), "customers", [0, 1], [2, 2], fit_day=2)
    late = examples_about(shop, "customers", [0, 1, 2], [9, 9, 2.5], fit_day=2)
    fitted = FeatureUnion((EntityColumns(), Calendar(), Windows(), ParentContext())).fit(early)
    assert united([early, late]) is not None
    for one, two in zip(transform_many(fitted, [early, late]), map(fitted.transform, [early, late]), strict=True):
        assert one.names == two.names
        np.testing.assert_array_equal(one.to_matrix(), two.to_matrix())


def test_equal_names_are_told_apart() -> None:
    one = Features(1, (Column("a", np.zeros(1)),))
    assert one.concat(one).concat(one).names == ["a", "a #2", "a #3"]
    with pytest.raises(ValueError, match="shape"):
        Features(2, (Column("a", np.zeros(1)),))


def test_context_follows_the_latest_visible_row(shop: Database) -> None:
    examples = examples_about(shop, "orders", [0, 1, 4], [2, 3, 9])
    found = ParentContext().fit(examples).transform(examples)
    assert found["own customer: orders[customer] rows"].values.tolist() == [1, 3, 0]


def test_the_calendar_tells_only_what_comes_back(shop: Database) -> None:
    """Six quarterly times: weekday and month name one of them each; years of weekly times: every part but the hour."""
    few = examples_about(shop, "customers", [0] * 6, range(100, 640, 90), fit_day=640)
    assert Calendar().fit(few).transform(few).names == ["question.staleness"]
    days = range(0, 4000, 3)
    many = examples_about(shop, "customers", [0] * len(days), days, fit_day=4000)
    assert Calendar().fit(many).transform(many).names == [
        "question.month",
        "question.day",
        "question.weekday",
        "question.staleness",
    ]
