"""Views of training examples: as they are, as stale as validation, and both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from made_examples import DAY
from relbench_harness.baselines.trees.dataset import TreeDataset
from relbench_harness.baselines.trees.staleness import VIEWS, TrainingViews
from shop import Shop

from relbench_harness.data.task import TaskType


def test_stale_views_see_less_and_mixed_ones_hold_both(shop: Shop) -> None:
    train = shop.examples(TaskType.REGRESSION, (60, 80, 100), 200)
    views = TrainingViews.of("blend", np.array([0, 20 * DAY]), max_rows=100)
    fresh, stale = views.examples(train, seed=0)
    assert len(fresh) == len(stale) == 100
    assert (fresh.cutoff == fresh.time).all() and set((stale.time - stale.cutoff) // DAY) == {0, 20}
    parts = [TreeDataset(e.cutoff[:, None] / DAY, e.values, np.zeros(1, bool), time=e.time) for e in (fresh, stale)]
    for choice, names in VIEWS.items():
        data = TrainingViews.of(choice, np.array([0, 20 * DAY]), 100).datasets(parts)
        assert tuple(data) == names
        expected = {"fresh": parts[0].values, "stale": parts[1].values, "mixed": np.concatenate([p.values for p in parts])}
        for view, rows in data.items():
            np.testing.assert_array_equal(rows.values, expected[view])


def test_where_validation_is_fresh_training_is_too(shop: Shop) -> None:
    train = shop.examples(TaskType.MULTICLASS, (60, 80), 200)
    unknown = replace(train, labels=np.where(np.arange(len(train)) % 3 == 0, -1, train.values).astype(np.int64))
    views = TrainingViews.of("stale", np.zeros(3, np.int64), max_rows=10**6)
    (fresh,) = views.examples(unknown, seed=0)
    assert views.views == ("fresh",)
    np.testing.assert_array_equal(fresh.values, unknown.values[unknown.values >= 0])
