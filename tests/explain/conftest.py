"""The shop whose labels follow the latest order, predictors that are known by heart, and methods that learned from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from relbench_harness.baselines.gnn.method import FittedGNN, RelationalGNN
from relbench_harness.baselines.trees.booster import Library
from relbench_harness.baselines.trees.fitted import FittedTrees
from relbench_harness.baselines.trees.method import BoostedTrees
from shop import Shop, made_shop

from relbench_harness.data.task import TaskType
from relbench_harness.features.block import Block
from relbench_harness.features.child_statistics import ChildStatistics
from relbench_harness.features.context import ParentContext
from relbench_harness.features.dfs.synthesis import DeepFeatureSynthesis
from relbench_harness.features.entity import EntityColumns
from relbench_harness.features.past_labels import PastLabels
from relbench_harness.features.windows import Windows
from relbench_harness.protocol.method import Budget, Examples

TRAIN, VALID, LATER = range(40, 150, 10), range(160, 171, 10), (180, 190)
ONE = Budget(threads=1, device="cpu")


@dataclass(frozen=True)
class LatestWorth:
    """Answers with the worth of the latest visible order, and half of that of the one before.

    Attributes:
        everywhere: Also with the mean worth of all visible orders, whoever placed them.
    """

    everywhere: float = 0.0

    def predict(self, examples: Examples) -> NDArray[np.float64]:
        orders = examples.database["order"]
        assert orders.times is not None
        customer = orders.parents("customer")
        worth = orders.rows.column("worth").to_numpy() if len(orders) else np.zeros(0)
        found = np.zeros(len(examples))
        for i, (entity, cutoff) in enumerate(zip(examples.entity, examples.cutoff, strict=True)):
            visible = orders.times < cutoff
            mine = np.flatnonzero((customer == entity) & visible)[-2:]
            found[i] = (worth[mine] * np.array([0.5, 1.0])[2 - len(mine) :]).sum()
            found[i] += self.everywhere * worth[visible].mean() if visible.any() else 0.0
        return found


def latest_orders(examples: Examples, position: int, count: int) -> list[int]:
    """The latest visible orders of an example's customer, the latest first."""
    orders = examples.database["order"]
    assert orders.times is not None
    mine = (orders.parents("customer") == examples.entity[position]) & (orders.times < examples.cutoff[position])
    return [int(row) for row in np.flatnonzero(mine)[::-1][:count]]


@pytest.fixture(scope="session")
def latest_shop() -> Shop:
    return made_shop()


@pytest.fixture(scope="session")
def later(latest_shop: Shop) -> Examples:
    """Labelled examples of a regression, a few customers without orders among them."""
    examples = latest_shop.examples(TaskType.REGRESSION, LATER)
    return examples.take(np.arange(0, len(examples), 5))


@pytest.fixture(scope="session")
def network(latest_shop: Shop) -> FittedGNN:
    method = RelationalGNN(channels=16, num_neighbors=(4, 2), epochs=9, steps_per_epoch=12, batch_size=64, lr=0.01)
    train, valid = (latest_shop.examples(TaskType.BINARY, days) for days in (TRAIN, VALID))
    return method.fit(train, valid, ONE)


SIMPLE: tuple[Block, ...] = (EntityColumns(), Windows(rows=(1, 5), hops=1), ChildStatistics())


def trees(
    shop: Shop, kind: TaskType, library: Library = "xgboost", features: tuple[Block, ...] = SIMPLE, days: int = 1
) -> FittedTrees:
    method = BoostedTrees(
        library=library, features=features, n_estimators=20, learning_rate=0.1, ensemble_size=2, early_stopping_rounds=20
    )
    fitted = method.fit(shop.examples(kind, TRAIN[::days]), shop.examples(kind, VALID[:1]), ONE)
    assert isinstance(fitted, FittedTrees)
    return fitted


@pytest.fixture(scope="session")
def boosted(latest_shop: Shop) -> FittedTrees:
    further = (PastLabels(), ParentContext(), DeepFeatureSynthesis(depth=1))
    return trees(latest_shop, TaskType.BINARY, features=(*SIMPLE, *further))
