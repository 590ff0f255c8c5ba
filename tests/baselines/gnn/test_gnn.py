"""The graph network: it predicts every type of task, learns what is there, and sees nothing of the future."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from relbench_harness.baselines.gnn import evaluation
from relbench_harness.baselines.gnn.batch import Batch
from relbench_harness.baselines.gnn.batch_builder import BatchBuilder
from relbench_harness.baselines.gnn.method import RelationalGNN
from scramble import scrambled
from shop import DAY, PRODUCTS, at, made_shop
from sklearn.metrics import roc_auc_score

from relbench_harness.data.database import Database
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Budget, Examples

TINY = RelationalGNN(channels=8, num_neighbors=(4, 2), epochs=2, steps_per_epoch=3, batch_size=64)
ONE = Budget(threads=1, device="cpu")
TRAIN, VALID, LATER = range(40, 150, 10), range(160, 171, 10), range(160, 191, 10)


@pytest.mark.parametrize(("kind", "backbone"), [*((kind, "sage") for kind in TaskType), (TaskType.BINARY, "gat")])
def test_every_type_of_task_is_predicted_and_equal_seeds_predict_equally(kind: TaskType, backbone: str) -> None:
    shop = made_shop()
    train, valid = shop.examples(kind, TRAIN), shop.examples(kind, VALID)
    method = replace(TINY, backbone=backbone)
    first, second = (method.fit(train, valid, ONE).predict(valid) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.isfinite(first).all()
    width = {TaskType.MULTICLASS: (3,), TaskType.MULTILABEL: (2,), TaskType.RECOMMENDATION: (3,)}
    assert first.shape == (len(valid), *width.get(kind, ()))


@pytest.mark.parametrize("kind", [TaskType.REGRESSION, TaskType.RECOMMENDATION])
def test_scrambling_the_future_changes_nothing(kind: TaskType) -> None:
    shop = made_shop()
    train, valid, later = (shop.examples(kind, days) for days in (TRAIN, VALID, LATER))
    fitted = TINY.fit(train, valid, ONE)
    early = later.take(np.flatnonzero(later.time == at(LATER[0])))
    expected = fitted.predict(early)
    assert np.array_equal(fitted.predict(replace(early, database=scrambled(shop.database, at(LATER[0])))), expected)
    # rows before the example do matter
    assert not np.array_equal(fitted.predict(replace(early, database=scrambled(shop.database, at(10)))), expected)


def test_it_learns_the_cause() -> None:
    shop = made_shop()
    train, valid, later = (shop.examples(TaskType.BINARY, days) for days in (TRAIN, VALID, LATER))
    method = RelationalGNN(channels=16, num_neighbors=(4, 2), epochs=9, steps_per_epoch=12, batch_size=64, lr=0.01)
    predicted = method.fit(train, valid, ONE).predict(replace(later, labels=None))
    assert roc_auc_score(later.values, predicted) > 0.9


def test_customers_without_a_history_get_predictions() -> None:
    shop = made_shop()
    fitted = TINY.fit(shop.examples(TaskType.REGRESSION, TRAIN), shop.examples(TaskType.REGRESSION, VALID), ONE)
    fresh = shop.examples(TaskType.REGRESSION, range(1))
    assert np.isfinite(fitted.predict(fresh)).all()


def test_time_is_kept_for_no_more_batches_than_predictions_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch that is made takes one second of the clock; nothing else takes any."""
    shop = made_shop()
    valid = shop.examples(TaskType.BINARY, VALID)
    evaluator = replace(TINY.fit(shop.examples(TaskType.BINARY, TRAIN), valid, ONE).evaluator, batch_size=4)
    made, make = list[int](), BatchBuilder.batch

    def slow(builder: BatchBuilder, examples: Examples, seed: int = 0) -> Batch:
        made.append(len(examples))
        return make(builder, examples, seed)

    monkeypatch.setattr(BatchBuilder, "batch", slow)
    monkeypatch.setattr(evaluation, "time", SimpleNamespace(perf_counter=lambda: float(len(made))))
    told = evaluator.seconds_to_predict(evaluator.bound(valid))
    assert made == [4] * evaluation.TIMED_BATCHES
    made.clear()
    evaluator.predict(valid)
    assert told == pytest.approx(len(made), rel=0.05)
    assert len(made) > 10
    assert evaluator.seconds_to_predict(evaluator.bound(valid.take(np.arange(0)))) == 0


def test_unknown_layers_and_parts_are_refused() -> None:
    with pytest.raises(InputError, match="no backbone 'sge'; did you mean 'sage'"):
        RelationalGNN(backbone="sge")  # type: ignore[arg-type]
    for backbone, channels in (("gat", 6), ("transformer", 10), ("sage", 0)):
        with pytest.raises(
            InputError, match=f"channels={channels} cannot be divided among the . heads of backbone '{backbone}'"
        ):
            RelationalGNN(backbone=backbone, channels=channels)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no item_scores"):
        RelationalGNN(item_scores="all")  # type: ignore[arg-type]


def test_items_that_are_not_there_yet_are_not_recommended() -> None:
    shop = made_shop()
    known_since = at(0) + np.sort(np.arange(PRODUCTS) % 3) * 60 * DAY
    products = shop.database["products"]
    rows = products.rows.append_column("since", pa.array(known_since).cast(pa.timestamp("ns")))
    timed = Database(
        [*(t for t in shop.database.values() if t.name != "products"), replace(products, rows=rows, time="since")]
    )
    train, later, early, first = (
        replace(shop.examples(TaskType.RECOMMENDATION, days), database=timed)
        for days in (TRAIN, LATER, range(50, 171, 10), range(0, 171, 170))
    )
    fitted = TINY.fit(train, later, ONE)
    items = fitted.predict(replace(early, labels=None)).astype(np.int64)
    named = items >= 0
    assert (known_since[items.clip(0)] < early.cutoff[:, None])[named].all()
    assert named.all()
    predicted = fitted.predict(replace(first, labels=None)).astype(np.int64)
    assert (predicted[first.time == at(0)] == -1).all()
