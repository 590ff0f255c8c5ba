"""Measures of orders of rows are what `faithfulness` defines, and their differences are paired."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from relbench_harness.baselines.gnn.method import FittedGNN
from shop import Shop

from relbench_harness.data.task import TaskType
from relbench_harness.explain.candidates import Row
from relbench_harness.explain.faithfulness import (
    characterisation,
    classes_of,
    curve,
    fidelity,
    mean_over_entities,
    probabilities,
    unfaithfulness,
)
from relbench_harness.explain.measures import HIGHER_IS_BETTER, compared, measures, scored
from relbench_harness.explain.orders import Trials, at_random, most_recent, tried, with_ways
from relbench_harness.explain.outputs import Output
from relbench_harness.explain.variants import Subject
from relbench_harness.protocol.method import Examples

from .conftest import LatestWorth, latest_orders

COUNTS = (1, 2, 4)


@pytest.fixture(scope="module")
def subject(network: FittedGNN, latest_shop: Shop) -> Subject:
    return Subject.of(network, latest_shop.examples(TaskType.BINARY, (180, 190)).take(np.arange(0, 57, 4)))


@pytest.mark.parametrize("classes", [None, 3])
def test_measures_are_those_of_faithfulness(subject: Subject, classes: int | None) -> None:
    n, rng = len(subject.around), np.random.default_rng(3)
    shape = (n, len(COUNTS)) if classes is None else (n, len(COUNTS), classes)
    deleted, kept, given = (rng.uniform(0.05, 0.95, some) for some in (shape, shape, (shape[0], *shape[2:])))
    if classes is not None:
        deleted, kept, given = (some / some.sum(axis=-1, keepdims=True) for some in (deleted, kept, given))
    output = Output.chosen(given)
    made = replace(subject, given=given, output=output, plain=output.of(given))
    found = measures(scored(made, Trials(COUNTS, deleted, kept), 2, 0.4).mean(axis=0))
    answer, only, without = (classes_of(some, 0.4) for some in (given, kept[:, 1], deleted[:, 1]))
    plus, minus = fidelity(answer, only, without)
    areas = [
        curve(made.plain, np.stack([output.of(some[:, k]) for k in range(3)], axis=1), COUNTS).area
        for some in (deleted, kept)
    ]
    divergence = unfaithfulness(probabilities(given), probabilities(kept[:, 1]))
    np.testing.assert_allclose(found, [plus, minus, float(characterisation(plus, minus)), divergence, *areas])


def test_an_order_is_no_better_than_itself_and_surely_better_than_one_without_effect(subject: Subject) -> None:
    entity = subject.examples.entity
    recent = scored(subject, tried(subject, [most_recent(subject, i, own=True) for i in range(len(entity))], COUNTS), 2)
    chance = scored(subject, tried(subject, [at_random(one, i) for i, one in enumerate(subject.around)], COUNTS), 2)
    same = compared(recent, recent, entity)
    assert all(one.difference == (0, 0, 0) and not one.is_better(name) for name, one in same.items())
    found = compared(recent, chance, entity)
    assert tuple(found) == tuple(HIGHER_IS_BETTER)
    assert found["deletion"].is_better("deletion") and not compared(chance, recent, entity)["deletion"].is_better(
        "deletion"
    )
    assert found["deletion"].difference.value == pytest.approx(found["deletion"].one - found["deletion"].other)


def test_the_interval_of_a_mean_is_the_same_as_before(subject: Subject) -> None:
    values, entity = np.random.default_rng(1).normal(size=(30, 5)), np.repeat(np.arange(10), 3)
    found = compared(values, np.zeros_like(values), entity, seed=4)["insertion"].difference
    assert found == pytest.approx(mean_over_entities(values[:, 4], entity, seed=4))


def test_a_row_is_kept_with_the_rows_on_its_way(later: Examples) -> None:
    """A line alone names an order that is gone; what is kept with it makes the order count."""
    position = next(i for i in range(len(later)) if latest_orders(later, i, 1))
    subject = Subject.of(LatestWorth(), later)
    order = latest_orders(later, position, 1)[0]
    around = subject.around[position]
    lines = [row for row in around.rows["order lines"].tolist() if around.via("order lines", row)[0] == ("order", order)]
    rows: list[list[Row]] = [[] for _ in range(len(later))]
    rows[position] = [("order lines", lines[0])]
    assert with_ways(around, rows[position]) == [
        ("order lines", lines[0]),
        ("order", order),
        ("customer", int(later.entity[position])),
    ]
    worth = later.database["order"].rows.column("worth").to_numpy()
    assert tried(subject, rows, (1,)).kept[position, 0] == pytest.approx(worth[order])


def test_own_rows_lead_down_from_the_entity(subject: Subject) -> None:
    for position, around in enumerate(subject.around):
        rows = most_recent(subject, position, own=True)
        assert rows and set(rows) < set(most_recent(subject, position))
        for table, row in rows[:20]:
            assert not any(leg.up for leg in around.block_of(table, row).route.legs)
