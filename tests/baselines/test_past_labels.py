"""Past labels as features equal what a loop over the rows says, and use closed windows only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from relbench_harness.data.task import TaskType
from relbench_harness.features.past_labels import PastLabels

if TYPE_CHECKING:
    from .conftest import Shop

DAY = 86_400_000_000_000
SQL = """SELECT s.timestamp AS time, o.customer AS id, SUM(o.amount) AS y FROM timestamps s
         JOIN orders o ON o.at > s.timestamp AND o.at <= s.timestamp + INTERVAL '{timedelta}' GROUP BY 1, 2"""


def test_means_of_the_last_closed_windows(shop: Shop) -> None:
    asked = shop.examples(TaskType.REGRESSION, (100, 160), 200)
    asked = replace(asked, task=replace(asked.task, sql=SQL))
    found = PastLabels(lasts=(1, 2)).fit(asked).transform(asked)
    table = shop.database["orders"]
    who, amount = table.parents("customer"), table.rows.column("amount").to_numpy()
    assert table.times is not None
    for row in range(0, len(asked), 7):
        labels = []
        for back in range(8, 0, -1):
            start = asked.cutoff[row] - back * 20 * DAY
            inside = (who == asked.entity[row]) & (table.times > start) & (table.times <= start + 20 * DAY)
            labels += [amount[inside].sum()] if inside.any() else []
        last = labels[-1] if labels else np.nan
        two = np.mean(labels[-2:]) if labels else np.nan
        np.testing.assert_allclose(found["past label mean last 1"].values[row], last)
        np.testing.assert_allclose(found["past label mean last 2"].values[row], two)


def test_labels_of_the_future_do_not_show(shop: Shop) -> None:
    asked = shop.examples(TaskType.REGRESSION, (100,), 200)
    asked = replace(asked, task=replace(asked.task, sql=SQL))
    one = PastLabels().transform(asked).to_matrix()
    two = PastLabels().transform(replace(asked, database=shop.database.upto(100 * DAY))).to_matrix()
    np.testing.assert_array_equal(one, two)


def test_tasks_without_sql_have_none(shop: Shop) -> None:
    assert PastLabels().transform(shop.examples(TaskType.BINARY, (100,), 200)).names == []
