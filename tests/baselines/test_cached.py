"""A cache computes each set of examples once while it is open, and holds nothing after that."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from relbench_harness.baselines.cached import Cached, FeatureCache

from relbench_harness.data.task import TaskType
from relbench_harness.features.block import Column, Features, FittedBlock, within
from relbench_harness.features.entity import EntityColumns
from relbench_harness.features.synthesis import DeepFeatureSynthesis
from relbench_harness.protocol.method import Examples

if TYPE_CHECKING:
    from .conftest import Shop


@dataclass(frozen=True)
class Counting:
    """Counts what it is asked for."""

    name: str
    asked: list[str] = field(default_factory=list, compare=False)

    def fit(self, train: Examples) -> FittedBlock:
        self.asked.append("fit")
        return replace(self)

    def transform(self, examples: Examples) -> Features:
        self.asked.append("transform")
        return Features(len(examples), (Column(self.name, examples.time.astype(np.float64)),))


def test_an_open_cache_computes_once_for_each_block_and_examples(shop: Shop) -> None:
    train, valid = shop.examples(TaskType.BINARY, (60, 80), 100), shop.examples(TaskType.BINARY, (100,), 100)
    one, two = Counting("one"), Counting("two")
    with FeatureCache() as cache:
        for _ in range(3):
            for block in (one, two):
                fitted = Cached(block, cache).fit(train)
                for examples in (train, valid, replace(valid, labels=None)):
                    found = fitted.transform(examples)
                    assert found.names == [block.name]
                    np.testing.assert_array_equal(found.columns[0].values, examples.time)
        assert one.asked == two.asked == ["fit", "transform", "transform"]
    assert not cache.computed and not cache.fitted
    fitted.transform(valid)
    assert two.asked.count("transform") == 3 and not cache.computed


def test_a_block_told_of_the_memory_keeps_a_limit_of_its_own() -> None:
    cache = FeatureCache()
    given = (
        DeepFeatureSynthesis(),
        DeepFeatureSynthesis(memory_mb=7),
        Cached(DeepFeatureSynthesis(), cache),
        EntityColumns(),
    )
    told = [within(block, 1000) for block in given]
    assert told == [
        DeepFeatureSynthesis(memory_mb=500),
        given[1],
        Cached(DeepFeatureSynthesis(memory_mb=500), cache),
        given[3],
    ]
    assert [within(block, None) for block in given] == list(given)
