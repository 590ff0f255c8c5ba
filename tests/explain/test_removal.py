"""Rows that caused an answer are found, with their amounts; rows that did not have none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from relbench_harness.baselines.gnn.method import FittedGNN
from relbench_harness.baselines.remembered import Remembered
from relbench_harness.baselines.trees.fitted import FittedTrees
from shop import Shop

from relbench_harness.data.database import Database
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.explain.explainer import explain, ways
from relbench_harness.explain.faithfulness import curve
from relbench_harness.explain.listing import keys_of, row_listing
from relbench_harness.explain.orders import at_random, most_recent, of_explanation, tried
from relbench_harness.explain.removal import Removal
from relbench_harness.explain.variants import Subject
from relbench_harness.protocol.method import Examples, Predictor

from .conftest import LatestWorth, latest_orders


def test_the_amounts_of_a_known_predictor_are_exact(later: Examples) -> None:
    later = later.take(np.arange(0, len(later), 4))
    found = Removal(rows=1000, top=0, groups=False).explain(LatestWorth(), later)
    worth = later.database["order"].rows.column("worth").to_numpy()
    for one in found:
        latest = latest_orders(later, one.example or 0, 3)
        amounts = {(a.part.table, a.part.row): a.value for a in one.of("row") if a.value}
        expected = {}
        if latest:
            second, third = (worth[latest[k]] if len(latest) > k else 0.0 for k in (1, 2))
            expected["order", latest[0]] = worth[latest[0]] + 0.5 * second - second - 0.5 * third
        if len(latest) > 1:
            expected["order", latest[1]] = 0.5 * worth[latest[1]] - 0.5 * third
        assert amounts.keys() == expected.keys()
        assert amounts == pytest.approx(expected)


def test_explanations_follow_the_order_of_the_examples(later: Examples) -> None:
    some, turned = later.take(np.arange(0, 12, 2)), np.asarray([3, 0, 5, 1, 4, 2])
    removal = Removal(top=0)
    straight, mixed = removal.explain(LatestWorth(), some), removal.explain(LatestWorth(), some.take(turned))
    for place, position in enumerate(turned):
        one, other = straight[position], mixed[place]
        assert (other.example, other.prediction) == (place, one.prediction)
        values = {amount.part: amount.value for amount in other.amounts}
        assert values == pytest.approx({amount.part: amount.value for amount in one.amounts})


def test_sampled_values_of_all_rows_add_up_to_what_they_move(later: Examples) -> None:
    """Efficiency and symmetry of Shapley values: two rows, both orders, the mean of both marginal differences."""
    later = later.take(np.arange(0, len(later), 3))
    for one in Removal(rows=30, top=2, orders=2, groups=False).explain(LatestWorth(), later):
        latest = latest_orders(later, one.example or 0, 2)
        some = [a for a in one.of("row") if a.part.row in latest and a.part.table == "order"]
        if len(latest) == 2:
            subject = Subject.of(LatestWorth(), later)
            without = subject.without([(one.example or 0, {"order": np.sort(latest)})])[0]
            assert sum(a.value for a in some) == pytest.approx(one.prediction - without)


def test_rows_carry_time_path_and_the_way_to_the_entity(later: Examples) -> None:
    one = next(e for e in explain(LatestWorth(), later, "rows") if latest_orders(later, e.example or 0, 1))
    part = one.of("row")[0].part
    assert part.table == "order" and part.path == "order[customer]" and part.hop == 1
    assert part.time == later.database["order"].times[part.row]
    assert part.via == (("customer", int(later.entity[one.example or 0])),)
    by_path = {a.part.path: a.value for a in one.of("path")}
    assert by_path["order[customer]"] == pytest.approx(one.prediction)
    assert {a.value for a in one.of("path") if a.part.table != "order"} <= {0.0}
    assert sum(a.value for a in one.of("table") if a.part.table == "order") == pytest.approx(one.prediction)


def test_rows_are_listed_by_their_original_keys(later: Examples) -> None:
    orders = later.database["order"]
    renamed = replace(orders, origin=pa.array([f"o{i}" for i in range(len(orders))]))
    database = Database(renamed if name == "order" else table for name, table in later.database.items())
    examples = replace(later, database=database).take(np.arange(3))
    one = explain(LatestWorth(), examples, "rows")[0]
    latest = latest_orders(examples, 0, 1)[0]
    listed = row_listing(one, keys_of(database)).to_pylist()
    assert len(listed) == len(one.of("row"))
    line = next(line for line in listed if line["key"] == f"o{latest}")
    assert line["table"] == "order" and line["way"] == f"customer {examples.entity[0]}" and line["keys away"] == 1
    assert line["time"].value == renamed.times[latest]
    deeper = next(line for line in listed if line["keys away"] == 2)
    assert " → customer " in deeper["way"]
    assert abs(listed[0]["amount"]) == max(abs(line["amount"]) for line in listed)


def _precision(predictor: Predictor, examples: Examples) -> float:
    """How often the row that moved the answer most is the latest order."""
    found = explain(predictor, examples, "rows")
    hits = []
    for one in found:
        latest, rows = latest_orders(examples, one.example or 0, 1), of_explanation(one)
        if latest and rows:
            hits.append(rows[0] == ("order", latest[0]))
    assert len(hits) > 10
    return float(np.mean(hits))


def test_what_learned_the_cause_is_explained_by_it(latest_shop: Shop, network: FittedGNN, boosted: FittedTrees) -> None:
    examples = latest_shop.examples(TaskType.BINARY, (180,)).take(np.arange(0, 57, 3))
    assert _precision(network, examples) > 0.8
    assert _precision(boosted, examples) > 0.7


def test_an_explanation_is_more_faithful_than_chance(latest_shop: Shop, network: FittedGNN) -> None:
    examples = latest_shop.examples(TaskType.BINARY, (180,)).take(np.arange(0, 57, 3))
    subject, found = Subject.of(network, examples), explain(network, examples, "rows")
    counts = (1, 2, 4)
    orders = {
        "explanation": [of_explanation(one) for one in found],
        "random": [at_random(around, seed) for seed, around in enumerate(subject.around)],
        "recent": [most_recent(subject, i) for i in range(len(examples))],
    }
    areas = {}
    for name, order in orders.items():
        trials = tried(subject, order, counts)
        areas[name] = curve(subject.plain, trials.deleted.astype(np.float64), counts).area
    assert areas["explanation"] > 3 * areas["random"]
    assert areas["explanation"] >= areas["recent"] - 1e-6


def test_what_is_wrapped_is_looked_into(boosted: FittedTrees, later: Examples) -> None:
    assert ways(Remembered(boosted, later, np.zeros(len(later))), "rows") == ("removal", "contributions")


def test_unknown_levels_and_ways_are_refused(later: Examples, latest_shop: Shop) -> None:
    with pytest.raises(InputError, match=r"no level 'row' of explanations.*rows"):
        explain(LatestWorth(), later, "row")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"no explanation by 'gradient'.*gradients"):
        explain(LatestWorth(), later, by="gradient")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="removal explains at level 'rows', not 'model'; ablation does"):
        explain(LatestWorth(), later, by="removal")
    with pytest.raises(InputError, match="LatestWorth has no contributions"):
        explain(LatestWorth(), later, by="contributions")
    with pytest.raises(InputError, match="LatestWorth knows no gradients"):
        explain(LatestWorth(), later, by="gradients")
    with pytest.raises(InputError, match="recommends items"):
        explain(LatestWorth(), latest_shop.examples(TaskType.RECOMMENDATION, (180,)))
    with pytest.raises(InputError, match="no example"):
        explain(LatestWorth(), later.take(np.arange(0)), "rows")
