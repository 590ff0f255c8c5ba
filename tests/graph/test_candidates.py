"""Past items, popular items and negatives, each against a slow count."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_examples import made_database
from random_databases import DAY, databases, random_database
from scipy.stats import chisquare

from relbench_harness.data.database import Database
from relbench_harness.errors import InputError
from relbench_harness.graph.candidates import Candidates, Negatives, Positives
from relbench_harness.temporal.interactions import InteractionPath, interaction_paths
from relbench_harness.temporal.paths import ForeignKey, KeyPath

BUYS = InteractionPath(KeyPath((ForeignKey("events", "user", "users"),)), KeyPath((ForeignKey("events", "item", "items"),)))


def test_interaction_paths_are_found() -> None:
    database = random_database(np.random.default_rng(0), 5, 5, 5, 5)
    found = interaction_paths(database, "users", "items")
    assert [(p.table, p.to_entity.columns, p.to_item.columns) for p in found] == [
        ("events", ("user",), ("item",)),
        ("notes", ("by",), ("event", "item")),
        ("notes", ("to",), ("event", "item")),
        ("notes", ("reply to", "by"), ("event", "item")),
    ]
    assert found[0] == BUYS
    other = KeyPath((ForeignKey("events", "item", "item"),))
    with pytest.raises(InputError, match="no table 'item'"):
        Candidates(database, InteractionPath(BUYS.to_entity, other))


@settings(max_examples=40, deadline=None)
@given(databases(), st.integers(1, 30))
def test_past_items(database: Database, most: int) -> None:
    events, items = database["events"], database["items"]
    count = len(database["users"])
    cutoffs = (np.arange(count) % 13) * DAY
    found = Candidates(database, BUYS).past(np.arange(count), cutoffs, most)
    for user in range(count):
        rows = [r for r in range(len(events)) if events.parents("user")[r] == user and events.times[r] < cutoffs[user]]
        named = [i for r in reversed(rows) if (i := int(events.parents("item")[r])) >= 0][:most]
        seen = [i for i in named if items.times[i] < cutoffs[user]]
        here = slice(found.ends[user], found.ends[user + 1])
        assert found.item[here].tolist() == list(dict.fromkeys(seen))
        assert found.times[here].tolist() == list(Counter(seen).values())
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
        if i >= 0 and events.parents("user")[r] >= 0 and since <= events.times[r] < cutoff and items.times[i] < cutoff
    )
    expected = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:4]
    item, count = Candidates(database, BUYS).popular(cutoff, days, 4)
    assert list(zip(item.tolist(), count.tolist(), strict=True)) == expected


@settings(max_examples=40, deadline=None)
@given(databases(), st.sampled_from(["uniform", "popular"]), st.integers(0, 2**40))
def test_negatives_are_visible_and_not_positive(database: Database, weighting: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, items = 10, len(database["items"])
    entity, cutoff = rng.integers(0, 30, count), rng.integers(0, 14, count) * DAY
    sizes = rng.integers(0, 20, count) if items else np.zeros(count, np.int64)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    positives = rng.integers(0, max(items, 1), ends[-1])
    negatives = Negatives(Candidates(database, BUYS), weighting, seed)  # type: ignore[arg-type]
    drawn = negatives.draw(entity, cutoff, Positives(ends, positives), 6)
    for i in range(count):
        open_items = set(range(int(database["items"].visible(cutoff[i : i + 1])[0]))) - set(
            positives[ends[i] : ends[i + 1]]
        )
        assert set(drawn[i]) <= (open_items or {-1})
    one = negatives.draw(entity[3:4], cutoff[3:4], Positives(ends[3:5] - ends[3], positives[ends[3] : ends[4]]), 6)
    assert (one == drawn[3]).all(), "the draws of an example do not depend on the batch"


@pytest.mark.parametrize("weighting", ["uniform", "popular"])
def test_the_distribution_of_negatives(weighting: str) -> None:
    database = random_database(np.random.default_rng(2), 5, 10, 300, 0)
    cutoff = np.full(4000, 100 * DAY)
    ends, positives = np.arange(4001) * 2, np.tile([3, 7], 4000)
    negatives = Negatives(Candidates(database, BUYS), weighting)  # type: ignore[arg-type]
    drawn = negatives.draw(np.arange(4000), cutoff, Positives(ends, positives), 3)
    weights = np.ones(10)
    if weighting == "popular":
        events = database["events"]
        there = (events.parents("item") >= 0) & (events.parents("user") >= 0)
        weights = np.bincount(events.parents("item")[there], minlength=10).astype(float)
    weights[[3, 7]] = 0
    expected = weights / weights.sum() * drawn.size
    keep = expected > 0
    counts = np.bincount(drawn.ravel(), minlength=10)
    assert counts[~keep].sum() == 0
    assert chisquare(counts[keep], expected[keep]).pvalue > 1e-4


def test_bad_negatives() -> None:
    candidates = Candidates(random_database(np.random.default_rng(0), 5, 5, 5, 5), BUYS)
    with pytest.raises(InputError, match="did you mean 'popular'"):
        Negatives(candidates, "populr")  # type: ignore[arg-type]


def test_longer_ways_are_found_where_there_are_no_short_ones() -> None:
    """Performances of players belong to matches of tournaments of series: the series lies three keys away."""
    none = np.zeros(1, np.int64)
    tables = {
        "series": pa.table({"id": none}),
        "tournaments": pa.table({"id": none, "series": none}),
        "matches": pa.table({"id": none, "tournament": none}),
        "players": pa.table({"id": none}),
        "performances": pa.table({"player": none, "match": none}),
        "shoes": pa.table({"id": none}),
    }
    keys: dict[str, tuple[str | None, str | None, dict[str, str]]] = {
        "series": ("id", None, {}),
        "tournaments": ("id", None, {"series": "series"}),
        "matches": ("id", None, {"tournament": "tournaments"}),
        "players": ("id", None, {}),
        "performances": (None, None, {"player": "players", "match": "matches"}),
        "shoes": ("id", None, {}),
    }
    database = made_database(tables, keys)
    (path,) = interaction_paths(database, "players", "series")
    assert (path.table, path.to_entity.columns) == ("performances", ("player",))
    assert path.to_item.columns == ("match", "tournament", "series")
    assert interaction_paths(database, "players", "shoes") == ()
