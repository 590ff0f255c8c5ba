"""Known features are found again for equal examples about equal rows; a cache computes once while it is open."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from made_examples import DAY, examples_about

from relbench_harness.data.database import Database
from relbench_harness.features.block import Column, Features, FittedBlock, within
from relbench_harness.features.cached import Cached, FeatureCache, KnownFeatures, same_examples
from relbench_harness.features.dfs.synthesis import DeepFeatureSynthesis
from relbench_harness.features.entity import EntityColumns
from relbench_harness.protocol.method import Examples


@dataclass(frozen=True)
class Counting:
    """Keeps what is called of it."""

    name: str
    calls: list[str] = field(default_factory=list, compare=False)

    def fit(self, train: Examples) -> FittedBlock:
        self.calls.append("fit")
        return replace(self)

    def transform(self, examples: Examples) -> Features:
        self.calls.append("transform")
        return Features(len(examples), (Column(self.name, examples.time.astype(np.float64)),))


def test_equal_examples_about_other_rows_are_not_taken_for_known(shop: Database) -> None:
    test = examples_about(shop, "customers", [0, 1], [3, 3])
    orders = shop["orders"]
    paid = pa.array(orders.rows.column("paid").to_numpy()[::-1].copy())
    column = orders.rows.column_names.index("paid")
    other = replace(orders, rows=orders.rows.set_column(column, "paid", paid))
    changed = Database([other, shop["customers"], shop["lines"]])
    assert same_examples(test, replace(test, labels=np.zeros(2)))
    assert not same_examples(test, replace(test, database=changed))
    assert not same_examples(test, replace(test, cutoff=test.cutoff - 1))
    assert not same_examples(test, replace(test, fit_end=test.fit_end - 1))
    cut = replace(test, database=shop.upto(3 * DAY))
    assert not same_examples(test, cut)
    assert same_examples(cut, replace(test, database=shop.upto(3 * DAY)))


def test_known_features_are_not_computed_again(shop: Database) -> None:
    test, later = examples_about(shop, "customers", [0, 1], [3, 3]), examples_about(shop, "customers", [0, 1], [4, 4])
    block = Counting("time")
    known = KnownFeatures(block, test, block.transform(test))
    for examples in (test, replace(test, labels=np.zeros(2)), later):
        np.testing.assert_array_equal(known.transform(examples)["time"].values, examples.time)
    assert block.calls == ["transform", "transform"]


def test_an_open_cache_computes_once_for_each_block_and_examples(shop: Database) -> None:
    train, valid = examples_about(shop, "customers", [0, 1], [1, 2]), examples_about(shop, "customers", [0, 1], [3, 3])
    one, two = Counting("one"), Counting("two")
    with FeatureCache() as cache:
        for _ in range(3):
            for block in (one, two):
                fitted = Cached(block, cache).fit(train)
                for examples in (train, valid, replace(valid, labels=np.zeros(2))):
                    found = fitted.transform(examples)
                    assert found.names == [block.name]
                    np.testing.assert_array_equal(found.columns[0].values, examples.time)
        assert one.calls == two.calls == ["fit", "transform", "transform"]
    assert not cache.computed and not cache.fitted
    fitted.transform(valid)
    assert two.calls.count("transform") == 3 and not cache.computed


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
