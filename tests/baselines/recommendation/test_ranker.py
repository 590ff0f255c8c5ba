"""Candidates and their features rest on visible events only; the ranker finds each customer's favourite."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pytest
from made_examples import DAY
from relbench_harness.baselines.quality import quality
from relbench_harness.baselines.recommendation.candidates import InteractionCandidates
from relbench_harness.baselines.recommendation.ranker import Ranker, relevant
from relbench_harness.baselines.trees.booster import TreeParameters
from relbench_harness.baselines.trees.method import BoostedTrees
from shop import PRODUCTS, Shop, at

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Budget, Ragged
from relbench_harness.temporal.interactions import interaction_paths, interactions

KIND = TaskType.RECOMMENDATION
TRAIN, VALID, TEST = (60, 80, 100, 120), (140,), (180,)
BUDGET = Budget(threads=1)
SMALL = Ranker(TreeParameters(n_estimators=40, learning_rate=0.1, early_stopping_rounds=10))


def test_paths_and_interactions_are_read_off_the_schema(shop: Shop) -> None:
    (path,) = interaction_paths(shop.database, "customer", "products")
    assert (path.table, path.to_entity.columns, path.to_item.columns) == (
        "order lines",
        ("order", "customer"),
        ("product",),
    )
    found = interactions(shop.database, path)
    named = shop.database["order"].parents("customer")[shop.database["order lines"].parents("order")]
    assert len(found) == (named >= 0).sum()
    assert (np.diff(found.time) >= 0).all()
    before = found.before(at(100))
    assert before.time.max() < at(100) <= found.time[len(before)]


def test_a_path_does_not_turn_back_where_it_came_from(shop: Shop) -> None:
    """A line of an order of one product, and a note on it, name customer and product through that order: an event already."""
    notes = Table(
        "notes",
        pa.table({"order": np.arange(5)}),
        references=MappingProxyType({"order": "order"}),
        stypes=MappingProxyType({}),
    )
    orders = shop.database["order"]
    rows = orders.rows.append_column("product", pa.array(np.arange(len(orders)) % PRODUCTS))
    single = replace(orders, rows=rows, references=MappingProxyType({**orders.references, "product": "products"}))
    wider = Database([*(t for t in shop.database.values() if t.name != "order"), single, notes])
    paths = interaction_paths(wider, "customer", "products")
    assert [(path.table, path.to_item.columns) for path in paths] == [
        ("order", ("product",)),
        ("order lines", ("product",)),
    ]


@pytest.mark.parametrize("few", [True, False])
def test_features_equal_a_count_by_hand(shop: Shop, few: bool) -> None:
    examples = shop.examples(KIND, TEST, 140)
    past = interactions(shop.database, interaction_paths(shop.database, "customer", "products")[0])
    sources = InteractionCandidates(windows=(1.0, 3.0), all_items=200 if few else 0, own=3, popular=2, related=2)
    example, item, features = sources.fit(examples).pairs(examples)
    values = features.to_matrix()
    seen = past.before(at(180))
    if few:
        assert len(item) == len(examples) * 12
    assert len(np.unique(example * 100 + item)) == len(item)
    for row in range(0, len(item), 37):
        mine = (seen.entity == examples.entity[example[row]]) & (seen.item == item[row])
        value = dict(zip(features.names, values[row], strict=True))
        assert value["order lines.product: own all time"] == mine.sum()
        assert value["order lines.product: own 1 horizons"] == (mine & (seen.time >= at(160))).sum()
        last = (at(180) - seen.time[mine][-1]) / DAY if mine.any() else np.nan
        np.testing.assert_allclose(value["order lines.product: own last"], last, rtol=1e-5)


def test_related_is_the_cosine_of_co_visits(shop: Shop) -> None:
    examples = shop.examples(KIND, TEST, 140)
    past = interactions(shop.database, interaction_paths(shop.database, "customer", "products")[0])
    example, item, features = InteractionCandidates().fit(examples).pairs(examples)
    seen = past.before(at(180))
    table = np.zeros((60, 12))
    table[seen.entity, seen.item] = 1
    cosine = (table.T @ table) / np.sqrt(np.outer(table.sum(0), table.sum(0)))
    expected = (table @ cosine)[examples.entity[example], item]
    np.testing.assert_allclose(features["order lines.product: related"].numbers, expected, rtol=1e-4)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_it_finds_the_favourites_the_same_twice(shop: Shop, library: str) -> None:
    train, valid = shop.examples(KIND, TRAIN, 140), shop.examples(KIND, VALID, 140)
    test = shop.examples(KIND, TEST, 140)
    method = BoostedTrees(library=library, n_estimators=40, learning_rate=0.1, early_stopping_rounds=10)
    first = method.fit(train, valid, BUDGET).predict(replace(test, labels=None))
    assert first.shape == (len(test), 3)
    assert quality(test, first) > 0.7
    np.testing.assert_array_equal(first, method.fit(train, valid, BUDGET).predict(test))


def test_future_rows_do_not_matter_and_refit_answers(shop: Shop) -> None:
    model = SMALL.fit(shop.examples(KIND, TRAIN, 140), shop.examples(KIND, VALID, 140), BUDGET)
    test = shop.examples(KIND, TEST, 140)
    cut = replace(test, database=shop.database.upto(at(180)))
    np.testing.assert_array_equal(model.predict(test), model.predict(cut))
    again = model.refit(shop.examples(KIND, (*TRAIN, *VALID), 160))  # type: ignore[attr-defined]
    assert quality(test, again.predict(test)) > 0.7


def test_too_few_candidates_leave_no_item_twice(shop: Shop) -> None:
    sparse = replace(SMALL, candidates=InteractionCandidates(all_items=0, own=1, popular=0, related=0))
    model = sparse.fit(shop.examples(KIND, TRAIN, 140), shop.examples(KIND, VALID, 140), BUDGET)
    answer = model.predict(shop.examples(KIND, TEST, 140))
    assert (answer[:, 0] >= 0).sum() > 50
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in answer)


def test_relevance_is_by_example(shop: Shop) -> None:
    examples = shop.examples(KIND, TEST, 140)
    example, item, _ = InteractionCandidates().fit(examples).pairs(examples)
    right = relevant(example, item, examples.lists)
    assert (item[right] == shop.favourite[examples.entity[example[right]]]).all()
    assert right.sum() == len(examples)
    assert not relevant(example, item, Ragged(np.zeros(len(examples) + 1, np.int64), np.zeros(0, np.int64))).any()


def test_without_interactions_the_task_is_named(shop: Shop) -> None:
    lonely = shop.examples(KIND, VALID, 140)
    bare = replace(lonely, database=type(shop.database)([shop.database["customer"], shop.database["products"]]))
    with pytest.raises(InputError, match="no interactions"):
        SMALL.fit(bare, bare, BUDGET)
