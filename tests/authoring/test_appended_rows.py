"""Rows that are appended to those of the import before are the rows of a whole import, as long as no old row changed."""

from __future__ import annotations

import re
import sqlite3
import warnings
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relbench_harness.authoring.appended_rows import overlap_of
from relbench_harness.authoring.new_dataset import new_dataset
from relbench_harness.authoring.wanted import Wanted
from relbench_harness.data.cache import cache_home
from relbench_harness.data.dataset import Dataset, open_dataset
from relbench_harness.errors import InputError, ResultWarning
from relbench_harness.models.current_rows import current_rows

WEEK = pd.Timedelta(days=7)
START = pd.Timestamp("2024-01-01")
Row = tuple[Any, ...]


def tables_of(dataset: Dataset) -> dict[str, Any]:
    """Every file of rows and of keys: what an import writes."""
    found = sorted([*dataset.folder.glob("db/*.parquet"), *dataset.folder.glob("keys/*.parquet")])
    return {str(path.relative_to(dataset.folder)): pq.read_table(path) for path in found}


def appended(before: Dataset, uri: str, overlap: pd.Timedelta = WEEK) -> tuple[list[str], str]:
    """Checks that an appending import writes what a whole one writes; returns what it says, and the fingerprint."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = current_rows(before, uri, overlap)
    whole = current_rows(before, uri)
    ours, theirs = tables_of(found), tables_of(whole)
    assert ours.keys() == theirs.keys()
    for name, rows in theirs.items():
        # whether a column may be null is what Parquet's writers happen to know
        assert [(f.name, f.type) for f in ours[name].schema] == [(f.name, f.type) for f in rows.schema], name
        assert ours[name].columns == rows.columns, name
    assert found.database.fingerprint == whole.database.fingerprint
    return [str(one.message) for one in caught if one.category is ResultWarning], found.database.fingerprint


SHOP = """
CREATE TABLE areas (code TEXT PRIMARY KEY, size {real});
CREATE TABLE people (name {key} PRIMARY KEY, area {key}, joined {time});
CREATE TABLE orders (id INTEGER PRIMARY KEY, who {key}, made {time}, amount {decimal}, note {key});
CREATE TABLE notes (who {key}, made {time}, stars INTEGER);
CREATE TABLE lines (id INTEGER PRIMARY KEY, ordered INTEGER REFERENCES orders (id), pieces INTEGER);
"""


def shop_rows(rng: np.random.Generator, count: int) -> dict[str, list[Row]]:
    """Rows of a shop, some without a time, some at the same time, keys in no order of time."""
    people = [f"p{n}" for n in rng.permutation(20)]
    hours = np.sort(rng.integers(0, 24 * 120, count))
    times = [None if rng.random() < 0.05 else START + pd.Timedelta(hours=int(h)) for h in hours]
    ids = rng.permutation(count * 2)[:count]
    who = [people[n] if n < 20 else None for n in rng.integers(0, 22, count)]
    return {
        "areas": [("N", 1.5), ("S", 2.5)],
        "people": [(p, "NS"[n % 2], START + pd.Timedelta(days=3 * n)) for n, p in enumerate(people)],
        "orders": [(int(i), w, t, round(float(rng.random() * 90), 2), None if rng.random() < 0.3 else "x")
                   for i, w, t in zip(ids, who, times, strict=True)],
        "notes": [(w, t, int(rng.integers(1, 3))) for w, t in zip(who, times, strict=True) for _ in range(int(rng.integers(0, 3)))],
        "lines": [(int(n), int(ids[n // 2]), int(n % 5)) for n in range(count * 2)],
    }  # fmt: skip


Insert = Callable[[str, list[Row]], None]


class Sqlite:
    """An SQLite file, whose times are texts."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "shop.db"
        self.uri = f"sqlite:///{self.path}"
        self.run(*SHOP.format(real="REAL", key="TEXT", time="TIMESTAMP", decimal="DECIMAL(10, 2)").split(";\n"))

    def run(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    def insert(self, table: str, rows: Iterable[Row]) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for row in rows:
                marks = ", ".join("?" * len(row))
                values = [str(v) if isinstance(v, pd.Timestamp) else v for v in row]
                connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)


class Duck:
    """A DuckDB file, whose times are instants."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "shop.duckdb"
        self.uri = f"duckdb:///{self.path}"
        self.run(SHOP.format(real="DOUBLE", key="VARCHAR", time="TIMESTAMPTZ", decimal="DECIMAL(10, 2)"))

    def run(self, *statements: str) -> None:
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for statement in statements:
                connection.execute(statement)

    def insert(self, table: str, rows: Iterable[Row]) -> None:
        values = [
            ["NULL" if v is None else repr(v) if isinstance(v, int | float) else f"'{v}'" for v in row] for row in rows
        ]
        self.run(*(f"INSERT INTO {table} VALUES ({', '.join(row)})" for row in values))


class Postgresql:
    """A PostgreSQL server, whose times are in no zone."""

    def __init__(self, uri: str) -> None:
        self.server, self.uri = uri, f"{uri}?schema=appended"
        kinds = SHOP.format(real="double precision", key="text", time="timestamp", decimal="numeric(10, 2)")
        self.run("DROP SCHEMA IF EXISTS appended CASCADE", "CREATE SCHEMA appended", kinds)

    def run(self, *statements: str) -> None:
        import psycopg

        with psycopg.connect(self.server, autocommit=True) as connection:
            for statement in ("SET search_path = appended, public", *statements):
                connection.execute(statement)

    def insert(self, table: str, rows: Iterable[Row]) -> None:
        import psycopg

        with psycopg.connect(self.server) as connection, connection.cursor() as cursor:
            for row in rows:
                values = [v.to_pydatetime() if isinstance(v, pd.Timestamp) else v for v in row]
                cursor.execute(f"INSERT INTO appended.{table} VALUES ({', '.join(['%s'] * len(row))})", values)


class Mariadb(Postgresql):
    """A MariaDB server, whose times are in no zone."""

    def __init__(self, uri: str) -> None:
        self.server = self.uri = uri
        kinds = SHOP.format(real="DOUBLE", key="VARCHAR(20)", time="DATETIME", decimal="DECIMAL(10, 2)").replace(
            "TEXT", "VARCHAR(9)"
        )
        names = ("lines", "notes", "orders", "people", "areas")
        self.run(
            *(f"DROP TABLE IF EXISTS `{n}`" for n in names),
            *kinds.replace("TABLE lines", "TABLE `lines`").strip().split(";\n"),
        )

    def run(self, *statements: str) -> None:
        with closing(self._connected()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement.rstrip(";"))
            connection.commit()

    def insert(self, table: str, rows: Iterable[Row]) -> None:
        with closing(self._connected()) as connection, connection.cursor() as cursor:
            for row in rows:
                values = [str(v) if isinstance(v, pd.Timestamp) else v for v in row]
                cursor.execute(f"INSERT INTO `{table}` VALUES ({', '.join(['%s'] * len(row))})", values)
            connection.commit()

    def _connected(self) -> Any:
        import pymysql
        import sqlalchemy as sa

        url = sa.make_url(self.server)
        return pymysql.connect(
            host=url.host, port=url.port or 3306, user=url.username, password=url.password or "", database="shop"
        )


Store = Sqlite | Duck | Postgresql
TIMES = {"people": 2, "orders": 2, "notes": 1}


def filled(store: Store, rows: dict[str, list[Row]], first: pd.Timestamp, last: pd.Timestamp) -> None:
    """Insert the rows of [first, last), those without a time and those of tables without one with the first."""
    opening = first == pd.Timestamp.min
    for table, listed in rows.items():
        at = TIMES.get(table)
        for_now = [r for r in listed if (opening if at is None or r[at] is None else first <= r[at] < last)]
        if table == "lines":
            known = {r[0]: r[2] for r in rows["orders"]}
            for_now = [r for r in listed if (opening if known[r[1]] is None else first <= known[r[1]] < last)]
        store.insert(table, for_now)


def dataset(folder: Path, uri: str, times: dict[str, str | None] | None = None, **wanted: Any) -> Dataset:
    given = {"people": "joined", "orders": "made", "notes": "made"} if times is None else times
    new_dataset("shop", uri, folder, Wanted(times=given, **wanted))
    return open_dataset(str(folder / "shop"))


def split(store: Store, folder: Path, seed: int, later: int = 1, **wanted: Any) -> list[list[str]]:
    """Rows that come in parts, the first and `later` ones, at random times: what each appending import says."""
    rng = np.random.default_rng(seed)
    rows = shop_rows(rng, 60)
    cuts = [START + pd.Timedelta(days=float(d)) for d in sorted(rng.uniform(20, 118, later))]
    ends = [pd.Timestamp.min, *cuts, pd.Timestamp.max]
    filled(store, rows, ends[0], ends[1])
    before = dataset(folder, store.uri, **wanted)
    said = [appended(before, store.uri)[0]]
    for first, last in pairwise(ends[1:]):
        filled(store, rows, first, last)
        overlap = pd.Timedelta(days=float(rng.choice([0, 0.5, 7, 30])))
        said.append(appended(before, store.uri, overlap)[0])
    return said


@pytest.mark.parametrize(
    ("seed", "zone"),
    [(0, None), (1, "America/New_York"), *(pytest.param(n, "Asia/Tokyo", marks=pytest.mark.thorough) for n in range(2, 8))],
)
def test_random_parts_are_the_whole_from_sqlite(tmp_path: Path, seed: int, zone: str | None) -> None:
    first, *later = split(Sqlite(tmp_path), tmp_path / "out", seed, 2, zone=zone)
    assert ["all were read" in sentence for sentence in first] == [True]
    for said in later:
        assert "orders (" in said[0] and "notes (" in said[0] and "are not seen" in said[0], said
        assert any("read whole: areas" in sentence for sentence in said)


def test_random_parts_are_the_whole_from_duckdb(tmp_path: Path) -> None:
    _, *later = split(Duck(tmp_path), tmp_path / "out", 5)
    assert all("orders (" in said[0] for said in later)


def test_random_parts_are_the_whole_from_postgresql(tmp_path: Path, postgresql_uri: str) -> None:
    _, *later = split(Postgresql(postgresql_uri), tmp_path / "out", 6, zone="Europe/London")
    assert all("orders (" in said[0] for said in later)


def test_random_parts_are_the_whole_from_mariadb(tmp_path: Path, mariadb_uri: str) -> None:
    _, *later = split(Mariadb(mariadb_uri), tmp_path / "out", 7)
    assert all("orders (" in said[0] for said in later)


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Sqlite, Dataset]:
    """A shop whose rows are kept, the rows of its last days aside, which are there since."""
    store, rows = Sqlite(tmp_path), shop_rows(np.random.default_rng(9), 60)
    cut = START + pd.Timedelta(days=90)
    filled(store, rows, pd.Timestamp.min, cut)
    before = dataset(tmp_path / "out", store.uri)
    appended(before, store.uri)
    filled(store, rows, cut, pd.Timestamp.max)
    return store, before


OLD = "made < '2024-02-15'"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            f"DELETE FROM orders WHERE id = (SELECT max(id) FROM orders WHERE {OLD})",
            "read whole: orders, since the source has",
        ),
        ("INSERT INTO notes VALUES ('p1', '2024-01-05 10:00:00', 2)", "read whole: notes, since the source has"),
        # a time that is written anew: the row stands in the place of its old self
        (f"UPDATE orders SET made = '2024-04-20 10:00:00' WHERE id = (SELECT max(id) FROM orders WHERE {OLD})", "orders ("),
        ("UPDATE orders SET note = '2024-01-01'", "orders ("),
        ("UPDATE orders SET amount = 7 WHERE made >= '2024-03-30'", "orders ("),
        ("INSERT INTO orders VALUES (990, 'p1', '2024-3-5 1:00', 1.5, NULL)", "orders ("),
        ("INSERT INTO orders VALUES (990, 'p1', '', 1.5, NULL)", "orders ("),
    ],
)
def test_rows_that_changed(kept: tuple[Sqlite, Dataset], statement: str, said: str) -> None:
    store, before = kept
    store.run(statement)
    if "SET note" in statement:
        # old rows changed as no count can tell, so the two imports need not agree
        with pytest.raises(AssertionError):
            appended(before, store.uri)
        return
    assert any(said in sentence for sentence in appended(before, store.uri)[0])


def test_a_column_that_is_new_is_seen(kept: tuple[Sqlite, Dataset]) -> None:
    store, before = kept
    store.run("ALTER TABLE orders ADD COLUMN price REAL")
    assert any("read whole: orders, since its columns" in sentence for sentence in appended(before, store.uri)[0])


def test_a_type_that_changed_is_seen(kept: tuple[Sqlite, Dataset]) -> None:
    store, before = kept
    store.run("UPDATE notes SET stars = 'many' WHERE made > '2024-04-15'")
    assert any("read whole: notes, since its columns" in sentence for sentence in appended(before, store.uri)[0])


def test_rows_that_are_dated_ahead(tmp_path: Path) -> None:
    store = Sqlite(tmp_path)
    filled(store, shop_rows(np.random.default_rng(9), 60), pd.Timestamp.min, pd.Timestamp.max)
    ahead = pd.Timestamp.now().floor("s") + pd.Timedelta(days=900)
    store.insert("orders", [(9001, "p1", ahead, 1.0, None)])
    before = dataset(tmp_path / "out", store.uri)
    appended(before, store.uri)
    store.insert("orders", [(9002, "p1", pd.Timestamp.now().floor("s"), 2.0, None)])
    said = appended(before, store.uri)[0][0]
    read = re.search(r"orders \((\d+) rows read", said)
    without_time = 5
    assert read is not None and int(read[1]) <= 2 + without_time, said


def test_times_as_numbers(tmp_path: Path) -> None:
    path = tmp_path / "n.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE seen (id INTEGER PRIMARY KEY, ts INTEGER, x REAL)")
        connection.executemany(
            "INSERT INTO seen VALUES (?, ?, ?)", [(n, 1_704_067_200 + n * 7_000, n / 2) for n in range(900)]
        )
    before = dataset(tmp_path / "out", f"sqlite:///{path}", times={"seen": "ts:epoch_s"})
    appended(before, f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO seen VALUES (?, ?, ?)", [(n, 1_704_067_200 + n * 7_000, n / 2) for n in range(900, 950)]
        )
    said = appended(before, f"sqlite:///{path}")[0]
    assert len(said) == 1 and said[0].startswith("seen ("), said


@pytest.mark.parametrize("kind", ["date", "instant", "text"])
def test_delta_tables(tmp_path: Path, kind: str) -> None:
    deltalake = pytest.importorskip("deltalake")
    moments = pd.date_range(START, periods=90, freq="D", tz="UTC")
    days = pa.array(moments.strftime("%Y-%m-%d")) if kind == "text" else pa.array(moments).cast(pa.timestamp("us", "UTC"))
    days = days.cast(pa.date32()) if kind == "date" else days
    rows = pa.table({"id": pa.array(range(90)), "made": days, "x": pa.array([n / 4 for n in range(90)])})
    deltalake.write_deltalake(str(tmp_path / "seen"), rows.slice(0, 60))
    before = dataset(tmp_path / "out", str(tmp_path / "seen"), {"seen": "made"})
    appended(before, str(tmp_path / "seen"))
    deltalake.write_deltalake(str(tmp_path / "seen"), rows.slice(60), mode="append")
    said = appended(before, str(tmp_path / "seen"))[0]
    assert len(said) == 1 and re.match(r"seen \((38|39) rows read, (51|52) before", said[0]), said


def test_rows_that_are_filled_in_later_are_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    rows = [(n, START + pd.Timedelta(hours=7 * n)) for n in range(400)]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE bills (id INTEGER PRIMARY KEY, made TIMESTAMP, paid TIMESTAMP, sum REAL)")
        said = [(n, str(t), str(t + pd.Timedelta(days=40)) if n < 200 else None, n / 2) for n, t in rows]
        connection.executemany("INSERT INTO bills VALUES (?, ?, ?, ?)", said)
    before = dataset(tmp_path / "out", f"sqlite:///{path}", {"bills": "made"}, late={"bills.paid": ()})
    appended(before, f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE bills SET paid = '2024-04-20 10:00:00' WHERE paid IS NULL AND id < 250")
    assert appended(before, f"sqlite:///{path}")[0] == ["read whole: bills, since columns of its rows are filled in later"]


def test_columns_named_like_secrets_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, at TIMESTAMP, password_hash TEXT)")
        rows = [(n, str(START + pd.Timedelta(hours=n)), "s3cr3t") for n in range(400)]
        connection.executemany("INSERT INTO users VALUES (?, ?, ?)", rows)
    before = dataset(tmp_path / "out", f"sqlite:///{path}", {"users": "at"})
    appended(before, f"sqlite:///{path}")
    assert appended(before, f"sqlite:///{path}")[0] == ["read whole: users, since its rows were not kept"]
    assert not any(b"s3cr3t" in file.read_bytes() for file in (cache_home() / "rows").rglob("*.parquet"))


def test_damaged_rows_are_taken_for_none(kept: tuple[Sqlite, Dataset]) -> None:
    store, before = kept
    for file in (cache_home() / "rows").rglob("rows.json"):
        file.write_text(file.read_text()[:40])
    assert "all were read" in appended(before, store.uri)[0][0]


@pytest.mark.parametrize("said", ["7", "-1d", "soon", ""])
def test_spans_that_are_none(said: str) -> None:
    with pytest.raises(InputError, match="no span of time"):
        overlap_of(said)
