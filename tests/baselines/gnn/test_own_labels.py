"""A network reads an entity's own labels, but only those whose windows had closed before its cut-off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from made_examples import DAY
from relbench_harness.baselines.gnn.preprocessor import Preprocessor, Sampling
from shop import HORIZON, Shop, at
from shop_folder import TASKS

from relbench_harness.data.task import TaskType
from relbench_harness.features.entity_summary import windows_of
from relbench_harness.features.history_summary import LAST
from relbench_harness.features.own_labels import OwnLabels
from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.closed_labels import ClosedLabels
from relbench_harness.temporal.recent_label_mean import RecentLabelMean

WINDOW = HORIZON * DAY


def own(train: Examples, later: Examples) -> np.ndarray:
    """What networks that learn from `train` read of the labels known to `later`."""
    found = OwnLabels.of(later, train, windows_of(train)[-1])
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
        np.testing.assert_allclose(found[row, :-2], expected)


def test_without_sql_the_training_labels_themselves_are_remembered_once_they_were_known(shop: Shop) -> None:
    train = shop.examples(TaskType.REGRESSION, (60, 90, 120), 200)
    later = shop.examples(TaskType.REGRESSION, (100, 139, 141), 200)
    found = own(train, later)
    given = train.values.reshape(3, -1)
    for time, known in ((100, given[:1]), (139, given[:2]), (141, given[:3])):
        np.testing.assert_allclose(found[later.time == at(time)][:, 1], known.mean(0))


def test_recent_means_are_of_the_latest_labels_known_at_the_cut_off(shop: Shop) -> None:
    train = shop.examples(TaskType.REGRESSION, (60, 90, 120, 600), 200)
    later = shop.examples(TaskType.REGRESSION, (50, 100, 139, 619, 621), 200)
    found = own(train, later)[:, -2:]
    given = train.values.reshape(4, -1)
    # a label is known 20 days after its example, and the last of 600 lies more than twelve horizons after the others
    all_entities = {
        50: given.mean(),
        100: given[0].mean(),
        139: given[:2].mean(),
        619: given[:3].mean(),
        621: given[3].mean(),
    }
    cold_start = {50: given.mean(), 100: given[0].mean(), 139: given[0].mean(), 619: given[0].mean(), 621: given[3].mean()}
    for time, mean in all_entities.items():
        np.testing.assert_allclose(
            found[later.time == at(time)], [[mean, cold_start[time]]] * (later.time == at(time)).sum()
        )


@drawn(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 40), st.floats(-9, 9)), max_size=30, unique_by=lambda one: one[:2]
    ),
    st.integers(1, 20),
    st.integers(-5, 50),
)
def test_recent_means_equal_a_loop(labels: list[tuple[int, int, float]], span: int, cutoff: int) -> None:
    labels = sorted(labels)
    entity, known_from, values = (np.array([one[i] for one in labels]) for i in range(3))
    past = ClosedLabels(entity.astype(np.int64), known_from.astype(np.int64), values)
    found = RecentLabelMean.of(past, values.astype(np.float64), span, 7.0).read(np.array([cutoff]))[0]
    new = [one for one in labels if not any(e == one[0] and 0 < one[1] - t <= span for e, t, _ in labels)]
    for mean, kept in zip(found, (labels, new), strict=True):
        last = max((t for _, t, _ in kept if t <= cutoff), default=0)
        counted = [v for _, t, v in kept if last - span < t <= cutoff]
        np.testing.assert_allclose(mean, np.mean(counted) if counted else 7.0, atol=1e-9)


@pytest.mark.parametrize("kind", [TaskType.BINARY, TaskType.MULTICLASS, TaskType.MULTILABEL])
def test_other_types_of_labels_are_read_as_statistics(shop: Shop, kind: TaskType) -> None:
    train = shop.examples(kind, (60, 90, 120), 200)
    columns = {}
    for without in ((), ("own_labels",)):
        _, builder = Preprocessor.fit(train, train, Sampling((4,), 1, "recent"), without)  # type: ignore[arg-type]
        columns[without] = builder.history.summary_of(train).shape[1]
        assert builder.history.past_label_means(train).shape[1] == 0
    assert columns[()] > columns["own_labels",]
