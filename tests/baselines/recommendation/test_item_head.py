"""Items by two towers, by past items and by both: what customers mostly buy is recommended."""

from __future__ import annotations

from dataclasses import replace

import pytest
from relbench_harness.baselines.gnn.method import RelationalGNN
from shop import made_shop

from relbench_harness.data.task import TaskType
from relbench_harness.protocol.method import Budget

ONE = Budget(threads=1, device="cpu")
TRAIN, VALID, LATER = range(40, 150, 10), range(160, 171, 10), range(160, 191, 10)


@pytest.mark.parametrize("item_scores", ["both", "two_tower", "id_gnn"])
def test_what_customers_mostly_buy_is_recommended(item_scores: str) -> None:
    shop = made_shop()
    train, valid, later = (shop.examples(TaskType.RECOMMENDATION, days) for days in (TRAIN, VALID, LATER))
    method = RelationalGNN(
        item_scores=item_scores, channels=16, num_neighbors=(4, 2), epochs=7, steps_per_epoch=12, batch_size=64, lr=0.01
    )  # type: ignore[arg-type]
    predicted = method.fit(train, valid, ONE).predict(replace(later, labels=None))
    assert all(len(set(row)) == 3 for row in predicted.tolist())
    hit = (predicted == shop.favourite[later.entity][:, None]).any(axis=1)[shop.rate[later.entity] > 0].mean()
    assert hit > (0.9 if item_scores != "two_tower" else 0.5)
