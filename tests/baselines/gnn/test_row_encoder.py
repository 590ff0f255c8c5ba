"""Rows and their ancestors: messages come from the rows that the keys name, and from those alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from families import FRIEND, PARENTS, ROWS, family, named
from hypothesis import given, settings
from hypothesis import strategies as st
from relbench_harness.baselines.gnn.layers import module_name
from relbench_harness.baselines.gnn.row_encoder import GAPS, RowEncoder, RowSchema, TableEncoder
from torch import Tensor

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.graph.ancestors import AncestorIndex, Found, schedule
from relbench_harness.graph.attributes import Encoders
from relbench_harness.graph.row_batch import RowBatch


@settings(deadline=None, max_examples=50)
@given(named(ROWS), named(PARENTS), named(ROWS), st.sets(st.integers(0, ROWS - 1), min_size=1), st.integers(1, 3))
def test_every_row_gets_messages_from_its_ancestors_whatever_else_is_read(
    leader: list[int | None], group: list[int | None], friend: list[int | None], wanted: set[int], depth: int
) -> None:
    """And sampled rows of what an as-of key finds, with its ancestors."""
    database = family(leader, group)
    encoders, index = Encoders.fit(database, 0), AncestorIndex(database)
    attributes = encoders.encode(database)
    torch.manual_seed(0)
    encoder = RowEncoder(RowSchema(encoders.layouts, index.parent, {FRIEND: "people"}, {}), 4)
    torch.nn.init.normal_(encoder.weights[module_name(*FRIEND)].weight)  # type: ignore[arg-type]
    first = np.array(sorted(wanted))
    found = np.array([-1 if friend[person] is None else friend[person] for person in first], np.int64)
    ancestry = index.expand({"people": first}, depth, {FRIEND: Found("people", found)})
    links = ancestry.links()
    records = {name: attributes.take(name, found) for name, found in ancestry.rows.items()}
    gaps = torch.zeros(len(links[FRIEND].child), GAPS)
    found_in = {**index.parent, FRIEND: "people"}
    rounds = schedule(ancestry.rows_per_depth, links, found_in, {FRIEND})
    own, full = encoder(RowBatch(records, links, {FRIEND: gaps}, *rounds))

    def by_hand(table: str, row: int, level: int) -> Tensor:
        encode = encoder.tables[module_name(table)]
        state: Tensor = encode.out(encode(attributes.take(table, np.array([row]))))  # type: ignore[operator]
        if table == "groups" or level == 0:
            return state
        named = [("leader", "people", leader), ("group", "groups", group)]
        for column, other, names in [*named, (FRIEND[1], "people", friend)][: 3 if level == depth else 2]:
            up = names[row]
            if up is not None:
                state = state + encoder.weights[module_name("people", column)](by_hand(other, up, level - 1))
        return torch.relu(state)

    for got, level in ((own, 0), (full, depth)):
        expected = torch.cat([by_hand("people", int(row), level) for row in first])
        assert torch.allclose(got["people"][: len(first)], expected, atol=1e-5)


@pytest.mark.parametrize("channels", [4, 64])
def test_codes_are_embeddings_however_many_there_are(channels: int) -> None:
    """Few are multiplied as ones and zeros, many are looked up: a null, an unseen one and lists of several alike."""
    rng = np.random.default_rng(0)
    colour = pa.array([None, *rng.choice(["red", "blue", "green"], 39)])
    tags = pa.array(
        [None, [], *[list(rng.choice(["a", "b", "c", "d"], rng.integers(1, 4), replace=False)) for _ in range(38)]]
    )
    known = Database([Table("things", pa.table({"id": np.arange(40), "colour": colour, "tags": tags}), key="id")])
    encoders = Encoders.fit(known, 0)
    layout = encoders.layouts["things"]
    assert layout.cardinalities and layout.sets
    torch.manual_seed(0)
    encoder = TableEncoder(layout, channels)
    packed = encoders.encode(known).take("things", np.arange(40))
    packed[3, layout.slices["codes"]] = 1  # as a value that training did not have
    row, weight = layout.unpack(packed), encoder.codes.weight  # type: ignore[union-attr]
    assert (len(weight) > channels) == (channels == 4)
    expected = torch.zeros(40, channels)
    for at in range(40):
        for place, code in enumerate([*row.codes[at].tolist(), *row.sets[at].tolist()]):
            if place < row.codes.shape[1] or code:
                expected[at] += weight[int(encoder.first[place]) + code]
    torch.testing.assert_close(encoder(packed), encoder.norm(expected))
    encoder(packed).sum().backward()
    assert weight.grad is not None and not weight.grad[0].any()
