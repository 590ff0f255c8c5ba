"""Hand-written feature queries: what they return, and that one which looks ahead is caught; every shipped query is honest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from made_examples import examples_about, made_database, made_task
from scramble import own_rows, scrambled

from relbench_harness.compose import make_method
from relbench_harness.data.database import Database
from relbench_harness.data.dataset import open_task
from relbench_harness.data.names import task_names
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.features.handwritten import SqlFeatures, differences
from relbench_harness.home import home
from relbench_harness.protocol.method import Budget, Examples
from relbench_harness.protocol.stages import Stages
from relbench_harness.request import RunRequest

SHIPPED = sorted(f"{p.parent.name}/{p.stem}" for p in home("configs").glob("sql/*/*.sql"))
COUNT = """SELECT s.seed, COUNT(*) AS orders, SUM(o.paid) AS paid, ANY_VALUE(c."group") AS kind
           FROM seeds s JOIN customers c ON c.id = s.entity
           JOIN orders o ON o.customer = s.entity AND o.at < s.cutoff GROUP BY s.seed"""


@pytest.fixture
def orders() -> Database:
    """Few enough rows to count by hand."""
    day = pd.Timestamp("1970-01-01")
    tables = {
        "customers": pa.table({"id": [0, 1, 2], "group": ["a", "b", None]}),
        "orders": pa.table(
            {
                "customer": [0, 0, 1, 0, 1],
                "paid": [1.0, None, 5.0, 3.0, 9.0],
                "at": [day + pd.Timedelta(days=d) for d in (1, 2, 2, 3, 4)],
            }
        ),
    }
    return made_database(tables, {"customers": ("id", None, {}), "orders": (None, "at", {"customer": "customers"})})


def about(database: Database, rows: list[int], days: list[int], type_: TaskType = TaskType.REGRESSION) -> Examples:
    """Examples about customers, to whom other customers may be recommended."""
    task = made_task("customers", type_, days=1, items="customers")
    return examples_about(database, "customers", rows, days, fit_day=10, task=task)


def written(folder: Path, sql: str) -> SqlFeatures:
    (folder / "made").mkdir(exist_ok=True)
    (folder / "made" / "task.sql").write_text(sql)
    return SqlFeatures(str(folder))


def test_columns_follow_the_seeds(tmp_path: Path, orders: Database) -> None:
    examples = about(orders, [0, 1, 2, 0], [3, 3, 3, 9])
    found = written(tmp_path, COUNT).fit(examples).transform(examples)
    assert found.names == ["orders", "paid", "kind"]
    np.testing.assert_array_equal(found["orders"].values, [2, 1, np.nan, 3])
    np.testing.assert_array_equal(found["paid"].values, [1, 5, np.nan, 4])
    assert found["kind"].vocabulary is not None
    assert [found["kind"].vocabulary[c] if c >= 0 else None for c in found["kind"].values] == ["a", "b", None, "a"]  # type: ignore[index]


@pytest.mark.parametrize(
    "ahead",
    [
        COUNT.replace("<", "<="),
        COUNT.replace(" AND o.at < s.cutoff", ""),
        COUNT.replace("SUM(o.paid)", "(SELECT AVG(paid) FROM orders)"),
    ],
)
def test_a_query_that_looks_ahead_is_caught(tmp_path: Path, orders: Database, ahead: str) -> None:
    examples = about(orders, [0, 1, 0, 1], [2, 2, 4, 4])
    with pytest.raises(InputError, match=r"uses rows at or after a seed's cut-off 1970-01-03.*(paid|orders|rows returned)"):
        written(tmp_path, ahead).fit(examples)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT 1 AS x FROM seeds", "no column 'seed'"),
        ("SELECT s.seed, 1 AS x FROM seeds s, customers", "returns seed 0 more than once"),
        ("SELECT seed + 7 AS seed FROM seeds", "not asked"),
        ("SELECT seed, cutoff FROM seeds", "'cutoff' is timestamp"),
        ("SELECT CAST(NULL AS BIGINT) AS seed", "without null"),
        ("SELEC", "does not run"),
    ],
)
def test_what_is_no_feature_query_is_named(tmp_path: Path, orders: Database, sql: str, message: str) -> None:
    examples = about(orders, [0, 1], [3, 4])
    with pytest.raises(InputError, match=message):
        written(tmp_path, sql).fit(examples).transform(examples)


def test_a_task_without_query_is_named(tmp_path: Path, orders: Database) -> None:
    with pytest.raises(InputError, match="made/task has no hand-written features"):
        SqlFeatures(str(tmp_path)).fit(about(orders, [0], [3]))


def test_a_recommendation_query_returns_candidates(tmp_path: Path, orders: Database) -> None:
    examples = about(orders, [1, 0], [3, 4], TaskType.RECOMMENDATION)
    sql = "SELECT s.seed, c.id AS item, c.id * 2.0 AS twice FROM seeds s, customers c WHERE c.id <> s.entity"
    seed, item, features = written(tmp_path, sql).fit(examples).pairs(examples)
    assert seed.tolist() == [0, 0, 1, 1] and item.tolist() == [0, 2, 1, 2]
    assert features["twice"].values.tolist() == [0, 4, 2, 4]
    with pytest.raises(InputError, match="no row of 'customers'"):
        written(tmp_path, "SELECT seed, 99 AS item FROM seeds").fit(examples)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_queries_ignore_scrambled_future_rows(real_data: Path, name: str) -> None:
    dataset, task = open_task(name)
    train = Stages(dataset, task, "rolling").examples("train")
    times = np.unique(train.cutoff)
    moment = int(times[len(times) * 2 // 3])
    examples = train.take(np.flatnonzero(train.cutoff == moment)[:200])
    query = SqlFeatures(audits=0).fit(examples).query
    query.audit(examples)
    own = own_rows(examples.database, task.entity_table, examples.entity, task.own_row_visible)
    changed = replace(examples, database=scrambled(examples.database, moment, own))
    one, two = query.run(examples), query.run(changed)
    assert differences(one, two) == ""
    assert len(one.seed) > 0


def test_every_shipped_task_has_a_query() -> None:
    tasks = {f"{folder.name}/{task}" for folder in home("datasets").iterdir() for task in task_names(folder)}
    assert tasks - set(SHIPPED) == set()
    assert sum(name.startswith("retail-uk/") for name in SHIPPED) >= 2


def test_the_query_counts_as_lines_of_its_task(real_data: Path) -> None:
    method, config = make_method("sql_xgboost", n_estimators=2, ensemble_size=1)
    request = RunRequest("rel-f1/driver-top3", method, "sql_xgboost", config, "rolling", budget=Budget(threads=1))
    result = request.execute().result
    assert result.status == "ok", result.error
    assert result.lines["task"] > 20
    assert "configs/sql/rel-f1/driver-top3.sql" in str(result.lines["files"]["task"])
