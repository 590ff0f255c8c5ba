"""Known features are found again for equal examples about equal rows, and for no others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from relbench_harness.baselines.known_features import KnownFeatures, same_examples

from relbench_harness.data.task import TaskType
from relbench_harness.features.block import Column, Features
from relbench_harness.features.entity import EntityColumns
from relbench_harness.protocol.method import Examples

if TYPE_CHECKING:
    from .conftest import Shop

DAY = 86_400_000_000_000
TEST = (240,)


def test_equal_examples_about_other_rows_are_not_taken_for_known(shop: Shop) -> None:
    test = shop.examples(TaskType.BINARY, TEST, 200)
    orders = shop.database["orders"]
    amount = pa.array(orders.rows.column("amount").to_numpy()[::-1].copy())
    column = orders.rows.column_names.index("amount")
    other = replace(orders, rows=orders.rows.set_column(column, "amount", amount))
    changed = type(shop.database)([other, shop.database["customers"], shop.database["products"]])
    assert same_examples(test, replace(test, labels=None))
    assert not same_examples(test, replace(test, database=changed))
    assert not same_examples(test, replace(test, cutoff=test.cutoff - 1))
    cut = replace(test, database=shop.database.upto(240 * DAY))
    assert not same_examples(test, cut)
    assert same_examples(cut, replace(test, database=shop.database.upto(240 * DAY)))
    assert not same_examples(test, replace(test, fit_end=test.fit_end - 1))


def test_known_features_are_not_computed_again(shop: Shop) -> None:
    computed = []

    class Counting(EntityColumns):
        def transform(self, examples: Examples) -> Features:
            computed.append(len(examples))
            return Features(len(examples), (Column("time", examples.time.astype(np.float64)),))

    test, later = shop.examples(TaskType.BINARY, TEST, 200), shop.examples(TaskType.BINARY, (250,), 200)
    block = Counting()
    known = KnownFeatures(block, test, block.transform(test))
    for examples in (test, replace(test, labels=None), later):
        np.testing.assert_array_equal(known.transform(examples)["time"].values, examples.time)
    assert len(computed) == 2
