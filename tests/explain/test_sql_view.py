"""The answers as SQL: every column gives in DuckDB what features give, and the student says how far it can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from shop import Shop

from relbench_harness.data.dataset import open_task
from relbench_harness.data.query import run_sql
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.explain.distilled import Distillation, margins
from relbench_harness.explain.sql_columns import RowsColumn, ViewColumn, candidates_of, values_of
from relbench_harness.explain.sql_text import SqlView
from relbench_harness.features.dfs.synthesis import DeepFeatureSynthesis
from relbench_harness.features.handwritten import Query
from relbench_harness.features.windows import Windows
from relbench_harness.protocol.method import Examples
from relbench_harness.protocol.stages import Stages

from .conftest import TRAIN, LatestWorth


@pytest.fixture(scope="module", params=[0, 3], ids=["rolling", "frozen"])
def examples(latest_shop: Shop, request: pytest.FixtureRequest) -> Examples:
    """Whose cut-offs lie on instants of orders."""
    return latest_shop.examples(TaskType.REGRESSION, TRAIN[::2], gap=request.param)


def in_sql(columns: Sequence[ViewColumn], examples: Examples) -> NDArray[np.float64]:
    view = SqlView(examples.database, examples.task)
    cutoff = pa.array(examples.cutoff).cast(pa.timestamp("ns"))
    seeds = pa.table({"seed": np.arange(len(examples)), "entity": examples.entity, "cutoff": cutoff})
    tables = {**{name: table.rows for name, table in examples.database.items()}, view.seeds: seeds}
    parts = [columns[first : first + 20] for first in range(0, len(columns), 20)]
    found = [run_sql(view.together(some), tables, "the view", threads=1).sort_by("seed") for some in parts]
    return np.concatenate([in_floats(one.drop_columns(["seed"])) for one in found], axis=1)


def in_floats(found: pa.Table) -> NDArray[np.float64]:
    return np.column_stack([one.cast(pa.float64()).to_numpy() for one in found.columns])


def test_every_column_has_the_same_values_in_sql(examples: Examples) -> None:
    columns = candidates_of(examples)
    kinds = {(one.aggregate, one.window.name) for one in columns if isinstance(one, RowsColumn)}
    assert {
        ("rows", ""),
        ("rows", "30d"),
        ("mean", "last 5"),
        ("mean", "30d"),
        ("min", "last 20"),
        ("days between", ""),
    } <= kinds
    assert any(len(one.path.keys) == 2 for one in columns if isinstance(one, RowsColumn))
    expected = values_of(columns, examples)
    assert (~np.isnan(expected)).any(axis=0).mean() > 0.8
    np.testing.assert_allclose(in_sql(columns, examples), expected, rtol=1e-9, atol=1e-9)


def test_columns_that_windows_have_are_theirs(examples: Examples) -> None:
    columns, features = candidates_of(examples), Windows().fit(examples).transform(examples)
    shared = [one for one in columns if one.name in features.names]
    assert len(shared) > 90
    theirs = np.column_stack([features[one.name].values for one in shared])
    np.testing.assert_allclose(values_of(shared, examples), theirs, rtol=1e-5, atol=1e-5)


def test_columns_that_are_synthesised_too_agree_to_the_last_digits(examples: Examples) -> None:
    columns = {one.name: one for one in candidates_of(examples)}
    synthesised = DeepFeatureSynthesis(depth=1, primitives=("count", "mean")).fit(examples).transform(examples)
    for name, theirs in {
        "order[customer] rows": "COUNT(order)",
        "order[customer] worth mean": "MEAN(order.worth)",
        "order[customer] gift mean": "MEAN(order.gift)",
        "tickets[customer] rows": "COUNT(tickets)",
    }.items():
        found = in_sql([columns[name]], examples)[:, 0]
        np.testing.assert_allclose(found, synthesised[theirs].numbers, rtol=1e-9, atol=1e-9)


@pytest.mark.thorough
@pytest.mark.parametrize("address", ["rel-f1/driver-dnf", "retail-uk/customer-churn"])
def test_every_column_of_real_data_has_the_same_values_in_sql(address: str) -> None:
    try:
        examples = Stages(*open_task(address), "rolling").examples("val")
    except InputError as error:
        pytest.skip(str(error))
    some = examples.take(np.arange(0, len(examples), max(len(examples) // 1000, 1)))
    columns = candidates_of(some)
    np.testing.assert_allclose(in_sql(columns, some), values_of(columns, some), rtol=1e-9, atol=1e-9)


def test_a_query_is_a_feature_query_that_sees_no_later_row(examples: Examples) -> None:
    columns = candidates_of(examples)[::9]
    query = Query(SqlView(examples.database, examples.task).together(columns), "the view", None)
    query.audit(examples.take(np.arange(0, len(examples), 37)))
    np.testing.assert_allclose(in_floats(query.run(examples).features), values_of(columns, examples), rtol=1e-9, atol=1e-9)


def test_the_whole_query_runs_on_the_tables_alone(latest_shop: Shop, examples: Examples) -> None:
    columns, instant = candidates_of(examples)[::11], int(examples.cutoff[0])
    query = SqlView(examples.database, examples.task).runnable(columns, instant)
    tables = {name: table.rows for name, table in examples.database.items()}
    found = run_sql(query, tables, "the view", threads=1).sort_by("seed").drop_columns(["seed"])
    count = len(latest_shop.rate)
    every = replace(
        examples.take(np.zeros(count, np.int64)), entity=np.arange(count), cutoff=np.full(count, instant), labels=None
    )
    np.testing.assert_allclose(in_floats(found), values_of(columns, every), rtol=1e-9, atol=1e-9)


def test_a_table_called_seeds_does_not_hide_the_examples(examples: Examples) -> None:
    rows = examples.database["shelves"]
    with_it = replace(
        examples, database=type(examples.database)([*examples.database.values(), replace(rows, name="SEEDS")])
    )
    columns = candidates_of(with_it)[:3]
    assert SqlView(with_it.database, with_it.task).seeds == "seeds_"
    np.testing.assert_allclose(in_sql(columns, with_it), values_of(columns, with_it))


def test_the_columns_that_a_known_method_reads_are_found(latest_shop: Shop) -> None:
    train, valid = (latest_shop.examples(TaskType.REGRESSION, days) for days in (TRAIN, range(160, 200, 5)))
    found = Distillation(least=0.02).of(LatestWorth(), train, valid)
    assert found is not None and found.unit == "prediction"
    assert found.columns[0].name in ("order[customer] worth mean last 1", "order[customer] worth mean last 3")
    assert found.columns[0].direction > 0.5 and found.fidelity.r2 > 0.8 and found.fidelity.low < found.fidelity.r2
    assert 'r."worth"' in found.query and found.columns[0].sql.replace("\n", "\n  ") in found.query
    assert found.fidelity.examples < 0.5 * len(valid)


@pytest.mark.parametrize("what", ["noise", "constant"])
def test_what_no_column_says_is_not_claimed(latest_shop: Shop, what: str) -> None:
    class Drawn:
        def predict(self, examples: Examples) -> NDArray[np.float64]:
            drawn = np.random.default_rng(5).normal(size=len(examples))
            return drawn if what == "noise" else np.zeros(len(examples))

    train, valid = (latest_shop.examples(TaskType.REGRESSION, days) for days in (TRAIN, range(160, 200, 5)))
    found = Distillation().of(Drawn(), train, valid)
    assert found is None or (what == "noise" and found.fidelity.low < 0.05 and found.fidelity.r2 < 0.2)


def test_which_number_is_reproduced(latest_shop: Shop) -> None:
    odds, unit = margins([np.array([0.5, 0.0]), np.array([0.8])])
    np.testing.assert_allclose(odds, [0, np.log(1e-4 / 0.9999), np.log(4)])
    assert unit == "margin"
    assert margins([np.array([[0.2, 0.8], [0.6, 0.4], [0.1, 0.9]])])[0][1] == pytest.approx(np.log(0.4 / 0.6))
    assert margins([np.array([3.0, 0.5])])[1] == "prediction"
    with pytest.raises(InputError, match="recommends items"):
        examples = latest_shop.examples(TaskType.RECOMMENDATION, [160])
        Distillation().of(LatestWorth(), examples, examples)
