"""Past labels as features equal what a loop over the rows says, and use closed windows only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from made_examples import DAY
from shop import HORIZON, Shop, at
from shop_folder import TASKS

from relbench_harness.data.task import TaskType
from relbench_harness.features.past_labels import PastLabels
from relbench_harness.protocol.method import Examples

WINDOW = HORIZON * DAY


def spending(shop: Shop, days: tuple[int, ...]) -> Examples:
    """Examples of how much customers will spend, whose SQL is the task's of that name."""
    examples = shop.examples(TaskType.REGRESSION, days, 200)
    return replace(examples, task=replace(examples.task, target="spend", sql=TASKS["spend"]["sql"]))


def test_means_of_the_last_closed_windows(shop: Shop) -> None:
    examples = spending(shop, (100, 160))
    found = PastLabels(lasts=(1, 2)).fit(examples).transform(examples)
    table = shop.database["order"]
    who, amount = table.parents("customer"), table.rows.column('amount "now" paid').to_numpy()
    assert table.times is not None
    for row in range(len(examples)):
        labels = []
        for back in range(8, 0, -1):
            start = examples.cutoff[row] - back * WINDOW
            # rows at the very end of a window are not expected where times are continuous, so its label is known without them
            inside = (who == examples.entity[row]) & (table.times > start) & (table.times < start + WINDOW)
            labels += [np.nansum(amount[inside])] if inside.any() else []
        last = labels[-1] if labels else np.nan
        two = np.mean(labels[-2:]) if labels else np.nan
        np.testing.assert_allclose(found["past label mean last 1"].values[row], last, atol=1e-12)
        np.testing.assert_allclose(found["past label mean last 2"].values[row], two, atol=1e-12)


def test_labels_of_the_future_do_not_show(shop: Shop) -> None:
    examples = spending(shop, (100,))
    one = PastLabels().transform(examples).to_matrix()
    two = PastLabels().transform(replace(examples, database=shop.database.upto(at(100)))).to_matrix()
    np.testing.assert_array_equal(one, two)


def test_tasks_without_sql_have_none(shop: Shop) -> None:
    assert PastLabels().transform(shop.examples(TaskType.BINARY, (100,), 200)).names == []
