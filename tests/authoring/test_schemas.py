"""Schemas, parts of tables, views, and the choice of tables, on real servers and files."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb
import pyarrow.parquet as pq
import pytest
import yaml

from relbench_harness.authoring.new_dataset import Imported, new_dataset
from relbench_harness.authoring.wanted import Wanted
from relbench_harness.errors import InputError


def tables(imported: Imported) -> dict[str, dict[str, object]]:
    return dict(yaml.safe_load((imported.folder / "manifest.yaml").read_text())["tables"])


def run(uri: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(uri, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


SHOP = (
    "DROP SCHEMA IF EXISTS sales CASCADE; DROP SCHEMA IF EXISTS person CASCADE; DROP SCHEMA IF EXISTS hidden CASCADE",
    "CREATE SCHEMA sales; CREATE SCHEMA person; CREATE SCHEMA hidden",
    'CREATE DOMAIN person."Name" AS varchar(50); CREATE DOMAIN person."Flag" AS boolean; CREATE DOMAIN person.year AS int',
    'CREATE TABLE person.people (id int PRIMARY KEY, name person."Name", active person."Flag", born person.year)',
    "CREATE TABLE person.address (id int PRIMARY KEY, person_id int REFERENCES person.people, city text)",
    "CREATE TABLE sales.address (id int PRIMARY KEY, shop text)",
    "CREATE TABLE sales.orders (id int PRIMARY KEY, person_id int REFERENCES person.people, "
    "ship_to int REFERENCES person.address, at timestamp)",
    "CREATE VIEW sales.big_orders AS SELECT * FROM sales.orders WHERE id > 10",
    "CREATE MATERIALIZED VIEW sales.per_day AS SELECT at::date AS day, count(*) AS n FROM sales.orders GROUP BY 1",
    "INSERT INTO person.people SELECT i, 'p' || i, i % 2 = 0, 1950 + i FROM generate_series(1, 30) i",
    "INSERT INTO person.address SELECT i, 1 + i % 30, 'c' FROM generate_series(1, 40) i",
    "INSERT INTO sales.address SELECT i, 's' FROM generate_series(1, 3) i",
    "INSERT INTO sales.orders SELECT i, 1 + i % 30, 1 + i % 40, '2020-01-01'::timestamp + i * interval '1 day' "
    "FROM generate_series(1, 100) i",
)


@pytest.fixture
def shop(postgresql_uri: str) -> str:
    """A database of its own, so that all its schemas are known."""
    run(postgresql_uri, "DROP DATABASE IF EXISTS shops", "CREATE DATABASE shops")
    uri = postgresql_uri.rpartition("/")[0] + "/shops"
    run(uri, *SHOP)
    return uri


def test_keys_across_schemas(shop: str, tmp_path: Path) -> None:
    imported = new_dataset("x", f"{shop}?schema=sales,person", tmp_path, Wanted())
    found = tables(imported)
    assert set(found) == {"people", "person_address", "sales_address", "orders"}, "a name that two schemas share has both"
    assert found["orders"]["fkeys"] == {"person_id": "people", "ship_to": "person_address"}
    assert found["person_address"]["fkeys"] == {"person_id": "people"}
    schema = {f.name: str(f.type) for f in pq.read_schema(imported.folder / "db" / "people.parquet")}
    assert schema == {"id": "int64", "name": "string", "active": "bool", "born": "int64"}, "a domain is what it is made of"
    notes = "\n".join(imported.notes)
    assert "1 view is left out (big_orders)" in notes and "1 materialised view is left out (per_day)" in notes
    alone = new_dataset("y", f"{shop}?schema=sales", tmp_path, Wanted())
    assert set(tables(alone)) == {"address", "orders"} and tables(alone)["orders"]["fkeys"] == {}


def test_without_a_schema_all_are_read(shop: str, tmp_path: Path) -> None:
    only = ("orders", "people", "person.address")
    imported = new_dataset("x", shop, tmp_path, Wanted(tables=only))
    assert set(tables(imported)) == {"orders", "people", "person_address"}
    again = new_dataset("x", shop, tmp_path, Wanted(again=True))
    assert tables(again) == tables(imported)


def test_tables_are_chosen_by_name(shop: str, tmp_path: Path) -> None:
    uri = f"{shop}?schema=sales,person"
    imported = new_dataset("x", uri, tmp_path, Wanted(exclude=("sales.address",)))
    assert set(tables(imported)) == {"people", "person_address", "orders"}
    view = new_dataset("y", uri, tmp_path, Wanted(tables=("orders", "big_orders", "per_day")))
    assert view.written["big_orders"].rows == 90 and view.written["per_day"].rows == 0
    for wanted, says in (
        (Wanted(exclude=("ordres",)), "has no table 'ordres'; did you mean 'orders'"),
        (Wanted(tables=("address",)), "several tables 'address'; name one of person.address, sales.address"),
        (Wanted(tables=("orders",), exclude=("orders",)), "no table of .* is left to import"),
        (Wanted(times={"ordres": "at"}), "no table 'ordres' is imported; did you mean 'orders'"),
        (Wanted(times={"orders": "att"}), "has no column 'att'; did you mean 'at'"),
    ):
        with pytest.raises(InputError, match=says):
            new_dataset("z", uri, tmp_path, wanted)


def test_an_unknown_schema_lists_the_others(shop: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no schema 'salse'; it has hidden, person, public, sales$"):
        new_dataset("x", f"{shop}?schema=person,salse", tmp_path, Wanted())
    with pytest.raises(InputError, match="has no tables in schema 'hidden'"):
        new_dataset("x", f"{shop}?schema=hidden", tmp_path, Wanted())


def test_parts_of_a_table_are_read_with_it(postgresql_uri: str, tmp_path: Path) -> None:
    run(
        postgresql_uri,
        "DROP SCHEMA IF EXISTS parts CASCADE; CREATE SCHEMA parts; SET search_path = parts",
        "CREATE TABLE parts.users (id int PRIMARY KEY)",
        "CREATE TABLE parts.events (id int, user_id int REFERENCES parts.users, at timestamp, PRIMARY KEY (id, at)) "
        "PARTITION BY RANGE (at)",
        "CREATE TABLE parts.events_2020 PARTITION OF parts.events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') "
        "PARTITION BY RANGE (at)",
        "CREATE TABLE parts.events_2020_h1 PARTITION OF parts.events_2020 FOR VALUES FROM ('2020-01-01') TO ('2020-07-01')",
        "CREATE TABLE parts.events_2020_h2 PARTITION OF parts.events_2020 FOR VALUES FROM ('2020-07-01') TO ('2021-01-01')",
        "CREATE TABLE parts.places (id int, name text)",
        "CREATE TABLE parts.cities (mayor text, PRIMARY KEY (id)) INHERITS (parts.places)",
        "CREATE TABLE parts.visits (id int PRIMARY KEY, city int REFERENCES parts.cities, at timestamp)",
        # children that declare what their parent cannot
        "CREATE TABLE parts.logs (id int, user_id int, at timestamp)",
        "CREATE TABLE parts.logs_a (FOREIGN KEY (user_id) REFERENCES parts.users) INHERITS (parts.logs)",
        "CREATE TABLE parts.logs_b (FOREIGN KEY (user_id) REFERENCES parts.users) INHERITS (parts.logs)",
        "INSERT INTO parts.users SELECT generate_series(1, 20)",
        "INSERT INTO parts.events SELECT i, 1 + i % 20, '2020-01-01'::timestamp + i * interval '1 day' FROM generate_series(1, 300) i",
        "INSERT INTO parts.cities SELECT i, 'n' || i, 'm' FROM generate_series(1, 10) i",
        "INSERT INTO parts.places VALUES (11, 'nowhere')",
        "INSERT INTO parts.visits SELECT i, 1 + i % 10, '2020-02-01'::timestamp + i * interval '1 day' FROM generate_series(1, 50) i",
        "INSERT INTO parts.logs_a SELECT i, 1 + i % 20, '2020-03-01'::timestamp + i * interval '1 day' FROM generate_series(1, 40) i",
        "INSERT INTO parts.logs_b SELECT i + 40, 1 + i % 20, '2020-03-01'::timestamp + i * interval '1 day' FROM generate_series(1, 40) i",
    )
    imported = new_dataset("x", f"{postgresql_uri}?schema=parts", tmp_path, Wanted())
    assert {n: t.rows for n, t in imported.written.items()} == {
        "users": 20,
        "events": 300,
        "places": 11,
        "visits": 50,
        "logs": 80,
    }
    found = tables(imported)
    assert found["events"]["fkeys"] == {"user_id": "users"} and found["events"]["time_col"] == "at"
    assert found["logs"]["fkeys"] == {"user_id": "users"}
    notes = "\n".join(imported.notes)
    assert (
        "parts.events is read with the 3 tables that are part of it (events_2020, events_2020_h1, events_2020_h2)" in notes
    )
    assert "the columns that only parts have are left out: cities.mayor" in notes
    assert found["visits"]["fkeys"] == {"city": "places"}, "a reference to a part is one to the whole"
    visits = pq.read_table(imported.folder / "db" / "visits.parquet")
    assert visits.column("city").null_count == 0


def test_what_may_not_be_read_is_left_out(postgresql_uri: str, tmp_path: Path) -> None:
    run(
        postgresql_uri,
        "DROP SCHEMA IF EXISTS guarded CASCADE; CREATE SCHEMA guarded",
        "CREATE TABLE guarded.open (id int PRIMARY KEY, at timestamp); CREATE TABLE guarded.closed (id int PRIMARY KEY)",
        "INSERT INTO guarded.open SELECT i, '2020-01-01'::timestamp + i * interval '1 day' FROM generate_series(1, 50) i",
        "DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN PASSWORD 'guest'; GRANT USAGE ON SCHEMA guarded TO guest",
        "GRANT SELECT ON guarded.open TO guest",
    )
    place = urlsplit(postgresql_uri)
    uri = f"postgresql://guest:guest@127.0.0.1:{place.port}{place.path}?schema=guarded"
    imported = new_dataset("x", uri, tmp_path, Wanted())
    assert set(tables(imported)) == {"open"}
    assert "guarded.closed may not be read by this user and is left out" in imported.notes


def test_databases_of_mariadb(mariadb_uri: str, tmp_path: Path) -> None:
    import pymysql

    url = urlsplit(mariadb_uri)
    with pymysql.connect(
        host=url.hostname, port=url.port or 0, user=url.username or "", password=unquote(url.password or ""), autocommit=True
    ) as connection, connection.cursor() as cursor:  # fmt: skip
        for statement in (
            "DROP DATABASE IF EXISTS crm", "DROP DATABASE IF EXISTS web", "CREATE DATABASE crm", "CREATE DATABASE web",
            "CREATE TABLE crm.people (id int PRIMARY KEY, name varchar(9))", "CREATE TABLE crm.notes (id int PRIMARY KEY)",
            "CREATE TABLE web.notes (id int PRIMARY KEY)",
            "CREATE TABLE web.clicks (id int PRIMARY KEY, person int, at datetime, FOREIGN KEY (person) REFERENCES crm.people (id))",
            "CREATE VIEW web.late AS SELECT * FROM web.clicks",
            "INSERT INTO crm.people VALUES (1, 'a'), (2, 'b')",
            "INSERT INTO web.clicks VALUES (1, 1, '2020-01-01'), (2, 2, '2020-01-02'), (3, 2, '2020-01-03'), (4, 1, '2020-01-04')",
        ):  # fmt: skip
            cursor.execute(statement)
    base = mariadb_uri.rpartition("/")[0]
    imported = new_dataset("x", f"{base}/web?schema=web,crm", tmp_path, Wanted(times={"clicks": "at"}))
    found = tables(imported)
    assert set(found) == {"people", "crm_notes", "web_notes", "clicks"}
    assert found["clicks"]["fkeys"] == {"person": "people"}
    alone = new_dataset("y", f"{base}/web", tmp_path, Wanted(times={"clicks": "at"}))
    assert set(tables(alone)) == {"notes", "clicks"}, "without ?schema= the database of the URI"
    with pytest.raises(InputError, match=r"has no schema 'crn'; it has .*crm"):
        new_dataset("z", f"{base}/web?schema=crn", tmp_path, Wanted())


def test_schemas_of_duckdb(tmp_path: Path) -> None:
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE SCHEMA sales; CREATE TABLE main.users (id INTEGER PRIMARY KEY);"
            "CREATE TABLE sales.users (id INTEGER PRIMARY KEY);"
            "CREATE TABLE sales.orders (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES sales.users (id), made TIMESTAMP);"
            "CREATE VIEW main.recent AS SELECT * FROM sales.orders; CREATE TABLE main.empty (id INTEGER, x VARCHAR);"
            "INSERT INTO main.users SELECT i FROM range(9) t(i); INSERT INTO sales.users SELECT i FROM range(5) t(i);"
            "INSERT INTO sales.orders SELECT i, i % 5, TIMESTAMP '2020-01-01' + to_days(i::INT) FROM range(50) t(i)"
        )
    path = path.rename(tmp_path / "sales.duckdb")  # called like one of its schemas
    imported = new_dataset("x", f"duckdb:///{path}", tmp_path, Wanted())
    found = tables(imported)
    assert set(found) == {"main_users", "sales_users", "orders", "empty"}
    assert found["orders"]["fkeys"] == {"user_id": "sales_users"} and imported.written["empty"].rows == 0
    assert any("1 view is left out (recent)" in note for note in imported.notes)
    alone = new_dataset("y", f"duckdb:///{path}?schema=sales", tmp_path, Wanted())
    assert set(tables(alone)) == {"users", "orders"}
    with pytest.raises(InputError, match="has no schema 'sale'; it has main, sales"):
        new_dataset("z", f"duckdb:///{path}?schema=sale", tmp_path, Wanted())


def test_sqlite_has_tables_that_are_its_own(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE posts (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT, at TIMESTAMP);"
            "CREATE VIRTUAL TABLE search USING fts5(body); CREATE VIEW latest AS SELECT * FROM posts;"
        )
        rows = [(f"text {i}", f"2020-01-{1 + i:02} 00:00:00") for i in range(28)]
        connection.executemany("INSERT INTO posts (body, at) VALUES (?, ?)", rows)
        connection.execute("INSERT INTO search SELECT body FROM posts")
    imported = new_dataset("x", f"sqlite:///{path}", tmp_path, Wanted())
    assert set(tables(imported)) == {"posts"}
    assert any("1 virtual table is left out (search)" in note for note in imported.notes)
    with pytest.raises(InputError, match="no schemas"):
        new_dataset("y", f"sqlite:///{path}?schema=x", tmp_path, Wanted())


@pytest.mark.thorough
def test_adventure_works_from_a_database_to_a_result(postgresql_uri: str, tmp_path: Path) -> None:
    import adventure_works
    from test_ways_in import harness

    run(postgresql_uri, *adventure_works.STATEMENTS)
    uri = f"{postgresql_uri}?schema={adventure_works.SCHEMAS}"
    done = harness(["dataset", "new", "aw", "--from", uri], tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "datasets" / "aw"
    found = yaml.safe_load((folder / "manifest.yaml").read_text())["tables"]
    keys = {(name, column, parent) for name, spec in found.items() for column, parent in spec["fkeys"].items()}
    assert keys == adventure_works.REFERENCES
    assert found["productcosthistory"]["time_col"] == "startdate", "a time in a key is a time"
    assert found["salesorderdetail"]["fkeys"] == {"salesorderid": "salesorderheader", "productid": "product"}
    for column in ("password.passwordhash", "password.passwordsalt", "employee.nationalidnumber", "creditcard.cardnumber"):
        assert f"{column} is named like a secret and left out" in done.stdout
    for arguments in (
        ["dataset", "check", "aw"],
        ["task", "new", "aw/buys", "PREDICT COUNT(salesorderheader.*, 0, 30, days) > 0 FOR EACH customer.customerid"],
        ["task", "new", "aw/sum", "PREDICT SUM(salesorderheader.subtotal, 0, 30, days) FOR EACH customer.customerid"],
        ["run", "task=aw/buys", "method=constant", "regime=rolling", "results_dir=results"],
        ["run", "task=aw/buys", "method=label_history", "regime=rolling", "results_dir=results"],
        ["run", "task=aw/sum", "method=label_history", "regime=rolling", "results_dir=results"],
        ["rank", "results"],
    ):
        done = harness(arguments, tmp_path)
        assert done.returncode == 0, (arguments, done.stdout[-1500:], done.stderr[-1500:])
        assert "Traceback" not in done.stderr
    before = {p.name: p.read_bytes() for p in folder.rglob("*.parquet") if p.parent.name in ("db", "keys")}
    done = harness(["dataset", "new", "aw", "--from", uri, "--again"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert {p.name: p.read_bytes() for p in folder.rglob("*.parquet") if p.parent.name in ("db", "keys")} == before
