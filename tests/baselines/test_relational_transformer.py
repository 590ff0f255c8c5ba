"""The transformer, the recommender and the hybrid: they learn what is there, and refuse what they do not do."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from relbench_harness.baselines.averaged import FittedAverage, fused
from relbench_harness.baselines.hybrid import Hybrid, NetworkView, by_time
from relbench_harness.baselines.recommender import Recommender
from relbench_harness.baselines.relational import Fitted
from relbench_harness.baselines.relational_gnn import RelationalGNN
from relbench_harness.baselines.relational_transformer import RelationalTransformer
from relbench_harness.baselines.trees.method import BoostedTrees
from sklearn.metrics import roc_auc_score

from relbench_harness.compose import make_method
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
    unknown = replace(later, labels=None)
    trees = BoostedTrees(library="lightgbm", n_estimators=40, ensemble_size=1, features=(EntityColumns(),))
    network = RelationalGNN(channels=16, fans=(4, 2), epochs=10, steps=12, batch=64, rate=0.01)
    fitted = Hybrid(network, trees, view=network).fit(train, valid, ONE)
    assert isinstance(fitted, FittedAverage)
    told = [np.asarray(member.predict(unknown), np.float64) for member in fitted.members]
    alone = trees.fit(train, valid, ONE).predict(unknown)
    assert roc_auc_score(later.values, told[1]) > max(0.8, roc_auc_score(later.values, alone) + 0.1)
    assert np.array_equal(fitted.predict(unknown), (told[0] + told[1]) / 2)


def test_questions_that_the_view_was_learned_from_have_none() -> None:
    train, valid = (asked(shop(), TaskType.BINARY, days) for days in (TRAIN, VALID))
    first, since = by_time(train, 0.6)
    assert first.time.max() < since == train.time[train.time > first.time.max()].min()
    network = RelationalGNN(channels=4, fans=(2,), epochs=1, steps=1).fit(first, valid, ONE)
    assert isinstance(network, Fitted)
    view = NetworkView(network, since).transform(train).to_matrix()
    assert view.shape == (len(train), 5)
    assert np.array_equal(np.isnan(view), np.repeat(train.time[:, None] < since, 5, axis=1))


def test_questions_of_one_time_are_all_seen_by_the_view() -> None:
    train = asked(shop(), TaskType.BINARY, TRAIN)
    one_time = train.take(np.flatnonzero(train.time == train.time[0]))
    first, since = by_time(one_time, 0.6)
    assert len(first) == len(one_time) and since == one_time.time[0]
    with pytest.raises(InputError, match="between 0 and 1"):
        Hybrid(RelationalGNN(), BoostedTrees(library="lightgbm"), RelationalGNN(), earlier=1.0)


def test_a_hybrid_recommends_by_the_ranks_of_both() -> None:
    database = shop()
    train, valid, later = (asked(database, TaskType.RECOMMENDATION, days) for days in (TRAIN, VALID, LATER))
    unknown = replace(later, labels=None)
    network = RelationalGNN(channels=16, fans=(4, 2), epochs=2, steps=12, batch=64, rate=0.01)
    trees = BoostedTrees(library="lightgbm", n_estimators=20, ensemble_size=1, features=(EntityColumns(),))
    fitted = Hybrid(network, trees, view=network).fit(train, valid, ONE)
    assert isinstance(fitted, FittedAverage)
    ranked = [np.asarray(member.predict(unknown), np.int64) for member in fitted.members]
    assert np.array_equal(fitted.predict(unknown), fused(ranked))


def test_the_network_of_the_hybrid_is_gnn() -> None:
    assert make_method("hybrid")[1]["network"] == make_method("gnn")[1]
