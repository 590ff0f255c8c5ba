"""Importing: composite and text keys, times, proposals, odd names, credentials, and nothing half done."""

from __future__ import annotations

import datetime
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import relbench
import yaml

from relbench_harness.authoring.credentials import cleansed
from relbench_harness.authoring.new_dataset import Imported, Wanted, new_dataset
from relbench_harness.authoring.source_choice import open_source
from relbench_harness.data.dataset import open_dataset
from relbench_harness.errors import InputError


def day(number: float) -> datetime.datetime:
    return datetime.datetime(2020, 1, 1) + datetime.timedelta(days=number)


ORDERS = '''
CREATE TABLE "odd stores" (country TEXT, "no." INTEGER, "size ""m2""" REAL, PRIMARY KEY (country, "no."));
CREATE TABLE "order" (code TEXT PRIMARY KEY, country TEXT, store INTEGER, "select" TIMESTAMP, total NUMERIC(10, 2),
    FOREIGN KEY (country, store) REFERENCES "odd stores" (country, "no."));
CREATE TABLE refunds ("order" TEXT PRIMARY KEY REFERENCES "order" (code), "at" TIMESTAMP, why TEXT);
'''


def insert(run: Callable[..., object], mark: str) -> None:
    """Three stores, twelve orders in reverse order of time, two refunds."""
    for store in (("GB", 1, 10.5), ("GB", 2, None), ("FR", 1, 30.0)):
        run(f'INSERT INTO "odd stores" VALUES ({mark}, {mark}, {mark})', store)
    for i in range(12):
        country, number = (("GB", 1), ("FR", 1), (None, None))[i % 3]
        row = (f"o{i:02}", country, number, day(20 - i).isoformat(" "), i + 0.25)
        run(f'INSERT INTO "order" VALUES ({mark}, {mark}, {mark}, {mark}, {mark})', row)
    for code, when in (("o03", 25), ("o01", 26)):
        row = (code, day(when).isoformat(" "), 'it\'s "bad"')
        run(f"INSERT INTO refunds VALUES ({mark}, {mark}, {mark})", row)


def make(kind: str, where: Path, request: pytest.FixtureRequest) -> str:
    if kind == "sqlite":
        with sqlite3.connect(where / "s.db") as connection:
            connection.executescript(ORDERS)
            insert(connection.execute, "?")
        return f"sqlite:///{where / 's.db'}"
    if kind == "duckdb":
        with duckdb.connect(str(where / "s.duckdb")) as connection:
            connection.execute(ORDERS.replace(" REAL", " DOUBLE"))
            insert(connection.execute, "?")
        return f"duckdb:///{where / 's.duckdb'}"
    if kind == "postgresql":
        import psycopg

        uri = str(request.getfixturevalue("postgresql_uri"))
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS odd CASCADE; CREATE SCHEMA odd; SET search_path = odd")
            connection.execute(ORDERS.replace(" TIMESTAMP", " timestamp"))
            insert(connection.execute, "%s")
        return uri + "?schema=odd"
    import pymysql

    uri = str(request.getfixturevalue("mariadb_uri"))
    from urllib.parse import unquote, urlsplit

    url = urlsplit(uri)
    with pymysql.connect(
        host=url.hostname, port=url.port or 0, user=url.username or "", password=unquote(url.password or "")
    ) as connection, connection.cursor() as cursor:  # fmt: skip
        cursor.execute("CREATE DATABASE IF NOT EXISTS odd")
        cursor.execute("USE odd")
        cursor.execute("SET SESSION sql_mode = 'ANSI_QUOTES'")
        cursor.execute('DROP TABLE IF EXISTS refunds, "order", "odd stores"')
        ddl = ORDERS.replace("TEXT", "VARCHAR(20)").replace("TIMESTAMP", "DATETIME(6)").replace(" REAL", " DOUBLE")
        ddl = ddl.replace(
            '"order" VARCHAR(20) PRIMARY KEY REFERENCES "order" (code)',
            '"order" VARCHAR(20) PRIMARY KEY',
        ).replace("why VARCHAR(20))", 'why VARCHAR(20), FOREIGN KEY ("order") REFERENCES "order" (code))')
        for statement in filter(str.strip, ddl.split(";")):
            cursor.execute(statement)
        insert(cursor.execute, "%s")
        connection.commit()
    return uri.rpartition("/")[0] + "/odd"


@pytest.mark.parametrize("kind", ["sqlite", "duckdb", "postgresql", "mariadb"])
def test_keys_of_any_kind_become_row_numbers(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    imported = new_dataset("shop", make(kind, tmp_path, request), tmp_path / "out", Wanted())
    folder = imported.folder
    manifest = yaml.safe_load((folder / "manifest.yaml").read_text())
    assert manifest["tables"] == {
        "odd stores": {"pkey": "odd stores_key", "time_col": None, "fkeys": {}},
        "order": {"pkey": "code", "time_col": "select", "fkeys": {"country_store": "odd stores"}},
        "refunds": {"pkey": "refunds_key", "time_col": "at", "fkeys": {"order": "order"}},
    }
    orders = pq.read_table(folder / "db" / "order.parquet").to_pandas()
    assert orders["code"].tolist() == list(range(12)), "rows lie in the order of time"
    keys = pq.read_table(folder / "keys" / "order.parquet").column("code").to_pylist()
    assert keys == [f"o{i:02}" for i in reversed(range(12))]
    assert orders["total"].tolist() == [i + 0.25 for i in reversed(range(12))]
    stores = pq.read_table(folder / "keys" / "odd stores.parquet").to_pylist()
    for code, store in zip(keys, orders["country_store"], strict=True):
        want = (("GB", 1), ("FR", 1), None)[int(code[1:]) % 3]
        got = None if pd.isna(store) else (stores[int(store)]["country"], stores[int(store)]["no."])
        assert got == want
    refunds = pq.read_table(folder / "db" / "refunds.parquet").to_pylist()
    assert [keys[row["order"]] for row in refunds] == ["o03", "o01"]
    assert refunds[0]["why"] == 'it\'s "bad"' and refunds[0]["at"] == pd.Timestamp(day(25))
    official = relbench.load_dataset(folder).get_db(upto_test_timestamp=False)
    assert official.table_dict["refunds"].df["order"].tolist() == [row["order"] for row in refunds]
    database = open_dataset(str(folder)).database
    assert database["order"].rows.column("code").to_pylist() == list(range(12))


@pytest.mark.parametrize("kind", ["sqlite", "duckdb", "postgresql", "mariadb"])
def test_names_are_never_sql(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A table and a column whose names would drop a table, if they were ever read as SQL."""
    uri = make(kind, tmp_path, request)
    # without a backtick: SQLAlchemy's reflection of MySQL gives it back doubled
    name, column = 'x"; DROP TABLE refunds; --', "y %s '; DROP TABLE refunds; --"
    quote = "`" if kind == "mariadb" else '"'
    shown = [quote + n.replace(quote, 2 * quote) + quote for n in (name, column)]
    ddl = f"CREATE TABLE {shown[0]} (id INTEGER PRIMARY KEY, {shown[1]} INTEGER, at2 TIMESTAMP NULL)"
    rows = f"INSERT INTO {shown[0]} VALUES (1, 5, '2020-01-01 00:00:00'), (2, 6, '2020-02-01 00:00:00')"
    if kind == "sqlite":
        with sqlite3.connect(tmp_path / "s.db") as connection:
            connection.executescript(f"{ddl}; {rows}")
    elif kind == "duckdb":
        with duckdb.connect(str(tmp_path / "s.duckdb")) as opened:
            opened.execute(ddl)
            opened.execute(rows)
    else:
        import sqlalchemy as sa

        driver = "postgresql+psycopg" if kind == "postgresql" else "mysql+pymysql"
        engine = sa.create_engine(driver + uri.partition("?")[0].removeprefix(kind))
        with engine.begin() as run:
            schema = "SET search_path = odd" if kind == "postgresql" else "DO 1"
            for statement in (schema, f"DROP TABLE IF EXISTS {shown[0]}", ddl, rows):
                run.exec_driver_sql(statement.replace("%", "%%"))
    imported = new_dataset("shop", uri, tmp_path / "out", Wanted())
    assert imported.written["refunds"].rows == 2
    assert pq.read_table(imported.folder / "db" / f"{name}.parquet").column(column).to_pylist() == [5, 6]
    assert len(open_dataset(str(imported.folder)).database[name]) == 2


def test_postgresql_types(postgresql_uri: str, tmp_path: Path) -> None:
    import psycopg

    with psycopg.connect(postgresql_uri, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS kinds CASCADE; CREATE SCHEMA kinds; SET search_path = kinds")
        connection.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
        connection.execute(
            "CREATE TABLE events (id uuid PRIMARY KEY, at timestamptz, born date, m mood, j jsonb, tags text[], "
            "price numeric(12, 3), n numeric(9, 0), flag boolean, big numeric, ip inet, clock time, c char(5), r real)"
        )
        for i in range(6):
            connection.execute(
                "INSERT INTO events VALUES (gen_random_uuid(), %s, '1900-01-01', 'ok', '{\"a\": 1}', '{x,y}', 1.125, 7, "
                "true, 1e30, '10.0.0.1', '12:30', 'ab', 0.5)",
                (f"2020-06-0{i + 1} 01:30:00+02",),
            )
        connection.execute("INSERT INTO events (id, at) VALUES (gen_random_uuid(), 'infinity'), (gen_random_uuid(), NULL)")
    imported = new_dataset("kinds", postgresql_uri + "?schema=kinds", tmp_path, Wanted(times={"events": "at"}))
    assert any("events.at: 1 times outside" in note for note in imported.notes)
    assert any("events: 2 rows without a time" in note for note in imported.notes)
    rows = pq.read_table(imported.folder / "db" / "events.parquet").to_pylist()
    assert rows[0]["at"] == pd.Timestamp("2020-05-31 23:30:00"), "zones are normalised to UTC"
    first = {k: v for k, v in rows[0].items() if k not in ("id", "at")}
    assert first == {
        "born": pd.Timestamp("1900-01-01"), "m": "ok", "j": '{"a": 1}', "tags": ["x", "y"], "price": 1.125, "n": 7,
        "flag": True, "big": 1e30, "ip": "10.0.0.1/32", "clock": "12:30:00", "c": "ab", "r": 0.5,
    }  # fmt: skip


def files(where: Path) -> None:
    where.mkdir()
    rng = np.random.default_rng(0)
    users = pd.DataFrame({"user_id": [f"u{i:03}" for i in range(50)], "dob": pd.Timestamp("1980-02-03"), "zip": "00123"})
    orders = pd.DataFrame(
        {
            "order_no": np.arange(300) + 7000,
            "buyer_id": rng.choice(users["user_id"], 300),
            "user_id": rng.choice(users["user_id"], 300),
            "created_at": [day(i / 3) for i in range(300)],
            "updated_at": [day(i / 3 + 1) for i in range(300)],
        }
    )
    parts = pd.DataFrame({"order_no": np.repeat(orders["order_no"], 2), "line_no": np.tile([1, 2], 300), "qty": 3})
    orders.loc[5, "user_id"] = "gone"
    for name, frame in (("users", users), ("orders", orders), ("parts", parts)):
        frame.to_csv(where / f"{name}.csv", index=False)


def test_files_get_proposals_with_evidence(tmp_path: Path) -> None:
    files(tmp_path / "in")
    imported = new_dataset("shop", str(tmp_path / "in"), tmp_path, Wanted())
    text = (imported.folder / "manifest.yaml").read_text()
    tables = yaml.safe_load(text)["tables"]
    assert tables["users"] == {"pkey": "user_id", "time_col": None, "fkeys": {}}
    assert tables["orders"]["pkey"] == "order_no" and tables["orders"]["time_col"] == "created_at"
    assert tables["orders"]["fkeys"] == {"user_id": "users"}
    assert "#   buyer_id: users  # undecided: 100.0% of its" in text
    assert tables["parts"]["pkey"] is None and tables["parts"]["fkeys"] == {"order_no": "orders"}
    assert tables["parts"]["time_col"] == "created_at", "order lines take the time of their order"
    assert "# pkey: [order_no, line_no]  # undecided: 600 rows, all different in the two together" in text
    assert "# time_col: dob  # undecided" in text
    assert "# note: orders.user_id: 1 rows name a parent that is not there" in text
    assert pq.read_table(imported.folder / "db" / "users.parquet").column("zip")[0].as_py() == "00123"


def test_decisions_are_taken_up(tmp_path: Path) -> None:
    files(tmp_path / "in")
    first = new_dataset("shop", str(tmp_path / "in"), tmp_path, Wanted())
    path = first.folder / "manifest.yaml"
    edited = path.read_text().replace("    pkey: null\n    # pkey: [order_no, line_no]", "    pkey: [order_no, line_no]")
    path.write_text(edited.replace("description: Imported from files in in/.", "description: Mine."))
    (first.folder / "tasks" / "t").mkdir(parents=True)
    (first.folder / "tasks" / "t" / "manifest.yaml").write_text("name: t\n")
    again = new_dataset("shop", str(tmp_path / "in"), tmp_path, Wanted(again=True))
    manifest = yaml.safe_load(path.read_text())
    assert manifest["tables"]["parts"]["pkey"] == "parts_key" and manifest["description"] == "Mine."
    assert manifest["origin"]["keys"]["parts"] == ["order_no", "line_no"]
    keys = pq.read_table(again.folder / "keys" / "parts.parquet")
    assert keys.num_rows == 600 and keys.column_names == ["order_no", "line_no"]
    assert (again.folder / "tasks" / "t" / "manifest.yaml").is_file()
    third = new_dataset("shop", str(tmp_path / "in"), tmp_path, Wanted(again=True))
    assert pq.read_table(third.folder / "keys" / "parts.parquet").equals(keys)


def test_a_table_without_a_time_takes_its_parents(tmp_path: Path) -> None:
    files(tmp_path / "in")
    first = new_dataset("shop", str(tmp_path / "in"), tmp_path, Wanted())
    parts = pq.read_table(first.folder / "db" / "parts.parquet").to_pandas()
    orders = pq.read_table(first.folder / "db" / "orders.parquet").to_pandas()
    assert (parts["created_at"].to_numpy() == orders["created_at"].to_numpy()[parts["order_no"]]).all()
    assert parts["created_at"].is_monotonic_increasing
    again = new_dataset("shop", str(tmp_path / "in"), tmp_path, Wanted(again=True))
    assert pq.read_table(again.folder / "db" / "parts.parquet").to_pandas().equals(parts)
    static = new_dataset("other", str(tmp_path / "in"), tmp_path, Wanted(times={"parts": None}))
    assert static.written["parts"].spec.time_col is None


def test_yes_takes_what_is_likely(tmp_path: Path) -> None:
    files(tmp_path / "in")
    imported = new_dataset("shop", str(tmp_path / "in"), tmp_path, Wanted(take_all=True))
    tables = yaml.safe_load((imported.folder / "manifest.yaml").read_text())["tables"]
    assert tables["parts"]["pkey"] == "parts_key"
    assert tables["users"]["time_col"] is None, "a birthday is not when a row came to be"


def test_cut_points_leave_seventy_per_cent(tmp_path: Path) -> None:
    files(tmp_path / "in")
    imported = new_dataset("shop", str(tmp_path / "in"), tmp_path, Wanted(none_late=True))
    times = pq.read_table(imported.folder / "db" / "orders.parquet").column("created_at").to_pandas()
    cuts = imported.cuts
    assert cuts.val < cuts.test < times.max()
    assert (times < cuts.val).mean() >= 0.70
    assert cuts.horizon <= min(cuts.test - cuts.val, times.max() - cuts.test)


def test_times_without_a_zone_may_be_given_one(tmp_path: Path) -> None:
    files(tmp_path / "in")
    imported = new_dataset("shop", str(tmp_path / "in"), tmp_path, Wanted(zone="America/New_York"))
    times = pq.read_table(imported.folder / "db" / "orders.parquet").column("created_at")
    assert times[0].as_py() == pd.Timestamp(day(0) + datetime.timedelta(hours=5))


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("oracle://u:hunter2@h/x", "no source of the kind 'oracle'"),
        ("nowhere", "no folder nowhere"),
        ("sqlite:///nowhere.db", "no SQLite file"),
        ("duckdb:///nowhere.db", "no DuckDB file"),
        ("postgresql://u:hunter2@127.0.0.1:1/x?sslpassword=swordfish", "cannot be read"),
        ("mysql://u:hunter%402@127.0.0.1:1/x", "cannot be read"),
    ],
)
def test_errors_never_show_credentials(uri: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        new_dataset("x", uri, tmp_path, Wanted())
    message = str(caught.value)
    assert says in message
    assert "hunter" not in message and "swordfish" not in message
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    assert list(tmp_path.iterdir()) == []


def test_wrong_password_is_not_shown(postgresql_uri: str, mariadb_uri: str, tmp_path: Path) -> None:
    for uri in (postgresql_uri, mariadb_uri):
        wrong = uri.replace("s3cr3t%20p%40ss", "wr0ng%20p%40ss")
        with pytest.raises(InputError) as caught:
            new_dataset("x", wrong, tmp_path, Wanted())
        assert "wr0ng" not in str(caught.value)


def test_cleansing_knows_every_spelling() -> None:
    uri = "postgresql://me:a%2Fb%20c@host/db?password=x%2By"
    message = cleansed(f"{uri} a/b c a%2Fb%20c a%2Fb+c x+y x%2By", uri)
    assert not any(secret in message for secret in ("a/b", "a%2F", "x+y", "x%2B"))
    assert repr(open_source("postgresql://me:secret@h/db")) == "SqlSource(postgresql database db)"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "../x"}, "no name for a dataset"),
        ({"tables": ("userz",)}, "did you mean 'users'"),
        ({"times": {"orders": "creatd_at"}}, "did you mean 'created_at'"),
        ({"times": {"orders": "order_no"}}, "reads as no time"),
        ({"zone": "Mars/Olympus"}, "no time zone"),
    ],
)
def test_bad_wishes_are_named(change: dict[str, object], says: str, tmp_path: Path) -> None:
    files(tmp_path / "in")
    name = str(change.pop("name", "shop"))
    with pytest.raises(InputError, match=says):
        new_dataset(name, str(tmp_path / "in"), tmp_path / "out", Wanted(**change))  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_a_key_declared_twice_over_is_refused(tmp_path: Path) -> None:
    files(tmp_path / "in")
    first: Imported = new_dataset("shop", str(tmp_path / "in"), tmp_path, Wanted())
    path = first.folder / "manifest.yaml"
    before = path.read_text()
    path.write_text(before.replace("    pkey: null\n", "    pkey: line_no\n"))
    with pytest.raises(InputError, match=r"parts.line_no is not unique: 1 stands in 300 rows"):
        new_dataset("shop", str(tmp_path / "in"), tmp_path, Wanted(again=True))
    assert (first.folder / "db" / "parts.parquet").is_file(), "the dataset that was there stays"


def test_an_interrupted_import_leaves_nothing(tmp_path: Path) -> None:
    """The process is interrupted between batches, as Ctrl-C would."""
    path = tmp_path / "big.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE e (id INTEGER PRIMARY KEY, at TIMESTAMP)")
        connection.executemany("INSERT INTO e VALUES (?, ?)", ((i, day(i / 1000).isoformat(" ")) for i in range(300_000)))
    out = tmp_path / "out"
    script = (
        "import signal, sys, time\n"
        "from relbench_harness.authoring.new_dataset import *\n"
        # a shell starts background jobs with SIGINT ignored, and this test may run in one
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def slow(table, rows):\n    print(rows, flush=True); time.sleep(0.5)\n"
        f"new_dataset('x', 'sqlite:///{path}', Path({str(out)!r}), Wanted(), slow)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(os.environ)
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    assert list(out.iterdir()) == []


def test_an_empty_table_and_a_table_of_nulls(tmp_path: Path) -> None:
    where = tmp_path / "in"
    where.mkdir()
    pq.write_table(pa.table({"id": pa.array([], pa.int64()), "x": pa.array([], pa.null())}), where / "none.parquet")
    pq.write_table(
        pa.table({"id": range(30), "at": [day(i) for i in range(30)], "null": pa.nulls(30)}), where / "some.parquet"
    )
    imported = new_dataset("shop", str(where), tmp_path, Wanted())
    assert imported.written["none"].rows == 0
    assert set(open_dataset(str(imported.folder)).database) == {"none", "some"}
