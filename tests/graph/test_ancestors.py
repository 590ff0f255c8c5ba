"""Rows and their ancestors: each place names the parent that the row's own key names, and rounds of messages reach them all."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
from families import FRIEND, PARENTS, ROWS, family, named
from hypothesis import given, settings
from hypothesis import strategies as st

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.graph.ancestors import AncestorIndex, Ancestry, Found, schedule
from relbench_harness.graph.row_batch import AncestorLayer, Key, Link

DAY = 86_400 * 10**9
Node = tuple[str, int, Any]
"""(table, row, the sorted messages that it got: key and node)."""


@settings(deadline=None)  # the first example compiles
@given(named(ROWS), named(PARENTS), st.sets(st.integers(0, ROWS - 1), min_size=1), st.integers(1, 3))
def test_every_place_names_the_parent_that_the_key_names(
    leader: list[int | None], group: list[int | None], wanted: set[int], depth: int
) -> None:
    first = np.array(sorted(wanted))
    rows, per_depth, places = AncestorIndex(family(leader, group)).expand({"people": first}, depth, {})

    def named_by(people: set[int], key: list[int | None]) -> set[int]:
        return {up for person in people if (up := key[person]) is not None}

    near = set(wanted)  # all whose parents are read
    for level in range(depth - 1):
        assert set(rows["people"][: per_depth[level]["people"]].tolist()) == near
        near |= named_by(near, leader)
    assert rows["people"][: len(first)].tolist() == first.tolist()
    assert set(rows["people"].tolist()) == near | named_by(near, leader)
    assert set(rows.get("groups", np.empty(0)).tolist()) == named_by(near, group)
    for column, table, truth in (("leader", "people", leader), ("group", "groups", group)):
        if table not in rows:
            continue
        found = [None if at < 0 else int(rows[table][at]) for at in places["people", column]]
        assert found == [truth[person] if person in near else None for person in rows["people"].tolist()]


@settings(deadline=None)
@given(named(ROWS), named(PARENTS), named(ROWS), st.sets(st.integers(0, ROWS - 1), min_size=1), st.integers(1, 3))
def test_scheduled_rounds_pass_on_exactly_what_a_walk_up_the_keys_finds(
    leader: list[int | None], group: list[int | None], friend: list[int | None], wanted: set[int], depth: int
) -> None:
    index, first = AncestorIndex(family(leader, group)), np.array(sorted(wanted))
    found = np.array([-1 if (named_one := friend[person]) is None else named_one for person in first], np.int64)
    ancestry = index.expand({"people": first}, depth, {FRIEND: Found("people", found)})
    got = delivered(ancestry, {**index.parent, FRIEND: "people"}, {FRIEND})

    def walked(table: str, row: int, level: int) -> Node:
        if table == "groups" or level == 0:
            return table, row, ()
        keys = [(("people", "leader"), "people", leader), (("people", "group"), "groups", group)]
        keys += [(FRIEND, "people", friend)] if level == depth else []
        messages = [(key, walked(other, up, level - 1)) for key, other, names in keys if (up := names[row]) is not None]
        return table, row, tuple(sorted(messages))

    assert got[: len(first)] == [walked("people", int(row), depth) for row in first]


def delivered(ancestry: Ancestry, found_in: Mapping[Key, str], as_of: set[Key]) -> list[Node]:
    """What the people hold after all rounds of a schedule, where a state is simply everything that was sent."""
    links = ancestry.links()
    leaves, layers = schedule(ancestry.rows_per_depth, links, found_in, as_of)
    own: dict[str, list[Node]] = {t: [(t, int(row), ()) for row in rows] for t, rows in ancestry.rows.items()}
    base = round_of(leaves, {table: own[table][:count] for table, count in leaves.rows.items()}, (own, {}), links, found_in)
    state: dict[str, list[Node]] = {}
    for layer in layers:
        rows = {table: base[table][:count] for table, count in layer.rows.items()}
        state = round_of(layer, rows, (own, state), links, found_in)
    return state["people"]


def round_of(
    layer: AncestorLayer,
    rows: dict[str, list[Node]],
    states: tuple[dict[str, list[Node]], dict[str, list[Node]]],
    links: Mapping[Key, Link],
    found_in: Mapping[Key, str],
) -> dict[str, list[Node]]:
    result = {table: list(nodes) for table, nodes in rows.items()}
    for table, nodes in result.items():
        for key, pairs, updated in layer.links[table]:
            parents = states[updated][found_in[key]]
            for child, parent in zip(links[key].child[:pairs], links[key].parent[:pairs], strict=True):
                name, row, got = nodes[int(child)]
                nodes[int(child)] = name, row, tuple(sorted([*got, (key, parents[int(parent)])]))
    return result


def test_parents_that_are_younger_somewhere_are_left_to_each_example() -> None:
    def timed(name: str, days: list[int], **references: list[int]) -> Table:
        columns = {"id": pa.array(range(len(days))), "at": pa.array(np.array(days) * DAY).cast(pa.timestamp("ns"))}
        keys = MappingProxyType({column: f"{column}s" for column in references})
        columns.update({column: pa.array(named) for column, named in references.items()})
        return Table(name, pa.table(columns), key="id", time="at", references=keys)

    database = Database(
        [timed("users", [0, 5]), timed("shops", [0, 1]), timed("visits", [2, 4, 6], user=[0, 1, 1], shop=[0, 1, 1])]
    )
    index = AncestorIndex(database)
    assert index.late(database) == {("visits", "user")}
    ancestry = index.expand({"visits": np.array([1, 2])}, 1, {})
    assert ancestry.rows["users"].tolist() == [1] and ancestry.rows["shops"].tolist() == [1]
    assert ancestry.place["visits", "user"].tolist() == [-1, 0]
