"""Copies of surroundings stand for the database: what is left out of a copy is what is left out of the database, and no more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from relbench_harness.baselines.auto import FittedAuto
from relbench_harness.baselines.averaged import FittedAverage
from relbench_harness.baselines.gnn.method import FittedGNN
from relbench_harness.baselines.hybrid import NetworkStates
from relbench_harness.baselines.trees.fitted import FittedTrees
from shop import Shop

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.data.task import TaskType
from relbench_harness.explain import surroundings, variants
from relbench_harness.explain.copies import Copier, Variant
from relbench_harness.explain.surroundings import REACHES, Surveyor
from relbench_harness.explain.variants import Subject, halved
from relbench_harness.features.entity import EntityColumns
from relbench_harness.protocol.method import Examples, Predictor

from .conftest import LatestWorth, latest_orders, trees


def test_surroundings_hold_visible_rows_once_and_say_how_they_are_reached(later: Examples) -> None:
    surveyor = Surveyor.of(later)
    for position in range(len(later)):
        before: dict[str, set[int]] = {}
        for reach in range(REACHES):
            around = surveyor.around(position, reach)
            for table, rows in around.rows.items():
                assert len(np.unique(rows)) == len(rows)
                assert before.get(table, set()) <= set(rows.tolist())
                times = later.database[table].times
                if times is not None:
                    assert (times[rows] < later.cutoff[position]).all()
            before = {table: set(rows.tolist()) for table, rows in around.rows.items()}
    around = surveyor.around(len(later) // 2, 1)
    for block in around.blocks[1:]:
        row = int(block.rows[0])
        way = around.via(block.table, row)
        assert len(way) == block.route.hops and way[-1] == ("customer", int(later.entity[len(later) // 2]))
        for leg, near, far in zip(reversed(block.route.legs), way, [(block.table, row), *way], strict=False):
            child, parent = (near, far) if leg.up else (far, near)
            assert later.database[child[0]].parents(leg.key.column)[child[1]] == parent[1]


def test_the_latest_children_are_enough_before_all_are_taken(later: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the products of a customer's latest lines reach 2 has the latest visible lines, and reach 3 all of them."""
    monkeypatch.setattr(surroundings, "LATEST_CHILDREN", 2)
    surveyor, lines = Surveyor.of(later), later.database["order lines"]
    assert lines.times is not None
    product, fewer = lines.parents("product"), 0
    for position in range(0, len(later), 3):
        own, some, every = (surveyor.around(position, reach) for reach in (1, 2, 3))
        below = [
            block for block in own.blocks if block.table == "order lines" and not any(leg.up for leg in block.route.legs)
        ]
        visible = lines.times < later.cutoff[position]
        for named in {int(p) for block in below for p in product[block.rows[-surroundings.LATEST :]] if p >= 0}:
            expected = np.flatnonzero(visible & (product == named))
            assert set(expected[-2:]) <= set(some.rows["order lines"])
            assert set(expected) <= set(every.rows["order lines"])
        fewer += len(every) - len(some)
    assert fewer > 0


def test_the_latest_return_of_a_lines_product_is_around(later: Examples) -> None:
    """It names another line, which names the product: an as-of join over a sibling, which networks read of every line."""
    returned = with_returns(later)
    surveyor, lines, returns = (
        Surveyor.of(returned),
        returned.database["order lines"],
        returned.database["return"],
    )
    assert lines.times is not None and returns.times is not None
    line, product = returns.parents("line"), lines.parents("product")
    found = 0
    for position in range(0, len(returned), 3):
        around = surveyor.around(position, 1)
        mine = [block.rows for block in around.blocks if block.table == "order lines" and block.route.hops <= 2]
        for row in np.concatenate([[], *mine]).astype(int):
            same = np.flatnonzero((product[line] == product[row]) & (returns.times < lines.times[row]))
            if len(same) and product[row] >= 0:
                assert same[-1] in around.rows["return"] and line[same[-1]] in around.rows["order lines"]
                found += 1
    assert found > 20


def test_half_of_the_nearest_rows_is_taken(later: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the entity's own row, and of many rows those that fewest keys lead to."""
    position = int(np.argmax([len(latest_orders(later, i, 100)) for i in range(len(later))]))
    around = Surveyor.of(later).around(position, 3)
    every = halved(around, 0)
    assert 0.4 * len(around) <= sum(len(rows) for rows in every.values()) <= 0.5 * len(around)
    assert int(later.entity[position]) not in every.get("customer", ())
    near = around.blocks[1:4]
    monkeypatch.setattr(variants, "NEAREST", sum(len(block.rows) for block in near))
    some = halved(around, 0)
    assert 0 < sum(len(rows) for rows in some.values()) <= variants.NEAREST / 2
    for table, rows in some.items():
        assert set(rows) <= {row for block in near if block.table == table for row in block.rows}


def with_returns(examples: Examples) -> Examples:
    """The same with a table of returns: one of each third line, two days after it."""
    lines = examples.database["order lines"]
    assert lines.times is not None and lines.time is not None
    some = np.arange(0, len(lines), 3)
    times = pa.array(lines.times[some] + 2 * 86_400 * 10**9).cast(pa.timestamp("ns"))
    keyed = lines.rows.append_column("line", pa.array(np.arange(len(lines))))
    returns = Table("return", pa.table({"at": times, "line": pa.array(some)}), None, "at", {"line": "order lines"})
    tables = [replace(t, rows=keyed, key="line") if t is lines else t for _, t in examples.database.items()]
    return replace(examples, database=Database([*tables, returns]))


def test_copies_are_in_canonical_order_and_share_nothing(later: Examples) -> None:
    surveyor, copier = Surveyor.of(later), Copier(later)
    positions = [0, 3, 3, 5]
    orders = {i: surveyor.around(i, 1).rows["order"] for i in positions}
    gone = orders[3][-1:]
    variants = [Variant(i, surveyor.around(i, 1), {"order": gone} if n == 2 else {}) for n, i in enumerate(positions)]
    examples, sources = copier.copied(variants)
    database = examples.database
    for name, table in database.items():
        whole = later.database[name]
        assert table.times is None or (np.diff(table.times) >= 0).all()
        assert table.key is None or table.rows.column(table.key).to_pylist() == list(range(len(table)))
        for column in whole.attributes:
            assert table.rows.column(column).equals(whole.rows.column(column).take(sources[name]))
        for column, parent in table.references.items():
            named, meant = table.parents(column), whole.parents(column)[sources[name]]
            assert (sources[parent][named[named >= 0]] == meant[named >= 0]).all()
    assert sources["customer"][examples.entity].tolist() == later.entity[positions].tolist()
    assert len(np.unique(examples.entity)) == len(positions)
    mine = [set(np.flatnonzero(database["order"].parents("customer") == e).tolist()) for e in examples.entity]
    assert all(not one & other for n, one in enumerate(mine) for other in mine[n + 1 :])
    assert len(mine[2]) == len(mine[1]) - 1 and int(gone[0]) not in {int(sources["order"][row]) for row in mine[2]}


def _equal(predictor: Predictor, examples: Examples, tolerance: float) -> Subject:
    """Answers of copies are those of the database, with nothing left out and with rows left out."""
    subject = Subject.of(predictor, examples)
    assert subject.exact.any()
    rng, cases = np.random.default_rng(0), []
    for position in np.flatnonzero(subject.exact)[:2]:
        for table, rows in subject.around[position].rows.items():
            rows = np.setdiff1d(rows, examples.entity[position : position + 1]) if table == "customer" else rows
            if len(rows):
                cases.append((int(position), {table: np.sort(rng.choice(rows, min(2, len(rows)), replace=False))}))
    copied = subject.answers(cases)
    whole = np.stack([subject._whole(*case) for case in cases])
    np.testing.assert_allclose(copied, whole, atol=tolerance)
    assert np.abs(subject.without(cases) - subject.plain[[i for i, _ in cases]]).max() > 0
    return subject


def test_the_network_reads_copies_as_it_reads_the_database(latest_shop: Shop, network: FittedGNN) -> None:
    examples = latest_shop.examples(TaskType.BINARY, (180,)).take(np.arange(0, 60, 9))
    assert _equal(network, examples, 1e-5).exact.all()


def test_trees_read_copies_as_they_read_the_database(latest_shop: Shop, boosted: FittedTrees) -> None:
    examples = latest_shop.examples(TaskType.BINARY, (180,)).take(np.arange(0, 60, 9))
    assert _equal(boosted, examples, 1e-6).exact.all()


def test_a_mean_of_methods_reads_copies_as_each_of_them_does(
    latest_shop: Shop, network: FittedGNN, boosted: FittedTrees
) -> None:
    examples = latest_shop.examples(TaskType.BINARY, (180,)).take(np.arange(0, 60, 9))
    alone = [Subject.of(one, examples) for one in (network, boosted)]
    gone = [(i, {"order": around.rows["order"][-1:]}) for i, around in enumerate(alone[0].around)]
    one, other = (subject.without(gone) for subject in alone)
    average = FittedAverage((network, boosted))
    weighted = FittedAuto({"network": (network, 0.75), "trees": (boosted, 0.25)}, ())
    np.testing.assert_allclose(_equal(average, examples, 1e-5).without(gone), (one + other) / 2, atol=1e-5)
    np.testing.assert_allclose(_equal(weighted, examples, 1e-5).without(gone), 0.75 * one + 0.25 * other, atol=1e-5)


def test_trees_on_states_of_a_network_read_copies_as_the_network_does(latest_shop: Shop, network: FittedGNN) -> None:
    both = trees(latest_shop, TaskType.BINARY, features=(EntityColumns(), NetworkStates(network, since=0)), days=3)
    examples = latest_shop.examples(TaskType.BINARY, (180,)).take(np.arange(0, 60, 9))
    subject = Subject.of(both, examples)
    assert subject.exact.all()
    cases = [(i, halved(around, i)) for i, around in enumerate(subject.around)]
    copied, whole = subject.answers(cases), np.stack([subject._whole(*case) for case in cases])
    np.testing.assert_allclose(copied, whole, atol=1e-5)
    assert np.abs(copied - subject.plain).max() > 0.01


def test_a_part_of_the_examples_is_answered_as_before(later: Examples) -> None:
    subject, rows = Subject.of(LatestWorth(), later), np.asarray([5, 0, 3])
    part = subject.take(rows)
    gone = [{"order": np.asarray(latest_orders(later, int(i), 1), np.int64)} for i in rows]
    expected = subject.without([(int(i), one) for i, one in zip(rows, gone, strict=True)])
    assert part.without(list(enumerate(gone))).tolist() == expected.tolist()
    assert (part.plain == subject.plain[rows]).all() and not (part.plain == expected).all()
    assert part.examples.entity.tolist() == later.entity[rows].tolist()


def test_what_reads_everything_is_explained_by_the_database_itself(later: Examples) -> None:
    examples = later.take(np.arange(6))
    subject = Subject.of(LatestWorth(everywhere=1.0), examples)
    assert not subject.exact.any()
    row = latest_orders(examples, 0, 1)[0]
    orders = examples.database["order"]
    worth = orders.rows.column("worth").to_numpy()
    seen = np.flatnonzero(orders.times < examples.cutoff[0])
    mine = latest_orders(examples, 0, 3)
    expected = worth[mine[1]] + 0.5 * worth[mine[2]] + worth[np.setdiff1d(seen, [row])].mean()
    assert subject.without([(0, {"order": np.asarray([row])})])[0] == pytest.approx(expected)
