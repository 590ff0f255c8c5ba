"""Ablation through the data: the cause ranks first, what is not read has importance exactly 0, and time is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from relbench_harness.baselines.gnn.method import FittedGNN
from scramble import scrambled
from shop import Shop, at

from relbench_harness.data.database import Database
from relbench_harness.data.task import TaskType
from relbench_harness.explain.ablation import Ablation
from relbench_harness.explain.changes import CutKey, HiddenTable, PermutedColumn, donors, every_column, every_key
from relbench_harness.protocol.method import Examples

from .conftest import LatestWorth


@dataclass(frozen=True)
class _Squashed:
    """The known predictor's answers as probabilities."""

    def predict(self, examples: Examples) -> NDArray[np.float64]:
        return np.asarray(1 / (1 + np.exp(-LatestWorth().predict(examples))))


def test_only_what_is_read_has_importance(later: Examples) -> None:
    (found,) = Ablation(repeats=2).explain(LatestWorth(), later)
    assert found.unit == "nmae" and found.level == "model"
    columns = {(a.part.table, a.part.column): a for a in found.of("column")}
    read = {("order", "worth"), ("order", "customer")}
    assert {key for key, a in columns.items() if a.value or a.effect} == read
    assert all(columns[key].low <= columns[key].value <= columns[key].high and columns[key].effect > 0 for key in read)
    assert found.of("table")[0].part.table == "order"
    assert [a.part.table for a in found.of("table") if a.value] == ["order"]
    assert [a.part.path for a in found.of("path") if a.value] == ["order[customer]"]
    assert sum(a.effect for a in found.of("age")) > 0


def test_without_labels_the_change_of_predictions_counts(later: Examples) -> None:
    (found,) = Ablation(kinds=("column",), repeats=2).explain(LatestWorth(), replace(later, labels=None))
    assert found.unit == "prediction"
    alike = replace(later, task=replace(later.task, type=TaskType.BINARY), labels=np.ones(len(later)))
    (of_one_class,) = Ablation(kinds=("column",), repeats=2).explain(_Squashed(), alike)
    assert of_one_class.unit == "prediction" and of_one_class.of("column")[0].value > 0
    assert all(a.value == a.effect >= 0 for a in found.of("column"))


def test_a_column_that_the_task_hides_has_importance_zero(later: Examples) -> None:
    task = replace(later.task, remove_columns=(("order", "gift"),))
    hidden = replace(later, task=task, database=later.database.without([("order", "gift")]))
    (found,) = Ablation(kinds=("column",), repeats=1).explain(LatestWorth(), hidden)
    gift = next(a for a in found.of("column") if a.part.column == "gift")
    assert (gift.value, gift.low, gift.high, gift.effect) == (0.0, 0.0, 0.0, 0.0)


def test_the_network_is_explained_by_the_cause(latest_shop: Shop, network: FittedGNN) -> None:
    examples = latest_shop.examples(TaskType.BINARY, (180, 190))
    (found,) = Ablation(kinds=("table", "column"), repeats=1).explain(network, examples.take(np.arange(0, 120, 2)))
    assert found.of("table")[0].part.table == "order"
    assert {a.part.label for a in found.of("column")[:2]} == {"order.worth", "order.customer"}
    empty = {a.part.table: a for a in found.of("table") if a.part.table in ("visits", "shelves")}
    assert all(a.value == a.effect == 0 for a in empty.values()) and len(empty) == 2
    nothing = next(a for a in found.of("column") if a.part.label == "customer.select")
    assert nothing.value == nothing.effect == 0


def test_no_value_comes_from_a_later_row(latest_shop: Shop) -> None:
    for table in latest_shop.database.values():
        if len(table):
            chosen = donors(table, np.random.default_rng(0))
            if table.times is None:
                assert sorted(chosen.tolist()) == list(range(len(table)))
            else:
                assert (table.times[chosen] <= table.times).all() and (chosen >= 0).all()
    orders = latest_shop.database["order"]
    chosen = donors(orders, np.random.default_rng(0), near=16)
    assert (np.arange(len(orders)) - chosen).max() < 16 + 1 and (chosen != np.arange(len(orders))).mean() > 0.8


@pytest.mark.parametrize("change", [PermutedColumn("order", "worth"), CutKey("order", "customer"), HiddenTable("tickets")])
def test_what_comes_later_changes_no_changed_row_before(
    later: Examples, change: PermutedColumn | CutKey | HiddenTable
) -> None:
    """The changed database up to a cut-off is the same, whatever stands after it."""
    end = at(185)
    one = change.made(later, 3).database
    two = change.made(replace(later, database=scrambled(later.database, end)), 3).database
    for name in one:
        assert one.upto(end)[name].rows.equals(two.upto(end)[name].rows)


def test_only_what_changes_is_written_anew(later: Examples) -> None:
    before, after = later.database, PermutedColumn("order", "worth").made(later, 0).database
    assert all(after[name] is before[name] for name in before if name != "order")
    for column in before["order"].rows.column_names:
        same = before["order"].rows.column(column).chunk(0).buffers()[-1].address
        assert (after["order"].rows.column(column).chunk(0).buffers()[-1].address == same) == (column != "worth")
    assert isinstance(after, Database)


def test_every_column_but_keys_and_times_is_taken_away(later: Examples) -> None:
    columns = {(change.table, change.column) for change in every_column(later.database)}
    assert ("order", "customer") in columns and ("order", "worth") in columns
    assert not columns & {("order", "order"), ("order", "placed at"), ("customer", "customer id")}
    assert {(key.table, key.column) for key in every_key(later.database)} <= columns
