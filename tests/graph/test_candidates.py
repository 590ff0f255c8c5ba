"""Past items, popular items and negatives, each against a slow count."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_databases import DAY, databases, random_database
from scipy.stats import chisquare

from relbench_harness.data.database import Database
from relbench_harness.errors import InputError
from relbench_harness.graph.candidates import Negatives, met, popular, walks
from relbench_harness.graph.structure import Graph, Step

ITEM = Step("events", "items", "item", True)


def test_walks() -> None:
    graph = Graph.from_database(random_database(np.random.default_rng(0), 5, 5, 5, 5))
    found = [
        " ".join(f"{'up' if s.up else 'down'}:{s.child}.{s.column}" for s in w) for w in walks(graph, "users", "items")
    ]
    assert found == [
        "down:events.user up:events.item",
        "down:notes.by up:notes.event up:events.item",
        "down:notes.to up:notes.event up:events.item",
    ]
    with pytest.raises(InputError, match="no table 'item'"):
        walks(graph, "users", "item")


@settings(max_examples=40, deadline=None)
@given(databases(), st.integers(1, 30))
def test_met_items(database: Database, most: int) -> None:
    graph = Graph.from_database(database)
    events, items = database["events"], database["items"]
    count = len(database["users"])
    cutoffs = (np.arange(count) % 13) * DAY
    walk = walks(graph, "users", "items")[0]
    found = met(graph, walk, np.arange(count), cutoffs, most)
    for user in range(count):
        rows = [r for r in range(len(events)) if events.parents("user")[r] == user and events.times[r] < cutoffs[user]]
        named = [int(events.parents("item")[r]) for r in reversed(rows[-most:])]
        seen = [i for i in named if i >= 0 and items.times[i] < cutoffs[user]]
        here = slice(found.ends[user], found.ends[user + 1])
        assert found.item[here].tolist() == list(dict.fromkeys(seen))
        assert found.meetings[here].tolist() == list(Counter(seen).values())
        assert found.rank[here].tolist() == [seen.index(i) for i in dict.fromkeys(seen)]


@settings(max_examples=40, deadline=None)
@given(databases(), st.integers(-1, 14), st.sampled_from([None, 3.0]))
def test_popular_items(database: Database, day: int, days: float | None) -> None:
    events, items = database["events"], database["items"]
    cutoff = day * DAY
    since = -(10**30) if days is None else cutoff - days * DAY
    counts = Counter(
        int(i)
        for r, i in enumerate(events.parents("item"))
        if i >= 0 and since <= events.times[r] < cutoff and items.times[i] < cutoff
    )
    expected = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:4]
    item, count = popular(Graph.from_database(database), ITEM, cutoff, days, 4)
    assert list(zip(item.tolist(), count.tolist(), strict=True)) == expected


@settings(max_examples=40, deadline=None)
@given(databases(), st.sampled_from(["uniform", "popular"]), st.integers(0, 2**40))
def test_negatives_are_visible_and_not_positive(database: Database, weighting: str, seed: int) -> None:
    graph = Graph.from_database(database)
    rng = np.random.default_rng(seed)
    count, items = 10, len(database["items"])
    entity, cutoff = rng.integers(0, 30, count), rng.integers(0, 14, count) * DAY
    sizes = rng.integers(0, 20, count) if items else np.zeros(count, np.int64)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    positives = rng.integers(0, max(items, 1), ends[-1])
    negatives = Negatives(graph, ITEM, weighting, seed)  # type: ignore[arg-type]
    drawn = negatives.draw(entity, cutoff, ends, positives, 6)
    for i in range(count):
        open_items = set(range(int(graph.visible("items", cutoff[i : i + 1])[0]))) - set(positives[ends[i] : ends[i + 1]])
        assert set(drawn[i]) <= (open_items or {-1})
    one = negatives.draw(entity[3:4], cutoff[3:4], ends[3:5] - ends[3], positives[ends[3] : ends[4]], 6)
    assert (one == drawn[3]).all(), "the draws of a question do not depend on the batch"


@pytest.mark.parametrize("weighting", ["uniform", "popular"])
def test_the_distribution_of_negatives(weighting: str) -> None:
    database = random_database(np.random.default_rng(2), 5, 10, 300, 0)
    graph = Graph.from_database(database)
    cutoff = np.full(4000, 100 * DAY)
    ends, positives = np.arange(4001) * 2, np.tile([3, 7], 4000)
    negatives = Negatives(graph, ITEM, weighting)  # type: ignore[arg-type]
    drawn = negatives.draw(np.arange(4000), cutoff, ends, positives, 3)
    weights = np.ones(10)
    if weighting == "popular":
        named = graph.parent_of("events", "item")
        weights = np.bincount(named[named >= 0], minlength=10).astype(float)
    weights[[3, 7]] = 0
    expected = weights / weights.sum() * drawn.size
    keep = expected > 0
    counts = np.bincount(drawn.ravel(), minlength=10)
    assert counts[~keep].sum() == 0
    assert chisquare(counts[keep], expected[keep]).pvalue > 1e-4


def test_bad_negatives() -> None:
    graph = Graph.from_database(random_database(np.random.default_rng(0), 5, 5, 5, 5))
    with pytest.raises(InputError, match="did you mean 'popular'"):
        Negatives(graph, ITEM, "populr")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="up to items"):
        Negatives(graph, Step("items", "events", "item", False))
