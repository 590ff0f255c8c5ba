"""Rows and their ancestors: each place names the parent that the row's own key names, and each row hears of its own alone."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pyarrow as pa
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from relbench_harness.baselines.rows import Ancestry, Content, Link, RowEncoder, module_name
from torch import Tensor

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.graph.attributes import Encoders

ROWS, PARENTS = 8, 3


def family(leader: list[int | None], group: list[int | None]) -> Database:
    """People who name a leader among themselves and a group."""
    columns = {"leader": pa.array(leader, pa.int64()), "group": pa.array(group, pa.int64())}
    references = MappingProxyType({"leader": "people", "group": "groups"})
    people = Table("people", pa.table({"id": np.arange(ROWS), **columns}), key="id", references=references)
    return Database([people, Table("groups", pa.table({"id": np.arange(PARENTS)}), key="id")])


def named(below: int) -> st.SearchStrategy[list[int | None]]:
    one = st.none() | st.integers(0, below - 1)
    return st.lists(one, min_size=ROWS, max_size=ROWS)


@settings(deadline=None)  # the first example compiles
@given(named(ROWS), named(PARENTS), st.sets(st.integers(0, ROWS - 1), min_size=1), st.integers(1, 3))
def test_every_place_names_the_parent_that_the_key_names(
    leader: list[int | None], group: list[int | None], asked: set[int], generations: int
) -> None:
    first = np.array(sorted(asked))
    rows, places = Ancestry(family(leader, group)).close({"people": first}, generations, {})

    def named_by(people: set[int], key: list[int | None]) -> set[int]:
        return {up for person in people if (up := key[person]) is not None}

    near = set(asked)  # all whose parents are read
    for _ in range(generations - 1):
        near |= named_by(near, leader)
    assert rows["people"][: len(first)].tolist() == first.tolist()
    assert set(rows["people"].tolist()) == near | named_by(near, leader)
    assert set(rows.get("groups", np.empty(0)).tolist()) == named_by(near, group)
    for column, table, truth in (("leader", "people", leader), ("group", "groups", group)):
        if table not in rows:
            continue
        found = [None if at < 0 else int(rows[table][at]) for at in places["people", column]]
        assert found == [truth[person] if person in near else None for person in rows["people"].tolist()]


@settings(deadline=None, max_examples=50)
@given(named(ROWS), named(PARENTS), st.sets(st.integers(0, ROWS - 1), min_size=1), st.integers(1, 3))
def test_every_row_hears_of_its_ancestors_whoever_else_is_read(
    leader: list[int | None], group: list[int | None], asked: set[int], generations: int
) -> None:
    database = family(leader, group)
    encoders, ancestry = Encoders.fit(database, 0), Ancestry(database)
    attributes = encoders.encode(database)
    steady = {name: np.ones(len(layout.names("numbers")), np.bool_) for name, layout in encoders.layouts.items()}
    torch.manual_seed(0)
    encoder = RowEncoder(encoders.layouts, steady, ancestry.parent, {}, {}, 4, generations)
    first = np.array(sorted(asked))
    rows, places = ancestry.close({"people": first}, generations, {})
    links = {key: Link.of(place, len(first) if key[0] == "people" else 0) for key, place in places.items()}
    records = {name: attributes.take(name, found) for name, found in rows.items()}
    _, told = encoder(Content(records, {"people": len(first)}, links, {}, {}))

    def by_hand(table: str, row: int, generation: int) -> Tensor:
        state: Tensor = encoder.tables[module_name(table)](attributes.take(table, np.array([row])))
        if table == "groups" or generation == 0:
            return state
        for column, other, names in (("leader", "people", leader), ("group", "groups", group)):
            up = names[row]
            if up is not None:
                state = state + encoder.weights[module_name("people", column)](by_hand(other, up, generation - 1))
        return torch.relu(state)

    expected = torch.cat([by_hand("people", int(row), generations) for row in first])
    assert torch.allclose(told["people"], expected, atol=1e-5)
