"""Attention over rows learns what is there."""

from __future__ import annotations

from dataclasses import replace

from relbench_harness.baselines.gnn.method import RelationalGNN
from shop import made_shop
from sklearn.metrics import roc_auc_score

from relbench_harness.data.task import TaskType
from relbench_harness.protocol.method import Budget

ONE = Budget(threads=1, device="cpu")
TRAIN, VALID, LATER = range(40, 150, 10), range(160, 171, 10), range(160, 191, 10)


def test_attention_learns_the_cause() -> None:
    shop = made_shop()
    train, valid, later = (shop.examples(TaskType.BINARY, days) for days in (TRAIN, VALID, LATER))
    method = RelationalGNN(
        backbone="transformer",
        channels=16,
        num_neighbors=(4, 2),
        epochs=8,
        steps_per_epoch=12,
        batch_size=64,
        lr=0.005,
        max_tokens=12,
    )
    predicted = method.fit(train, valid, ONE).predict(replace(later, labels=None))
    assert roc_auc_score(later.values, predicted) > 0.85
