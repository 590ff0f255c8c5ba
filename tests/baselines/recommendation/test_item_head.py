"""Items by two towers, by past items and by both: what users always buy is recommended."""

from __future__ import annotations

from dataclasses import replace

import pytest
from relbench_harness.baselines.gnn.method import RelationalGNN
from small_shop import ITEMS, asked, shop

from relbench_harness.data.task import TaskType
from relbench_harness.protocol.method import Budget

ONE = Budget(threads=1, device="cpu")
TRAIN, VALID, LATER = range(40, 150, 10), range(160, 171, 10), range(160, 191, 10)


@pytest.mark.parametrize("item_scores", ["both", "two_tower", "id_gnn"])
def test_what_users_always_buy_is_recommended(item_scores: str) -> None:
    database = shop()
    train, valid, later = (asked(database, TaskType.RECOMMENDATION, days) for days in (TRAIN, VALID, LATER))
    method = RelationalGNN(
        item_scores=item_scores, channels=16, num_neighbors=(4, 2), epochs=12, steps_per_epoch=12, batch_size=64, lr=0.01
    )  # type: ignore[arg-type]
    predicted = method.fit(train, valid, ONE).predict(replace(later, labels=None))
    assert all(len(set(row)) == 3 for row in predicted.tolist())
    loyal = later.entity < 57  # the others never order
    hit = (predicted == (later.entity % ITEMS)[:, None]).any(axis=1)[loyal].mean()
    assert hit > (0.9 if item_scores != "two_tower" else 0.5)
