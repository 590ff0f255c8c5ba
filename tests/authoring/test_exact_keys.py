"""Keys of any type name the same rows after an import as at the source: no digit is lost, and no row is doubled."""

from __future__ import annotations

import datetime
import decimal
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relbench_harness.authoring.new_dataset import Imported, Wanted, new_dataset
from relbench_harness.authoring.original_keys import write_predictions
from relbench_harness.data.dataset import open_dataset
from relbench_harness.errors import InputError

ORDERS, LINES = 60, 240
START = datetime.datetime(2020, 1, 1)

# beyond what a double tells apart: neighbours of 2**62, which float64 holds as one number
HUGE: Callable[[int], object] = lambda i: 2**62 + i  # noqa: E731
DECIMALS: Callable[[int], object] = lambda i: decimal.Decimal(10**19 + i)  # noqa: E731
UNSIGNED: Callable[[int], object] = lambda i: 2**63 + i  # noqa: E731
LONGEST: Callable[[int], object] = lambda i: 2**126 + i  # noqa: E731
FRACTIONS: Callable[[int], object] = lambda i: decimal.Decimal(10**17 + i) / 100  # noqa: E731
TEXTS: Callable[[int], object] = lambda i: "x" * 3000 + str(i)  # noqa: E731
UUIDS: Callable[[int], object] = lambda i: uuid.UUID(int=2**120 + i)  # noqa: E731
BYTES: Callable[[int], object] = lambda i: i.to_bytes(4, "big")  # noqa: E731

CASES = [
    ("duckdb", "HUGEINT", HUGE),
    ("duckdb", "HUGEINT", LONGEST),
    ("duckdb", "UHUGEINT", LONGEST),
    ("duckdb", "UBIGINT", UNSIGNED),
    ("duckdb", "DECIMAL(20,0)", DECIMALS),
    ("duckdb", "DECIMAL(38,2)", FRACTIONS),
    ("duckdb", "UUID", UUIDS),
    ("duckdb", "BLOB", BYTES),
    ("duckdb", "VARCHAR", TEXTS),
    ("sqlite", "INTEGER", HUGE),
    ("sqlite", "TEXT", TEXTS),
    ("sqlite", "BLOB", BYTES),
    ("postgresql", "numeric(20,0)", DECIMALS),
    ("postgresql", "numeric", DECIMALS),
    ("postgresql", "numeric(50,0)", LONGEST),
    ("postgresql", "numeric(22,2)", FRACTIONS),
    ("postgresql", "bigint", HUGE),
    ("postgresql", "uuid", UUIDS),
    ("postgresql", "bytea", BYTES),
    ("mariadb", "bigint unsigned", UNSIGNED),
    ("mariadb", "decimal(20,0)", DECIMALS),
    ("mariadb", "decimal(50,0)", LONGEST),
    ("mariadb", "decimal(22,2)", FRACTIONS),
    ("mariadb", "varbinary(8)", BYTES),
]


def statements(kind: str, time: str) -> list[str]:
    return [
        f"CREATE TABLE orders (code {kind} PRIMARY KEY, placed {time}, note {kind})",
        f"CREATE TABLE order_lines (id INTEGER PRIMARY KEY, code {kind}, qty INTEGER, FOREIGN KEY (code) REFERENCES orders (code))",
    ]


def fill(run: Callable[..., object], mark: str, value: Callable[[int], object], adapt: Callable[[object], object]) -> None:
    for i in range(ORDERS):
        row = (adapt(value(i)), (START + datetime.timedelta(days=i)).isoformat(" "), adapt(value(i)))
        run(f"INSERT INTO orders VALUES ({mark}, {mark}, {mark})", row)
    for i in range(LINES):
        run(f"INSERT INTO order_lines VALUES ({mark}, {mark}, {mark})", (i, adapt(value(i * 7 % ORDERS)), i))


def source(engine: str, kind: str, value: Callable[[int], object], where: Path, request: pytest.FixtureRequest) -> str:
    if engine == "duckdb":
        with duckdb.connect(str(where / "s.duckdb")) as connection:
            for statement in statements(kind, "TIMESTAMP"):
                connection.execute(statement)
            wide = kind in ("HUGEINT", "UHUGEINT")
            fill(connection.execute, "?", value, lambda v: str(v) if wide else v)
        return f"duckdb:///{where / 's.duckdb'}"
    if engine == "sqlite":
        with sqlite3.connect(where / "s.db") as opened:
            for statement in statements(kind, "TIMESTAMP"):
                opened.execute(statement)
            fill(opened.execute, "?", value, lambda v: v)
        return f"sqlite:///{where / 's.db'}"
    if engine == "postgresql":
        import psycopg

        uri = str(request.getfixturevalue("postgresql_uri"))
        with psycopg.connect(uri, autocommit=True) as server:
            server.execute("DROP SCHEMA IF EXISTS exact CASCADE; CREATE SCHEMA exact; SET search_path = exact")
            for statement in statements(kind, "timestamp"):
                server.execute(statement)
            fill(server.execute, "%s", value, lambda v: v)
        return uri + "?schema=exact"
    import pymysql

    uri = str(request.getfixturevalue("mariadb_uri"))
    url = urlsplit(uri)
    with pymysql.connect(
        host=url.hostname, port=url.port or 0, user=url.username or "", password=unquote(url.password or "")
    ) as my, my.cursor() as cursor:  # fmt: skip
        cursor.execute("DROP DATABASE IF EXISTS exact")
        cursor.execute("CREATE DATABASE exact")
        cursor.execute("USE exact")
        for statement in statements(kind, "DATETIME"):
            cursor.execute(statement)
        fill(cursor.execute, "%s", value, lambda v: v)
        my.commit()
    return uri.rpartition("/")[0] + "/exact"


@pytest.mark.parametrize(("engine", "kind", "value"), CASES, ids=[f"{e} {k} {i}" for i, (e, k, _) in enumerate(CASES)])
def test_every_line_names_its_order(
    engine: str, kind: str, value: Callable[[int], object], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    imported = new_dataset("shop", source(engine, kind, value, tmp_path, request), tmp_path / "out", Wanted())
    assert imported.written["orders"].rows == ORDERS and imported.written["order_lines"].rows == LINES
    assert imported.written["order_lines"].dangling == {}
    lines = pq.read_table(imported.folder / "db" / "order_lines.parquet").to_pylist()
    assert sorted(line["qty"] for line in lines) == list(range(LINES))
    assert all(line["code"] == line["qty"] * 7 % ORDERS for line in lines), "orders lie in the order of time"
    keys = pq.read_table(imported.folder / "keys" / "orders.parquet").column("code").to_pylist()
    plain = decimal.Decimal if isinstance(value(0), int | decimal.Decimal) else str
    assert [plain(k) for k in keys] == [plain(value(i)) for i in range(ORDERS)]
    database = open_dataset(str(imported.folder)).database
    note = database["orders"].rows.column("note").type
    numbers = isinstance(value(0), int | decimal.Decimal)
    assert not numbers or pa.types.is_float64(note) or pa.types.is_int64(note), "an attribute is a number that models read"


def test_texts_that_a_collation_takes_for_one(tmp_path: Path, mariadb_uri: str) -> None:
    """MariaDB lets 'A1 ' and 'a1' name the parent 'A1'; so does the import."""
    import pymysql

    url = urlsplit(mariadb_uri)
    with pymysql.connect(
        host=url.hostname, port=url.port or 0, user=url.username or "", password=unquote(url.password or "")
    ) as my, my.cursor() as cursor:  # fmt: skip
        cursor.execute("DROP DATABASE IF EXISTS letters")
        cursor.execute("CREATE DATABASE letters CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
        cursor.execute("USE letters")
        cursor.execute("CREATE TABLE shops (country VARCHAR(9), code VARCHAR(9), PRIMARY KEY (country, code))")
        cursor.execute("CREATE TABLE products (sku VARCHAR(9) PRIMARY KEY, name VARCHAR(9))")
        cursor.execute(
            "CREATE TABLE sales (id INT PRIMARY KEY, sku VARCHAR(9), country VARCHAR(9), code VARCHAR(9), sold DATETIME, "
            "FOREIGN KEY (sku) REFERENCES products (sku), FOREIGN KEY (country, code) REFERENCES shops (country, code))"
        )
        cursor.executemany("INSERT INTO products VALUES (%s, %s)", [(f"A{i}", f"n{i}") for i in range(9)])
        cursor.executemany("INSERT INTO shops VALUES (%s, %s)", [("GB", "X"), ("FR", "\u00c9")])
        for i in range(90):
            sku = (f"A{i % 9}", f"a{i % 9}", f"a{i % 9} ", None)[i % 4]
            cursor.execute(
                "INSERT INTO sales VALUES (%s, %s, %s, %s, %s)",
                (i, sku, ("gb", "Fr")[i % 2], ("x", "e")[i % 2], START + datetime.timedelta(days=i)),
            )
        my.commit()
    imported = new_dataset("t", mariadb_uri.rpartition("/")[0] + "/letters", tmp_path, Wanted())
    assert imported.written["sales"].dangling == {} and imported.written["sales"].rows == 90
    sales = pq.read_table(imported.folder / "db" / "sales.parquet").to_pylist()
    products = pq.read_table(imported.folder / "db" / "products.parquet").column("name").to_pylist()
    shops = pq.read_table(imported.folder / "keys" / "shops.parquet").to_pylist()
    for sale in sales:
        assert sale["sku"] is None if sale["id"] % 4 == 3 else products[sale["sku"]] == f"n{sale['id'] % 9}"
        assert shops[sale["country_code"]]["country"] == ("GB", "FR")[sale["id"] % 2]


def test_an_undeclared_key_of_large_numbers(tmp_path: Path, postgresql_uri: str) -> None:
    """Nobody declares a key here: names and values propose it."""
    import psycopg

    with psycopg.connect(postgresql_uri, autocommit=True) as server:
        server.execute("DROP SCHEMA IF EXISTS plain CASCADE; CREATE SCHEMA plain; SET search_path = plain")
        server.execute("CREATE TABLE orders (order_id numeric, placed timestamp)")
        server.execute("CREATE TABLE lines (order_id numeric(30,0), qty int)")
        server.execute(
            "INSERT INTO orders SELECT 10::numeric ^ 19 + i, '2020-01-01'::timestamp + i * interval '1 day' FROM generate_series(0, 59) i"
        )
        server.execute("INSERT INTO lines SELECT 10::numeric ^ 19 + i % 60, i FROM generate_series(0, 239) i")
    imported = new_dataset("plain", postgresql_uri + "?schema=plain", tmp_path, Wanted())
    assert imported.written["orders"].spec.pkey == "order_id"
    assert imported.written["lines"].spec.fkeys == {"order_id": "orders"}
    lines = pq.read_table(imported.folder / "db" / "lines.parquet").to_pandas()
    assert (lines["order_id"] == lines["qty"] % 60).all() and len(lines) == 240


@pytest.mark.parametrize("key", [np.arange(800), [str(i) for i in range(800)], [decimal.Decimal(i) for i in range(800)]])
def test_floats_that_stand_for_integers_name_their_parents(key: object, tmp_path: Path) -> None:
    """What pandas writes for a nullable integer column; one is missing, one names nobody, one is no integer."""
    where = tmp_path / "in"
    where.mkdir()
    orders = pd.DataFrame({"order_id": key, "placed": [START + datetime.timedelta(hours=i) for i in range(800)]})
    numbers = np.arange(803, dtype=np.float64)
    numbers[800:] = (np.nan, 5000.0, 1.5)
    pq.write_table(pa.Table.from_pandas(orders), where / "orders.parquet")
    pq.write_table(pa.table({"order_id": numbers, "qty": np.arange(803)}), where / "lines.parquet")
    imported = new_dataset("shop", str(where), tmp_path, Wanted(times={"lines": None}))
    assert imported.written["lines"].spec.fkeys == {"order_id": "orders"}
    assert imported.written["lines"].dangling == {"order_id": 2}
    lines = pq.read_table(imported.folder / "db" / "lines.parquet").to_pandas()
    known = lines["order_id"].notna()
    assert known.sum() == 800 and (lines["order_id"] == lines["qty"])[known].all()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("a", "2020-01-01"), (None, "2020-01-02"), ("b", "2020-03-01")], "the key t.id is missing in 1 rows"),
        ([("a", "2020-01-01"), ("a", "2020-01-02"), ("b", "2020-03-01")], "the key t.id is not unique: a stands in 2 rows"),
    ],
)
def test_a_declared_key_is_checked(rows: list[tuple[str | None, str]], says: str, tmp_path: Path) -> None:
    """SQLite lets a declared text key be null; a file whose unique index is gone holds a key twice."""
    path = tmp_path / "s.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (id TEXT, at TIMESTAMP)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = 'CREATE TABLE t (id TEXT, at TIMESTAMP, PRIMARY KEY (id))' WHERE name = 't'"
        )
    connection.close()
    with pytest.raises(InputError, match=says):
        new_dataset("t", f"sqlite:///{path}", tmp_path / "out", Wanted())
    assert list((tmp_path / "out").iterdir()) == []


def test_a_time_that_is_part_of_a_key_stays(tmp_path: Path) -> None:
    """Prices by (product, valid_from), as text in SQLite; discounts refer to both columns."""
    path = tmp_path / "s.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT);"
            "CREATE TABLE prices (product INTEGER REFERENCES products (id), valid_from TEXT, price REAL, PRIMARY KEY (product, valid_from));"
            "CREATE TABLE discounts (id INTEGER PRIMARY KEY, product INTEGER, valid_from TEXT, given_at TIMESTAMP, share REAL,"
            " FOREIGN KEY (product, valid_from) REFERENCES prices (product, valid_from));"
        )
        connection.executemany("INSERT INTO products VALUES (?, ?)", [(i, f"p{i}") for i in range(5)])
        days = [(START + datetime.timedelta(days=10 * i)).date().isoformat() for i in range(20)]
        prices = [(p, d, p + i / 100) for i, d in enumerate(days) for p in range(5)]
        connection.executemany("INSERT INTO prices VALUES (?, ?, ?)", prices)
        connection.executemany(
            "INSERT INTO discounts VALUES (?, ?, ?, ?, ?)",
            [(i, p, d, f"{d} 10:00:00", price) for i, (p, d, price) in enumerate(prices)],
        )
    connection.close()
    imported = new_dataset("t", f"sqlite:///{path}", tmp_path / "out", Wanted(times={"prices": "valid_from"}))
    spec = imported.written["prices"].spec
    assert (spec.pkey, spec.time_col, spec.fkeys) == ("prices_key", "valid_from", {"product": "products"})
    rows = pq.read_table(imported.folder / "db" / "prices.parquet").to_pandas()
    assert rows["valid_from"].is_monotonic_increasing and rows["valid_from"].iloc[-1] == pd.Timestamp(days[-1])
    discounts = pq.read_table(imported.folder / "db" / "discounts.parquet").to_pandas()
    assert (rows["price"].to_numpy()[discounts["product_valid_from"]] == discounts["share"].to_numpy()).all()
    keys = pq.read_table(imported.folder / "keys" / "prices.parquet").to_pydict()
    assert keys["valid_from"][:5] == [days[0]] * 5, "the key is kept as the source wrote it"
    assert open_dataset(str(imported.folder)).database["prices"].time == "valid_from"


def test_a_time_that_is_the_key_or_names_a_parent_stays(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "s.duckdb")) as connection:
        connection.execute("CREATE TABLE days (day DATE PRIMARY KEY, holiday BOOLEAN)")
        connection.execute("CREATE TABLE visits (id INTEGER PRIMARY KEY, day DATE REFERENCES days (day), guests INTEGER)")
        connection.execute("INSERT INTO days SELECT DATE '2020-01-01' + i::INT, i % 7 = 0 FROM range(50) t(i)")
        connection.execute("INSERT INTO visits SELECT i, DATE '2020-01-01' + (i // 4)::INT, i FROM range(200) t(i)")
    wanted = Wanted(times={"days": "day", "visits": "day"})
    imported = new_dataset("t", f"duckdb:///{tmp_path / 's.duckdb'}", tmp_path / "out", wanted)
    assert imported.written["days"].spec.to_dict() == {"pkey": "days_key", "time_col": "day", "fkeys": {}}
    assert imported.written["visits"].spec.to_dict() == {"pkey": "id", "time_col": "day", "fkeys": {"day_key": "days"}}
    visits = pq.read_table(imported.folder / "db" / "visits.parquet").to_pandas()
    assert (visits["day_key"] == visits["guests"] // 4).all()
    again = new_dataset("t", f"duckdb:///{tmp_path / 's.duckdb'}", tmp_path / "out", Wanted(again=True))
    assert pq.read_table(again.folder / "db" / "visits.parquet").to_pandas().equals(visits)


@pytest.mark.parametrize("kind", ["DATE", "TIMESTAMP"])
def test_dates_that_no_timestamp_holds_are_keys_all_the_same(kind: str, tmp_path: Path) -> None:
    """A calendar with a row for 'never', as data warehouses have it; prices are valid until then."""
    with duckdb.connect(str(tmp_path / "s.duckdb")) as connection:
        connection.execute(f"CREATE TABLE days (valid_day {kind} PRIMARY KEY, label VARCHAR)")
        connection.execute(
            f"CREATE TABLE prices (id INTEGER PRIMARY KEY, made TIMESTAMP, until {kind} REFERENCES days (valid_day))"
        )
        connection.execute("INSERT INTO days SELECT DATE '2020-01-01' + i::INT, 'd' || i FROM range(50) t(i)")
        connection.execute("INSERT INTO days VALUES ('9999-12-31', 'never'), ('0001-01-01', 'always')")
        connection.execute(
            "INSERT INTO prices SELECT i, TIMESTAMP '2020-01-01' + i * INTERVAL 1 HOUR, DATE '2020-01-01' + i::INT FROM range(50) t(i)"
        )
        connection.execute(
            "INSERT INTO prices SELECT i, TIMESTAMP '2020-02-01' + i * INTERVAL 1 HOUR, '9999-12-31' FROM range(50, 100) t(i)"
        )
    uri = f"duckdb:///{tmp_path / 's.duckdb'}"
    folder = new_dataset("t", uri, tmp_path / "out", Wanted(times={"days": None, "prices": "made"})).folder
    days = pq.read_table(folder / "db" / "days.parquet").column("label").to_pylist()
    prices = pq.read_table(folder / "db" / "prices.parquet").to_pandas()
    assert [days[int(d)] for d in prices["until"]] == [f"d{i}" for i in range(50)] + ["never"] * 50
    keys = pq.read_table(folder / "keys" / "days.parquet").column("valid_day").to_pylist()
    assert keys[0].year == 1 and keys[-1] == datetime.datetime(9999, 12, 31) and len(keys) == 52


def test_embeddings_stay_lists_of_floats(tmp_path: Path) -> None:
    from relbench_harness.data.stypes import infer

    where = tmp_path / "in"
    where.mkdir()
    vectors = [[float(i), 0.5, -1.0] if i % 10 else None for i in range(60)]
    times = [START + datetime.timedelta(days=i) for i in range(60)]
    fixed = pa.array(vectors, pa.list_(pa.float32(), 3))
    exact = pa.array([None if v is None else [decimal.Decimal(i), decimal.Decimal(1)] for i, v in enumerate(vectors)])
    tables = {
        "id": range(60),
        "seen": times,
        "fixed": fixed,
        "large": fixed.cast(pa.large_list(pa.float32())),
        "exact": exact,
    }
    pq.write_table(pa.table(tables), where / "items.parquet")
    with duckdb.connect(str(tmp_path / "s.duckdb")) as connection:
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, seen TIMESTAMP, fixed FLOAT[3])")
        connection.executemany("INSERT INTO items VALUES (?, ?, ?)", [(i, times[i], vectors[i]) for i in range(60)])
    for name, uri in (("files", str(where)), ("duck", f"duckdb:///{tmp_path / 's.duckdb'}")):
        imported: Imported = new_dataset(name, uri, tmp_path / "out", Wanted(times={"items": "seen"}))
        rows = open_dataset(str(imported.folder)).database["items"].rows
        for column in set(rows.column_names) & {"fixed", "large", "exact"}:
            assert pa.types.is_list(rows.column(column).type) and pa.types.is_floating(rows.column(column).type.value_type)
            assert infer(column, rows.column(column)) == "embedding"
        assert rows.column("fixed").to_pylist() == vectors


def test_keys_of_any_type_are_written_as_csv(tmp_path: Path) -> None:
    large = pa.array([decimal.Decimal(10**19), decimal.Decimal(5)], pa.decimal128(38, 0))
    whole = pa.array([2**63, 1], pa.uint64())
    write_predictions(
        pa.table({"a": large, "b": [b"\xff\x00", None], "c": whole, "prediction": [[b"\x01", b"\x02"], None]}),
        tmp_path / "x.csv",
    )
    read = (tmp_path / "x.csv").read_text().split("\n")
    assert read[1:3] == ['10000000000000000000,"ff00",9223372036854775808,"01 02"', "5,,1,"]
