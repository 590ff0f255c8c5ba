"""A row's numbers against its parents': how far a price is from the list price, and no younger parent's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from made_examples import DAY
from priced_goods import AT, GOODS_KEY, PAID, RISE, world

from relbench_harness.data.database import Database
from relbench_harness.graph.attributes import Encoders
from relbench_harness.graph.parent_residuals import Column, ParentResiduals, Regression


def residuals_of(database: Database) -> ParentResiduals:
    return ParentResiduals.fit(database, Encoders.fit(database, 200 * DAY).layouts)


def test_numbers_that_follow_from_a_parents_are_found_and_copies_and_others_are_not() -> None:
    # "copied" is the list price and in logarithms an exact line in the weight
    found = residuals_of(world()).lines
    assert {(key, line.own.name, line.parent.name) for key, some in found.items() for line in some} == {
        (GOODS_KEY, "paid", "listed"),
        (GOODS_KEY, "paid", "weight"),
    }
    (line, _) = found[GOODS_KEY]
    assert line.logarithmic
    assert abs(line.slope - 1) < 0.02
    assert abs(line.deviation - 0.1) < 0.01


def test_a_residual_says_nothing_of_how_late_it_is() -> None:
    rising = np.where(np.isnan(PAID), np.nan, PAID * np.exp(0.5 * AT / AT.max()))
    database = world()
    buys = database["buys"]
    rows = buys.rows.set_column(buys.rows.column_names.index("paid"), "paid", pa.array(rising, from_pandas=True))
    dearer = Database([*(t for name, t in database.items() if name != "buys"), replace(buys, rows=rows)])
    residual = next(residuals_of(dearer).bind(dearer).columns("buys"))
    late = np.quantile(AT, 0.8) <= AT
    there = ~np.isnan(residual)
    assert abs(residual[there & late].mean()) < 0.3 * residual[there].std()
    risen = np.corrcoef(residual[there & late], RISE[there & late])[0, 1]
    assert risen > 0.95


def test_missing_and_impossible_numbers_have_no_residual() -> None:
    line = Regression(Column("buys", "paid"), Column("goods", "listed"), True, 1.0, 0.0, 0.1)
    residual = line.residual(np.array([1.0, np.nan, 1.0, 0.0, 1e300]), np.array([1.0, 1.0, -1.0, 1.0, 1.0]))
    np.testing.assert_array_equal(residual, [0.0, np.nan, np.nan, np.nan, 10.0])
