"""A batch of rows holds their records, their ancestors', and how their numbers compare with their parents'."""

from __future__ import annotations

import numpy as np
import torch
from made_examples import DAY
from priced_goods import AT, BUYS, GOOD, GOODS_KEY, LISTED, PAID, SINCE, USER, world

from relbench_harness.data.database import Database
from relbench_harness.graph.ancestors import AncestorIndex
from relbench_harness.graph.attributes import Encoders
from relbench_harness.graph.parent_residuals import TRAILING_ROWS, ParentResiduals
from relbench_harness.graph.row_reader import RowReader
from relbench_harness.graph.structure import Graph
from relbench_harness.temporal.as_of import AsOfIndex, AsOfKey
from relbench_harness.temporal.paths import ForeignKey
from relbench_harness.temporal.trailing_mean import trailing_mean


def reader_of(database: Database, *keys: AsOfKey) -> tuple[RowReader, ParentResiduals]:
    encoders = Encoders.fit(database, 200 * DAY)
    residuals = ParentResiduals.fit(database, encoders.layouts)
    graph = Graph.from_database(database)
    joins = [AsOfIndex(graph, key) for key in keys]
    return RowReader(encoders.encode(database), AncestorIndex(database), joins, residuals.bind(database), 2), residuals


def test_a_batch_holds_the_residual_against_the_older_parent_and_nothing_of_a_younger_one() -> None:
    database = world()
    reader, residuals = reader_of(database)
    rows = reader.read({"buys": np.arange(BUYS)})
    line = residuals.lines[GOODS_KEY][0]
    residual = ((np.log(PAID) - line.intercept - line.slope * np.log(LISTED[GOOD])) / line.deviation).clip(-10, 10)
    residual[SINCE[GOOD] > AT] = np.nan
    expected = np.nan_to_num(residual - trailing_mean(residual, AT, residuals.window, TRAILING_ROWS))
    assert (SINCE[GOOD] > AT).any()
    got = np.zeros(BUYS)
    got[rows.links["buys", "good"].child.numpy()] = rows.link_features["buys", "good"][:, 0].numpy()
    np.testing.assert_allclose(got, expected, atol=1e-3)
    whole = next(residuals.bind(database).columns("buys"))
    np.testing.assert_allclose(np.nan_to_num(whole), got, atol=1e-3)


def test_a_batch_holds_the_records_of_the_wanted_rows_and_of_their_parents() -> None:
    reader, _ = reader_of(world())
    wanted = np.array([3999, 7, 2500])
    rows = reader.read({"buys": wanted})
    assert torch.equal(rows.records["buys"], reader.attributes.take("buys", wanted))
    seen = SINCE[GOOD[wanted]] <= AT[wanted]
    for column, table, parents in (("good", "goods", GOOD[wanted][seen]), ("user", "users", USER[wanted])):
        link = rows.links["buys", column]
        expected = reader.attributes.take(table, parents)
        assert torch.equal(rows.records[table][link.parent], expected)
        assert len(link.child) == len(parents)


def test_an_as_of_key_finds_the_latest_older_row_and_says_how_much_older() -> None:
    """A buy of the same user: which good was bought last before."""
    database = world()
    left = ForeignKey("buys", "user", "users")
    key = AsOfKey(left, left)
    reader, _ = reader_of(database, key)
    wanted = np.arange(1000, 1050)
    rows = reader.read({"buys": wanted})
    link, gaps = rows.links[key.name], rows.link_features[key.name]
    last = [np.flatnonzero((USER[row] == USER) & (AT[row] > AT))[-1:] for row in wanted]
    expected = {place: found[0] for place, found in enumerate(last) if len(found)}
    assert link.child.tolist() == list(expected)
    for place, parent, gap in zip(link.child.tolist(), link.parent.tolist(), gaps.numpy(), strict=True):
        row = expected[place]
        assert torch.equal(rows.records["buys"][parent], reader.attributes.take("buys", np.array([row]))[0])
        days = (AT[wanted[place]] - AT[row]) / DAY
        np.testing.assert_allclose(gap, [1, np.log1p(days) / 5, np.exp(-days)], rtol=1e-5)
