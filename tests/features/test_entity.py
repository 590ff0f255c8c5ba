"""The question's own row, its parents and the calendar."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from relbench_harness.data.database import Database
from relbench_harness.data.task import Kind
from relbench_harness.features.block import Column, Features, FeatureUnion, transform_many, united
from relbench_harness.features.context import ParentContext
from relbench_harness.features.entity import Calendar, EntityColumns
from relbench_harness.features.windows import Windows

Ask = Callable[..., Any]


def test_unseen_categories_have_no_code(shop: Database, questions: Ask) -> None:
    asked = questions(shop, "customers", [0, 1, 2], [9, 9, 9])
    fitted = EntityColumns().fit(asked)
    assert fitted.transform(asked)["group"].vocabulary == ("a", "b")
    table = shop["customers"]
    other = table.rows.set_column(1, "group", pa.array(["b", "new", None], table.rows.schema.field(1).type))
    changed = Database([type(table)("customers", other, "id"), shop["orders"], shop["lines"]])
    assert fitted.transform(questions(changed, "customers", [0, 1, 2], [9, 9, 9]))["group"].values.tolist() == [1, -1, -1]


def test_keys_and_row_numbers_are_no_features(shop: Database, questions: Ask) -> None:
    asked = questions(shop, "orders", [0, 3], [9, 9])
    names = EntityColumns().fit(asked).transform(asked).names
    assert "id" not in names and "customer" not in names and "customer.id" not in names
    assert {"paid", "customer.group", "customer.born", "at.age"} == set(names)


def test_a_parent_that_is_still_to_come_is_not_read(shop: Database, questions: Ask) -> None:
    late = questions(shop, "lines", [0, 1, 2], [1.5, 1.5, 1.5])
    paid = EntityColumns().fit(late).transform(late)["order.paid"].values
    # rows by time: line of order 0, line of order 0, line of order 3 (which appears on day 2)
    np.testing.assert_array_equal(paid, [1, 1, np.nan])
    own = questions(shop, "lines", [2], [1], kind=Kind.AUTOCOMPLETE)
    assert EntityColumns().fit(own).transform(own)["order.paid"].values.tolist() == [3]


def test_every_type_of_column_is_read_or_left_out(database_of: Callable[..., Database], questions: Ask) -> None:
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
    made = database_of({"things": rows}, {"things": ("id", None, {})})
    asked = questions(made, "things", [0, 1], [18321, 18321])
    found = EntityColumns().fit(asked).transform(asked)
    assert found["truth"].values[0] == 1 and found["money"].values[0] == 1.5
    assert found["list"].values[0] == 2 and found["wait"].values[0] == 5
    assert found["day.weekday"].values[0] == 5 and found["day.age"].values[0] == 0
    assert np.isnan(found["far.age"].values[0]) and np.isnan(found["order by \"'"].values[0])
    assert found["word"].vocabulary == ("x",)
    assert np.isnan(found.to_matrix()[1]).all()
    assert not {"none", "bytes"} & set(found.names)


def test_one_pass_equals_several(shop: Database, questions: Ask) -> None:
    early = questions(shop.upto(2 * 86_400_000_000_000), "customers", [0, 1], [2, 2], fit_day=2)
    late = questions(shop, "customers", [0, 1, 2], [9, 9, 2.5], fit_day=2)
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


def test_context_follows_the_latest_visible_row(shop: Database, questions: Ask) -> None:
    asked = questions(shop, "orders", [0, 1, 4], [2, 3, 9])
    found = ParentContext().fit(asked).transform(asked)
    assert found["own customer: orders[customer] rows"].values.tolist() == [1, 3, 0]


def test_the_calendar_tells_only_what_comes_back(shop: Database, questions: Ask) -> None:
    """Six quarterly times: weekday and month name one of them each; years of weekly times: every part but the hour."""
    few = questions(shop, "customers", [0] * 6, range(100, 640, 90), fit_day=640)
    assert Calendar().fit(few).transform(few).names == ["question.staleness"]
    days = range(0, 4000, 3)
    many = questions(shop, "customers", [0] * len(days), days, fit_day=4000)
    assert Calendar().fit(many).transform(many).names == [
        "question.month",
        "question.day",
        "question.weekday",
        "question.staleness",
    ]
