"""The transformer, the recommender and the hybrid: they learn what is there, and refuse what they do not do."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from relbench_harness.baselines.boosted_trees import BoostedTrees
from relbench_harness.baselines.hybrid import Hybrid, by_time
from relbench_harness.baselines.recommender import Recommender
from relbench_harness.baselines.relational_gnn import RelationalGNN
from relbench_harness.baselines.relational_transformer import RelationalTransformer
from sklearn.metrics import roc_auc_score

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.features.entity import EntityColumns
from relbench_harness.protocol.method import Budget

sys.path.insert(0, str(Path(__file__).parent))
from small_shop import ITEMS, asked, shop

ONE = Budget(threads=1, device="cpu")
TRAIN, VALID, LATER = range(40, 150, 10), range(160, 171, 10), range(160, 191, 10)


def test_attention_learns_the_cause() -> None:
    database = shop()
    train, valid, later = (asked(database, TaskType.BINARY, days) for days in (TRAIN, VALID, LATER))
    method = RelationalTransformer(channels=16, fans=(4, 2), epochs=10, steps=12, batch=64, rate=0.005, tokens=12)
    told = method.fit(train, valid, ONE).predict(replace(later, labels=None))
    assert roc_auc_score(later.values, told) > 0.85


@pytest.mark.parametrize("parts", ["hybrid", "two_tower", "id_aware"])
def test_what_users_always_buy_is_recommended(parts: str) -> None:
    database = shop()
    train, valid, later = (asked(database, TaskType.RECOMMENDATION, days) for days in (TRAIN, VALID, LATER))
    method = Recommender(parts=parts, channels=16, fans=(4, 2), epochs=12, steps=12, batch=64, rate=0.01)  # type: ignore[arg-type]
    told = method.fit(train, valid, ONE).predict(replace(later, labels=None))
    assert all(len(set(row)) == 3 for row in told.tolist())
    loyal = later.entity < 57  # the others never order
    hit = (told == (later.entity % ITEMS)[:, None]).any(axis=1)[loyal].mean()
    assert hit > (0.9 if parts != "two_tower" else 0.5)


def test_a_recommender_refuses_other_tasks() -> None:
    binary = asked(shop(), TaskType.BINARY, TRAIN)
    with pytest.raises(InputError, match="shop/task names no items"):
        Recommender().fit(binary, binary, ONE)


def test_trees_learn_what_the_network_sees() -> None:
    """The entity's own columns say nothing about its orders; the network's view of them does."""
    database = shop()
    train, valid, later = (asked(database, TaskType.BINARY, days) for days in (TRAIN, VALID, LATER))
    trees = BoostedTrees(library="lightgbm", rounds=40, bags=1, features=(EntityColumns(),))
    network = RelationalGNN(channels=16, fans=(4, 2), epochs=10, steps=12, batch=64, rate=0.01)
    told = Hybrid(network, trees).fit(train, valid, ONE).predict(replace(later, labels=None))
    alone = trees.fit(train, valid, ONE).predict(replace(later, labels=None))
    assert roc_auc_score(later.values, told) > max(0.8, roc_auc_score(later.values, alone) + 0.1)


def test_the_network_and_the_trees_learn_from_different_times() -> None:
    train = asked(shop(), TaskType.BINARY, TRAIN)
    first, rest = by_time(train, 0.6)
    assert first.time.max() < rest.time.min()
    assert len(first) + len(rest) == len(train)
    one_time = train.take(np.flatnonzero(train.time == train.time[0]))
    assert [len(part) for part in by_time(one_time, 0.6)] == [len(one_time)] * 2
    with pytest.raises(InputError, match="between 0 and 1"):
        Hybrid(RelationalGNN(), BoostedTrees(library="lightgbm"), earlier=1.0)
