"""The graph network: it answers every kind of question, learns what is there, and sees nothing of the future."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from relbench_harness.baselines.relational_gnn import RelationalGNN
from sklearn.metrics import roc_auc_score
from small_shop import DAY, ITEMS, USERS, asked, scrambled, shop

from relbench_harness.data.database import Database
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Budget

TINY = RelationalGNN(channels=8, fans=(4, 2), epochs=2, steps=3, batch=64)
ONE = Budget(threads=1, device="cpu")
TRAIN, VALID, LATER = range(40, 150, 10), range(160, 171, 10), range(160, 191, 10)


@pytest.mark.parametrize(("kind", "layer"), [*((kind, "sage") for kind in TaskType), (TaskType.BINARY, "gat")])
def test_every_kind_of_question_is_answered_and_equal_seeds_answer_equally(kind: TaskType, layer: str) -> None:
    database = shop()
    train, valid = asked(database, kind, TRAIN), asked(database, kind, VALID)
    method = replace(TINY, layer=layer)
    first, second = (method.fit(train, valid, ONE).predict(valid) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.isfinite(first).all()
    width = {TaskType.MULTICLASS: (3,), TaskType.MULTILABEL: (3,), TaskType.RECOMMENDATION: (3,)}
    assert first.shape == (len(valid), *width.get(kind, ()))


@pytest.mark.parametrize("kind", [TaskType.REGRESSION, TaskType.RECOMMENDATION])
def test_scrambling_the_future_changes_nothing(kind: TaskType) -> None:
    database = shop()
    train, valid, later = (asked(database, kind, days) for days in (TRAIN, VALID, LATER))
    fitted = TINY.fit(train, valid, ONE)
    early = later.take(np.flatnonzero(later.time == LATER[0] * DAY))
    expected = fitted.predict(early)
    assert np.array_equal(fitted.predict(scrambled(early, LATER[0] * DAY)), expected)
    # rows before the question do matter
    assert not np.array_equal(fitted.predict(scrambled(early, 10 * DAY)), expected)


def test_it_learns_the_cause() -> None:
    database = shop()
    train, valid, later = (asked(database, TaskType.BINARY, days) for days in (TRAIN, VALID, LATER))
    method = RelationalGNN(channels=16, fans=(4, 2), epochs=12, steps=12, batch=64, rate=0.01)
    told = method.fit(train, valid, ONE).predict(replace(later, labels=None))
    assert roc_auc_score(later.values, told) > 0.9


def test_users_without_a_history_are_answered() -> None:
    database = shop()
    fitted = TINY.fit(asked(database, TaskType.REGRESSION, TRAIN), asked(database, TaskType.REGRESSION, VALID), ONE)
    fresh = asked(database, TaskType.REGRESSION, range(1))
    assert np.isfinite(fitted.predict(fresh.take(np.arange(USERS)))).all()


def test_unknown_layers_and_parts_are_refused() -> None:
    with pytest.raises(InputError, match="no layer 'sge'; did you mean 'sage'"):
        RelationalGNN(layer="sge")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no parts"):
        RelationalGNN(parts="both")  # type: ignore[arg-type]


def test_items_that_are_not_there_yet_are_not_recommended() -> None:
    database = shop()
    items = database["items"]
    known_since = np.sort(np.arange(ITEMS) % 3) * 60 * DAY
    rows = items.rows.append_column("since", pa.array(known_since).cast(pa.timestamp("ns")))
    timed = Database([*(t for t in database.values() if t.name != "items"), replace(items, rows=rows, time="since")])
    train, later = (asked(timed, TaskType.RECOMMENDATION, days) for days in (TRAIN, LATER))
    early = asked(timed, TaskType.RECOMMENDATION, range(50, 171, 10))
    fitted = TINY.fit(train, later, ONE)
    answers = fitted.predict(replace(early, labels=None)).astype(np.int64)
    named = answers >= 0
    assert (known_since[answers.clip(0)] < early.cutoff[:, None])[named].all()
    assert named.all()
    first = asked(timed, TaskType.RECOMMENDATION, range(0, 171, 170))
    told = fitted.predict(replace(first, labels=None)).astype(np.int64)
    assert (told[first.time == 0] == -1).all()
