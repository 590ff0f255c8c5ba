"""A network reads an entity's own labels, but only those whose windows had closed before its cut-off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_examples import DAY
from relbench_harness.baselines.gnn.preprocessor import Preprocessor, Sampling
from shop import HORIZON, Shop, at
from shop_folder import TASKS

from relbench_harness.data.task import TaskType
from relbench_harness.features.history_summary import LAST
from relbench_harness.features.own_labels import OwnLabels
from relbench_harness.protocol.method import Examples

WINDOW = HORIZON * DAY


def own(train: Examples, later: Examples) -> np.ndarray:
    """What networks that learn from `train` read of the labels known to `later`."""
    found = OwnLabels.of(later, train)
    assert found is not None
    return found.means(later)


def test_means_of_closed_labels_equal_a_loop_over_the_rows(shop: Shop) -> None:
    examples = shop.examples(TaskType.REGRESSION, (60, 100, 160), 200)
    examples = replace(examples, task=replace(examples.task, target="spend", sql=TASKS["spend"]["sql"]))
    found = own(examples, examples)
    table = shop.database["order"]
    who, amount = table.parents("customer"), table.rows.column('amount "now" paid').to_numpy()
    assert table.times is not None
    for row in range(len(examples)):
        labels = []
        for start in np.arange(examples.cutoff[row] - WINDOW, at(-HORIZON), -WINDOW):
            # rows at the very end of a window are not expected where times are continuous, so its label is known without them
            inside = (who == examples.entity[row]) & (table.times > start) & (table.times < start + WINDOW)
            labels += [np.nansum(amount[inside])] if inside.any() else []
        expected = [np.mean(labels[:last]) if labels else np.nan for last in LAST]
        np.testing.assert_allclose(found[row], expected)


def test_without_sql_the_training_labels_themselves_are_remembered_once_they_were_known(shop: Shop) -> None:
    train = shop.examples(TaskType.REGRESSION, (60, 90, 120), 200)
    later = shop.examples(TaskType.REGRESSION, (100, 139, 141), 200)
    found = own(train, later)
    given = train.values.reshape(3, -1)
    for time, known in ((100, given[:1]), (139, given[:2]), (141, given[:3])):
        np.testing.assert_allclose(found[later.time == at(time)][:, 1], known.mean(0))


@pytest.mark.parametrize("kind", [TaskType.BINARY, TaskType.MULTICLASS, TaskType.MULTILABEL])
def test_past_labels_of_other_types_are_not_read(shop: Shop, kind: TaskType) -> None:
    train = shop.examples(kind, (60, 90, 120), 200)
    _, builder = Preprocessor.fit(train, train, Sampling((4,), 1, "recent"), ())
    assert builder.history.past_label_means(train).shape == (len(train), 0)
