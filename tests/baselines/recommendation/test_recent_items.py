"""Items by recency and count, what is popular among rows that share a parent, and history with items alike, against a count by hand."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pytest
from made_examples import DAY, every_pair, made_examples, made_task
from numpy.typing import NDArray
from relbench_harness.baselines.recommendation.candidates import InteractionCandidates
from relbench_harness.baselines.recommendation.recent_items import FittedRecentItems, RecentItems

from relbench_harness.compose import make_method
from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError, UnsupportedTaskError
from relbench_harness.protocol.method import Budget, Examples, Ragged
from relbench_harness.temporal.interactions import interaction_paths, interactions, shared_parents

CITIES, STORES, MAKERS, CUSTOMERS, PRODUCTS, BASKETS, LINES = 3, 4, 5, 30, 40, 400, 1500
HORIZON = 10
RNG = np.random.default_rng(0)
CITY = RNG.integers(0, CITIES, CUSTOMERS)
MAKER = RNG.integers(0, MAKERS, PRODUCTS)
BASKET_TIME = np.sort(RNG.integers(0, 100 * DAY, BASKETS))
BUYER, STORE = RNG.integers(0, CUSTOMERS - 3, BASKETS), RNG.integers(0, STORES, BASKETS)
BASKET = np.sort(RNG.integers(0, BASKETS, LINES))
PRODUCT = np.where(RNG.random(LINES) < 0.5, STORE[BASKET] * 3, RNG.integers(0, PRODUCTS, LINES))


def _refers(**references: str) -> MappingProxyType[str, str]:
    return MappingProxyType(dict(references))


def _times(values: NDArray[np.int64]) -> pa.Array:
    return pa.array(values).cast(pa.timestamp("ns"))


def _static(name: str, rows: int) -> Table:
    return Table(name, pa.table({"id": np.arange(rows)}), "id")


def market() -> Database:
    customers = {"id": np.arange(CUSTOMERS), "city": CITY}
    products = {"id": np.arange(PRODUCTS), "maker": MAKER, "kind": [f"kind {i % 4}" for i in range(PRODUCTS)]}
    baskets = {"id": np.arange(BASKETS), "at": _times(BASKET_TIME), "customer": BUYER, "store": STORE}
    return Database(
        [
            _static("cities", CITIES),
            _static("stores", STORES),
            _static("makers", MAKERS),
            Table("customers", pa.table(customers), "id", None, _refers(city="cities")),
            Table("products", pa.table(products), "id", None, _refers(maker="makers")),
            Table("baskets", pa.table(baskets), "id", "at", _refers(customer="customers", store="stores")),
            Table(
                "lines",
                pa.table({"basket": BASKET, "product": PRODUCT}),
                None,
                None,
                _refers(basket="baskets", product="products"),
            ),
        ]
    )


def examples(days: tuple[int, ...], fit_day: int) -> Examples:
    entity, time = every_pair(CUSTOMERS, days, 0)
    labels = [bought(c, t, t + HORIZON * DAY) for c, t in zip(entity, time, strict=True)]
    offsets = np.cumsum([0, *map(len, labels)])
    truth = Ragged(offsets, np.concatenate(labels).astype(np.int64))
    task = made_task("customers", TaskType.RECOMMENDATION, days=HORIZON, items="products")
    return made_examples(task, market(), (entity, time), truth, fit_day * DAY)


def lines_before(cutoff: int, since: int = -1) -> NDArray[np.int64]:
    time = BASKET_TIME[BASKET]
    return np.flatnonzero((time < cutoff) & (time >= since))


def bought(customer: int, since: int, end: int) -> NDArray[np.int64]:
    rows = lines_before(end + 1, since + 1)
    return np.unique(PRODUCT[rows[BUYER[BASKET[rows]] == customer]])


def test_ways_to_shared_parents_lead_from_the_entity_and_from_what_lies_between() -> None:
    (path,) = interaction_paths(market(), "customers", "products")
    assert [way.name for way in shared_parents(market(), path)] == [
        "customers[city]/baskets[customer]/lines[basket]",
        "baskets[store]/lines[basket]",
    ]
    found = interactions(market(), path, shared_parents(market(), path))
    rows = np.argsort(BASKET_TIME[BASKET], kind="stable")
    np.testing.assert_array_equal(found.groups["baskets[store]/lines[basket]"], STORE[BASKET[rows]])
    np.testing.assert_array_equal(
        found.before(40 * DAY).groups["baskets[store]/lines[basket]"], STORE[BASKET[rows]][: len(found.before(40 * DAY))]
    )


@pytest.mark.parametrize("all_items", [200, 0])
def test_popularity_within_a_group_equals_a_count_by_hand(all_items: int) -> None:
    shown = examples((80,), 60)
    example, item, features = InteractionCandidates(all_items=all_items).fit(shown).pairs(shown)
    values = dict(zip(features.names, features.to_matrix().T, strict=True))
    cutoff = 80 * DAY
    for since, window in ((-1, "all time"), (70 * DAY, "1 horizons")):
        rows = lines_before(cutoff, since)
        for row in range(0, len(item), 17):
            customer = int(shown.entity[example[row]])
            mine = rows[CITY[BUYER[BASKET[rows]]] == CITY[customer]]
            share = (PRODUCT[mine] == item[row]).mean() if len(mine) else 0.0
            name = f"lines.product: popularity {window} [customers[city]/baskets[customer]/lines[basket]]"
            assert values[name][row] == pytest.approx(share, rel=1e-5)
            own = lines_before(cutoff)
            own = own[BUYER[BASKET[own]] == customer]
            name = f"lines.product: popularity {window} [baskets[store]/lines[basket]]"
            if not len(own):
                assert np.isnan(values[name][row])
                continue
            latest = STORE[BASKET[own[-1]]]
            mine = rows[STORE[BASKET[rows]] == latest]
            share = (PRODUCT[mine] == item[row]).mean() if len(mine) else 0.0
            assert values[name][row] == pytest.approx(share, rel=1e-5)
            own = own[BASKET_TIME[BASKET[own]] >= since]
            for column, code in (("maker", MAKER), ("kind", np.arange(PRODUCTS) % 4)):
                share = (code[PRODUCT[own]] == code[item[row]]).mean() if len(own) else 0.0
                assert values[f"lines.product, equal {column}: {window}"][row] == pytest.approx(share, rel=1e-5)


def test_what_a_store_sells_most_is_a_candidate() -> None:
    few = InteractionCandidates(all_items=0, own=0, popular=0, related=0, shared=1)
    shown = examples((80,), 60)
    example, item, _ = few.fit(shown).pairs(shown)
    own = lines_before(80 * DAY)
    for customer in range(CUSTOMERS - 3):
        latest = STORE[BASKET[own[BUYER[BASKET[own]] == customer][-1]]]
        sold = np.bincount(PRODUCT[own[STORE[BASKET[own]] == latest]], minlength=PRODUCTS)
        assert sold.argmax() in item[shown.entity[example] == customer]


@pytest.mark.parametrize("half_life", [0.5, np.inf])
def test_the_rule_ranks_own_items_then_popular_ones(half_life: float) -> None:
    (path,) = interaction_paths(market(), "customers", "products")
    shown = examples((50, 80), 60)
    answer = FittedRecentItems({path.name: path}, path.name, half_life).predict(shown)
    for row, (customer, cutoff) in enumerate(zip(shown.entity, shown.cutoff, strict=True)):
        seen = lines_before(int(cutoff))
        weight = 0.5 ** ((cutoff - BASKET_TIME[BASKET[seen]]) / (half_life * HORIZON * DAY))
        popular = np.bincount(PRODUCT[seen], weights=weight, minlength=PRODUCTS)
        own = np.bincount(PRODUCT[seen], weights=weight * (BUYER[BASKET[seen]] == customer), minlength=PRODUCTS)
        score = np.where(own > 0, own + 1e3, 0) + 1e-6 * popular / popular.sum()
        expected = np.argsort(-score, kind="stable")[: answer.shape[1]]
        np.testing.assert_allclose(score[answer[row]], score[expected], rtol=1e-9)
        assert len(set(answer[row].tolist())) == answer.shape[1]


def test_the_plain_reference_recommends_by_the_rule() -> None:
    train, valid = examples((30, 40, 50), 60), examples((60,), 60)
    found = make_method("lightgbm_simple")[0].fit(train, valid, Budget(threads=1))
    assert isinstance(found, FittedRecentItems)
    later = replace(examples((80,), 60), labels=None)
    np.testing.assert_array_equal(
        found.predict(later), found.predict(replace(later, database=later.database.upto(80 * DAY)))
    )


def test_a_task_without_interactions_or_a_wrong_half_life_is_named() -> None:
    shown = examples((30,), 60)
    bare = replace(shown, database=Database(shown.database[name] for name in ("cities", "makers", "customers", "products")))
    with pytest.raises(UnsupportedTaskError, match="no table's foreign keys lead to both"):
        RecentItems().fit(bare, bare, Budget())
    with pytest.raises(InputError, match="half-lives are more than 0"):
        RecentItems(half_lives=(0.0,))
