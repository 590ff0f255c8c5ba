"""No name of a user's table or column is taken for one that our SQL uses: renaming changes nothing but names.

The names are collected from the SQL that stands in the package, so that a new alias is tried without being listed here.
"""

from __future__ import annotations

import ast
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import relbench_harness
from relbench_harness.authoring.new_dataset import Wanted, new_dataset
from relbench_harness.authoring.new_task import new_task
from relbench_harness.cli import main
from relbench_harness.data.database import Database
from relbench_harness.data.dataset import open_dataset
from relbench_harness.data.labels import Window, sql_labels, window_labels
from relbench_harness.data.query import quoted
from relbench_harness.data.task import Kind, Task, TaskType
from relbench_harness.errors import InputError
from relbench_harness.features.dfs.synthesis import DeepFeatureSynthesis
from relbench_harness.protocol.method import Examples

COLUMNS = ("customer_key", "country", "order_key", "customer", "placed", "amount", "line_order", "quantity")
TABLES = ("customers", "orders", "order_lines")
ENGINE = ["rowid", "ROWID", "file_row_number", "filename", "file_index", "oid", "main", "temp", "memory", "sqlite_master",
          "duckdb_tables", "pg_class", "information_schema", "position", "position_", "select", "order", "group", "index",
          "r", "o", "p0", "q0", "n", "x", "e", "row", "t", "k0", "c0", "count", "key", "first", "order 0", "order 1",
          "written orders", "stored", "incoming", "number", "source", "original", "value", "entity", "relbench_harness_rows",
          "relbench_harness_incoming", "placed text", "Index", "null", "true", "s"]  # fmt: skip
"""Names that engines give a meaning of their own, and those that this package uses or used."""


def our_names() -> list[str]:
    """Every word in the SQL texts of the package that may be a name."""
    package = Path(relbench_harness.__file__).parent
    words: set[str] = set()
    for folder in ("data", "authoring", "features"):
        for path in (package / folder).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(
                    r"SELECT|FROM|JOIN|CREATE|WHERE| AS ", node.value
                ) and "\n\n" not in node.value:  # fmt: skip
                    words |= set(re.findall(r"\b[a-z_][a-z_0-9]*\b", node.value))
    return sorted(words - {"timestamps"})


def batches() -> list[dict[str, str]]:
    """Names for all columns and tables at once, so often that each name is a column once and a table once."""
    seen: set[str] = set()
    names = [n for n in [*ENGINE, *our_names()] if not (n.lower() in seen or seen.add(n.lower()))]  # type: ignore[func-returns-value]
    made = []
    for start in range(0, len(names), len(COLUMNS)):
        columns = [names[(start + i) % len(names)] for i in range(len(COLUMNS))]
        # a table by the name of its own column, too
        made.append(dict(zip(COLUMNS, columns, strict=True)) | dict(zip(TABLES, columns[1:], strict=False)))
        made.append(dict(zip(COLUMNS, columns, strict=True)) | dict(zip(TABLES, columns[4:], strict=False)))
    return made


def write(path: Path, named: Mapping[str, str], kind: str) -> str:
    """The shop in a DuckDB or SQLite file, under the names that `named` gives; times are text in SQLite."""
    n = {role: quoted(named.get(role, role)) for role in (*COLUMNS, *TABLES)}
    statements = [
        f"CREATE TABLE {n['customers']} ({n['customer_key']} INTEGER PRIMARY KEY, {n['country']} TEXT)",
        f"CREATE TABLE {n['orders']} ({n['order_key']} INTEGER PRIMARY KEY, {n['customer']} INTEGER, {n['placed']} "
        f"{'TIMESTAMP' if kind == 'duckdb' else 'TEXT'}, {n['amount']} DOUBLE, "
        f"FOREIGN KEY ({n['customer']}) REFERENCES {n['customers']} ({n['customer_key']}))",
        f"CREATE TABLE {n['order_lines']} ({n['line_order']} INTEGER, {n['quantity']} INTEGER, "
        f"FOREIGN KEY ({n['line_order']}) REFERENCES {n['orders']} ({n['order_key']}))",
    ]
    rng = np.random.default_rng(0)
    start = pd.Timestamp("2020-01-01")
    # written in no order of time
    hours = rng.permutation(300)
    rows = {
        "customers": [(1000 + i, "AB"[i % 2]) for i in range(20)],
        "orders": [
            (5000 - i, int(1000 + rng.integers(20)), str(start + pd.Timedelta(hours=7 * int(h))), float(h)) for i, h in enumerate(hours)
        ],
        "order_lines": [(5000 - int(rng.integers(300)), i) for i in range(500)],
    }  # fmt: skip
    connection = duckdb.connect(str(path)) if kind == "duckdb" else sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    for table, content in rows.items():
        connection.execute(f"INSERT INTO {n[table]} VALUES {', '.join(map(repr, content))}")
    connection.commit()
    connection.close()
    return f"{kind}:///{path}"


def imported(where: Path, named: Mapping[str, str], kind: str) -> tuple[Path, Database]:
    where.mkdir(parents=True)
    name = {role: named.get(role, role) for role in (*COLUMNS, *TABLES)}
    wanted = Wanted(times={name["orders"]: name["placed"], name["order_lines"]: None})
    folder = new_dataset("made", write(where / "s", named, kind), where, wanted).folder
    return folder, open_dataset(str(folder)).database


def content(database: Database, named: Mapping[str, str]) -> dict[str, dict[str, list[object]]]:
    """Every value by the roles of its table and column."""
    roles = {t: {named.get(c, c): c for c in COLUMNS} for t in TABLES}
    return {
        t: {roles[t].get(c, c): database[named.get(t, t)].rows.column(c).to_pylist() for c in database[named.get(t, t)].rows.column_names}
        for t in TABLES
    }  # fmt: skip


def labels(database: Database, named: Mapping[str, str]) -> list[list[object]]:
    """What a task's SQL says, of all rows and of the rows that were known at closing."""
    n = {role: quoted(named.get(role, role)) for role in (*COLUMNS, *TABLES)}
    sql = f"""
        SELECT seed.timestamp AS label_time, own.{n["customer"]} AS who,
            SUM(own.{n["amount"]}) + COALESCE(SUM(part.{n["quantity"]}), 0) AS total
        FROM timestamps seed
        JOIN {n["orders"]} own ON own.{n["placed"]} > seed.timestamp
            AND own.{n["placed"]} <= seed.timestamp + INTERVAL '{{timedelta}}'
        JOIN {n["customers"]} buyer ON buyer.{n["customer_key"]} = own.{n["customer"]} AND buyer.{n["country"]} = 'A'
        LEFT JOIN {n["order_lines"]} part ON part.{n["line_order"]} = own.{n["order_key"]}
        GROUP BY ALL"""
    task = Task("made", "t", Kind.FORECAST, TaskType.REGRESSION, named.get("customers", "customers"), "who", "total",
                "label_time", pd.Timedelta(days=10), sql=sql)  # fmt: skip
    starts = pd.date_range("2020-01-05", periods=6, freq="10D")
    whole = [sql_labels(task, database, starts)]
    ends = (starts + task.horizon).as_unit("ns").asi8 + 1
    windows = [Window(int(start), int(end)) for start, end in zip(starts.as_unit("ns").asi8, ends, strict=True)]
    closed = [labels for _, labels in window_labels(task, database, windows)]
    return [[t.entity.tolist(), t.time.tolist(), t.target.to_pylist()] for t in (*whole, *closed)]


def features(database: Database, named: Mapping[str, str]) -> list[bytes]:
    """The values of all features, whatever their names and order."""
    customers = named.get("customers", "customers")
    task = Task(
        "made", "t", Kind.FORECAST, TaskType.REGRESSION, customers, "who", "total", "label_time", pd.Timedelta(days=10)
    )
    who = np.tile(np.arange(20), 3).astype(np.int64)
    times = np.repeat(
        [pd.Timestamp("2020-01-20").value, pd.Timestamp("2020-02-20").value, pd.Timestamp("2020-03-20").value], 20
    )
    asked = Examples(task, database, who, times, times.copy(), None, "rolling", int(times[-1]))
    matrix = DeepFeatureSynthesis().fit(asked).transform(asked).to_matrix()
    return sorted(np.round(matrix[:, i], 4).tobytes() for i in range(matrix.shape[1]))


BATCHES = batches()


@pytest.mark.parametrize("kind", ["duckdb", pytest.param("sqlite", marks=pytest.mark.thorough)])
def test_names_change_nothing(kind: str, tmp_path: Path) -> None:
    _, plain = imported(tmp_path / "plain", {}, kind)
    want = content(plain, {}), labels(plain, {}), features(plain, {})
    assert want[1][0][0] and len(want[2]) > 10
    assert len(BATCHES) > 20
    for place, named in enumerate(BATCHES):
        _, database = imported(tmp_path / str(place), named, kind)
        assert content(database, named) == want[0], named
        assert labels(database, named) == want[1], named
        if place % 6 == 0 or "rowid" in named.values():
            assert features(database, named) == want[2], named


def test_a_column_rowid_leaves_past_labels_as_they_are(tmp_path: Path) -> None:
    """A column of that name would be read for the row's number."""
    database = imported(tmp_path / "plain", {}, "duckdb")[1]
    named = imported(tmp_path / "named", {"amount": "rowid"}, "duckdb")[1]
    assert labels(named, {"amount": "rowid"}) == labels(database, {})


QUERIES = (
    "PREDICT SUM({order_lines}.{quantity} * {orders}.{amount}, 0, 4, days) FOR EACH {customers}.{customer_key} "
    "WHERE {customers}.{country} = 'A' AND COUNT({orders}.*, -20, 0, days) > 0",
    "PREDICT LIST_DISTINCT({orders}.{customer}, 0, 4, days) RANK TOP 3 FOR EACH {customers}.{customer_key}",
)
TRICKY = (
    {"customers": "e", "orders": "s", "order_lines": "r"},
    {"customers": "future", "orders": "past", "order_lines": "j1"},
    {"country": "timestamp", "amount": "value", "customer": "entity", "customer_key": "q0", "order_key": "Timestamp"},
    {
        "customers": "value",
        "orders": "entity",
        "order_lines": "timestamp",
        "customer_key": "s",
        "country": "e",
        "amount": "rowid",
    },
)


def test_tasks_from_queries_ask_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(tmp_path))
    found = []
    for place, named in enumerate(({}, *TRICKY)):
        name = {role: named.get(role, role) for role in (*COLUMNS, *TABLES)}
        uri = write(tmp_path / f"s{place}", named, "duckdb")
        new_dataset(f"d{place}", uri, tmp_path, Wanted(times={name["order_lines"]: None}))
        dataset = open_dataset(f"d{place}")
        for index, query in enumerate(QUERIES):
            list(new_task(f"d{place}/q{index}", query.format(**{role: quoted(n) for role, n in name.items()})))
            table = dataset.labels(dataset.task(f"q{index}"), "train")
            found.append((table.entity.tolist(), table.time.tolist(), table.target.to_pylist()))
    assert len(found[0][0]) > 20
    assert all(one == found[place % 2] for place, one in enumerate(found))


@pytest.mark.parametrize(
    ("parent", "column"), [("customers", "id"), ("CUSTOMERS", "ID"), ("Customers", "Id"), ("customers", None)]
)
@pytest.mark.parametrize("kind", ["sqlite", "duckdb", "mariadb"])
def test_declared_names_in_another_case(
    kind: str, parent: str, column: str | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Engines that do not care for letter case find the key; the import does, too."""
    if kind == "mariadb":
        parent = "Customers"  # names of tables are those of files there
        column = column or "id"
    to = f"{parent} ({column})" if column else parent
    statements = [
        "CREATE TABLE Customers (Id INTEGER PRIMARY KEY, Joined TIMESTAMP)",
        f"CREATE TABLE Orders (Number INTEGER PRIMARY KEY, Buyer INTEGER, Placed TIMESTAMP, FOREIGN KEY (BUYER) REFERENCES {to})",
        *(f"INSERT INTO Customers VALUES ({i}, '2020-01-01 00:00:00')" for i in range(5)),
        *(f"INSERT INTO Orders VALUES ({i}, {i % 5}, '2020-02-{i + 1:02} 00:00:00')" for i in range(20)),
    ]
    if kind == "sqlite":
        with sqlite3.connect(tmp_path / "s") as opened:
            for statement in statements:
                opened.execute(statement)
        uri = f"sqlite:///{tmp_path / 's'}"
    elif kind == "duckdb":
        with duckdb.connect(str(tmp_path / "s")) as connection:
            for statement in statements:
                connection.execute(statement)
        uri = f"duckdb:///{tmp_path / 's'}"
    else:
        import sqlalchemy as sa

        uri = str(request.getfixturevalue("mariadb_uri")).rpartition("/")[0] + "/letters"
        engine = sa.create_engine("mysql+pymysql" + uri.rpartition("/")[0].removeprefix("mariadb"))
        with engine.begin() as run:
            for statement in ("DROP DATABASE IF EXISTS letters", "CREATE DATABASE letters", "USE letters", *statements):
                run.exec_driver_sql(statement)
        engine.dispose()
    written = new_dataset("t", uri, tmp_path / "out", Wanted(times={"Customers": None})).written
    assert written["Orders"].spec.fkeys == {"Buyer": "Customers"} and written["Orders"].spec.pkey == "Number"
    assert written["Customers"].spec.pkey == "Id" and not written["Orders"].dangling


def test_tables_that_differ_in_case_only_are_named(tmp_path: Path) -> None:
    where = tmp_path / "in"
    where.mkdir()
    rows = pa.table({"id": range(30), "at": pa.array(range(30), pa.timestamp("s"))})
    for name in ("orders", "Orders"):
        pq.write_table(rows, where / f"{name}.parquet")
    with pytest.raises(InputError, match="'Orders' and 'orders' differ in case only"):
        new_dataset("t", str(where), tmp_path / "out", Wanted())
    assert new_dataset("t", str(where), tmp_path / "out", Wanted(tables=("orders",))).written["orders"].rows == 30


def test_a_path_is_no_pattern_and_no_partition(tmp_path: Path) -> None:
    uri = write(tmp_path / "s", {"orders": "or*[d]?ers"}, "duckdb")
    out = tmp_path / "year=2020" / "a*[1]?"
    folder = new_dataset("made", uri, out, Wanted(times={"order_lines": None})).folder
    orders = open_dataset(str(folder)).database["or*[d]?ers"]
    assert len(orders) == 300 and "year" not in orders.rows.column_names


@pytest.mark.parametrize(
    "command",
    [
        ["run", "task=postgresql://u:secret@h/db/x", "method=constant"],
        ["run", "task=postgresql:/u:secret@h/db", "method=constant"],
        ["dataset", "new", "x", "--from", "postgresql:/u:secret@h/db"],
        ["dataset", "check", "mysql+pymysql://u:secret@h/db"],
        ["try", "postgresql:/u:secret@h/db", "PREDICT COUNT(a.*, 0, 1, days) = 0 FOR EACH b.id"],
    ],
)
def test_a_uri_in_the_wrong_place_or_mistyped_is_never_shown(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "secret" not in said and "postgresql://user@host/database" in said
