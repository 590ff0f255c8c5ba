"""The hybrid: trees learn from an earlier network's states, and both predict together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from relbench_harness.baselines.averaged import FittedAverage
from relbench_harness.baselines.gnn.method import RelationalGNN
from relbench_harness.baselines.hybrid import Hybrid, NetworkStates
from relbench_harness.baselines.recommendation.candidates import FittedCandidates
from relbench_harness.baselines.recommendation.ranker import Ranker
from relbench_harness.baselines.trees.method import BoostedTrees
from shop import made_shop
from sklearn.metrics import roc_auc_score

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError, UnsupportedTaskError
from relbench_harness.features.entity import EntityColumns
from relbench_harness.protocol.method import Budget, Examples
from relbench_harness.protocol.mixture import fused
from relbench_harness.temporal.example_split import earlier_part


@dataclass(frozen=True)
class NoCandidates:
    def fit(self, train: Examples) -> FittedCandidates:
        raise UnsupportedTaskError("no interactions")


ONE = Budget(threads=1, device="cpu")
TRAIN, VALID, LATER = range(40, 150, 10), range(160, 171, 10), range(160, 191, 10)


def test_trees_learn_what_the_network_sees() -> None:
    """The entity's own columns say nothing about its orders; the network's view of them does."""
    shop = made_shop()
    train, valid, later = (shop.examples(TaskType.BINARY, days) for days in (TRAIN, VALID, LATER))
    unknown = replace(later, labels=None)
    trees = BoostedTrees(library="lightgbm", n_estimators=40, ensemble_size=1, features=(EntityColumns(),))
    network = RelationalGNN(channels=16, num_neighbors=(4, 2), epochs=7, steps_per_epoch=12, batch_size=64, lr=0.01)
    fitted = Hybrid(network, trees, reader=network).fit(train, valid, ONE)
    assert isinstance(fitted, FittedAverage)
    predicted = [np.asarray(member.predict(unknown), np.float64) for member in fitted.members]
    alone = trees.fit(train, valid, ONE).predict(unknown)
    assert roc_auc_score(later.values, predicted[1]) > max(0.8, roc_auc_score(later.values, alone) + 0.1)
    assert np.array_equal(fitted.predict(unknown), (predicted[0] + predicted[1]) / 2)


def test_examples_that_the_reader_learned_from_have_no_states() -> None:
    shop = made_shop()
    train, valid = (shop.examples(TaskType.BINARY, days) for days in (TRAIN, VALID))
    earlier, since = earlier_part(train, 0.6)
    assert earlier.time.max() < since == train.time[train.time > earlier.time.max()].min()
    network = RelationalGNN(channels=4, num_neighbors=(2,), epochs=1, steps_per_epoch=1).fit(earlier, valid, ONE)
    view = NetworkStates(network, since).transform(train).to_matrix()
    assert view.shape == (len(train), 5)
    assert np.array_equal(np.isnan(view), np.repeat(train.time[:, None] < since, 5, axis=1))


def test_examples_of_one_time_are_all_learned_from() -> None:
    train = made_shop().examples(TaskType.BINARY, TRAIN)
    one_time = train.take(np.flatnonzero(train.time == train.time[0]))
    earlier, since = earlier_part(one_time, 0.6)
    assert len(earlier) == len(one_time) and since == one_time.time[0]
    with pytest.raises(InputError, match="between 0 and 1"):
        Hybrid(RelationalGNN(), BoostedTrees(library="lightgbm"), RelationalGNN(), earlier=1.0)


def test_a_hybrid_recommends_by_the_ranks_of_both() -> None:
    shop = made_shop()
    train, valid, later = (shop.examples(TaskType.RECOMMENDATION, days) for days in (TRAIN, VALID, LATER))
    unknown = replace(later, labels=None)
    network = RelationalGNN(channels=16, num_neighbors=(4, 2), epochs=2, steps_per_epoch=12, batch_size=64, lr=0.01)
    trees = BoostedTrees(library="lightgbm", n_estimators=20, ensemble_size=1, features=(EntityColumns(),))
    fitted = Hybrid(network, trees, reader=network).fit(train, valid, ONE)
    assert isinstance(fitted, FittedAverage)
    ranked = [np.asarray(member.predict(unknown), np.int64) for member in fitted.members]
    assert np.array_equal(fitted.predict(unknown), fused(ranked))


def test_a_hybrid_answers_with_what_remains_where_its_trees_cannot() -> None:
    shop = made_shop()
    train, valid, later = (shop.examples(TaskType.RECOMMENDATION, days) for days in (TRAIN, VALID, LATER))
    network = RelationalGNN(channels=16, num_neighbors=(4, 2), epochs=1, steps_per_epoch=2, batch_size=64)
    trees = BoostedTrees(library="lightgbm", ranker=Ranker(candidates=NoCandidates()))
    fitted = Hybrid(network, trees, reader=network).fit(train, valid, ONE)
    assert isinstance(fitted, FittedAverage) and fitted.notes == {"left_out": ["trees"]}
    alone = network.fit(train, valid, replace(ONE, seconds=None)).predict(replace(later, labels=None))
    assert np.array_equal(fitted.predict(replace(later, labels=None)), alone)
    with pytest.raises(UnsupportedTaskError, match="no interactions"):
        Hybrid(trees, trees, reader=network).fit(train, valid, ONE)
