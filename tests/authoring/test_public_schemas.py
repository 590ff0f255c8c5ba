"""Imports of small replicas of public schemas without declared keys: what their own names and habits say is found."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from relbench_harness.authoring.new_dataset import Imported, new_dataset
from relbench_harness.authoring.wanted import Wanted
from relbench_harness.errors import InputError

NULL = "\\N"


def tables(imported: Imported) -> dict[str, dict[str, object]]:
    return dict(yaml.safe_load((imported.folder / "manifest.yaml").read_text())["tables"])


def write(folder: Path, **frames: pd.DataFrame) -> str:
    folder.mkdir()
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    return str(folder)


def days(count: int) -> pd.Series:
    return pd.Series(pd.date_range("2018-01-01", periods=count, freq="5h").strftime("%Y-%m-%d %H:%M:%S"))


def test_columns_that_bear_a_prefix_of_their_table(tmp_path: Path) -> None:
    """TPC-H and TPC-DS: `o_custkey` names a row of `customer` by `c_custkey`."""
    path = tmp_path / "tpc.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE customer AS SELECT (i + 1)::BIGINT c_custkey, 'C' || i c_name, i % 7 c_size FROM range(200) t(i);"
            "CREATE TABLE orders AS SELECT i * 4 + 1 o_orderkey, (i * 37) % 200 + 1 o_custkey, DATE '1992-01-01' + i::INT o_orderdate "
            "FROM range(1500) t(i);"
            "CREATE TABLE item AS SELECT (i + 1)::INT i_item_sk, 'AAA' || i i_item_id FROM range(50) t(i);"
            "CREATE TABLE lineitem AS SELECT (i // 2) * 4 + 1 l_orderkey, i % 2 + 1 l_linenumber, 1 + i % 50 l_item_sk FROM range(3000) t(i)"
        )
    found = tables(new_dataset("x", f"duckdb:///{path}", tmp_path, Wanted()))
    assert {name: table["pkey"] for name, table in found.items()} == {
        "customer": "c_custkey", "orders": "o_orderkey", "item": "i_item_sk", "lineitem": None,
    }  # fmt: skip
    assert found["orders"]["fkeys"] == {"o_custkey": "customer"}
    assert found["lineitem"]["fkeys"] == {"l_orderkey": "orders", "l_item_sk": "item"}


def test_a_measure_is_no_key_and_what_others_name_is(tmp_path: Path) -> None:
    """Lahman's baseball: the salaries all differ; `playerID`, which other tables hold, is the key of people, not their row number."""
    rng = np.random.default_rng(0)
    players = [f"p{i:03}01" for i in range(120)]
    people = pd.DataFrame({"ID": range(1, 121), "playerID": players, "retroID": players, "finalGame": days(120)})
    paid = rng.permutation(np.arange(100_000, 100_900))
    salaries = pd.DataFrame({"yearID": 1985 + np.arange(900) % 30, "playerID": rng.choice(players, 900), "salary": paid})
    source = write(tmp_path / "lahman", People=people, Salaries=salaries)
    with pytest.raises(InputError, match=r"--time People=finalGame or --time Salaries=yearID:%Y"):
        new_dataset("x", source, tmp_path, Wanted())
    imported = new_dataset("x", source, tmp_path, Wanted(times={"Salaries": "yearID:%Y"}))
    found = tables(imported)
    assert found["People"]["pkey"] == "playerID" and found["Salaries"]["pkey"] is None
    assert found["Salaries"]["fkeys"] == {"playerID": "People"}
    written = pq.read_table(imported.folder / "db" / "Salaries.parquet")
    truth = sorted((pd.Timestamp(year, 1, 1), int(pay)) for year, pay in zip(salaries.yearID, salaries.salary, strict=True))
    assert sorted((row["yearID"], row["salary"]) for row in written.to_pylist()) == truth
    people_keys = pq.read_table(imported.folder / "keys" / "People.parquet")
    named = {row[people_keys.column_names[-1]] for row in people_keys.to_pylist()}
    assert named == set(players)


def test_tables_of_one_family_name(tmp_path: Path) -> None:
    """Olist: `order_id` is the key of payments, too, where each order has one; the table named after orders is the parent."""
    orders = [f"o{i * 7919 % 3001:05}" for i in range(600)]
    source = write(
        tmp_path / "olist",
        olist_orders_dataset=pd.DataFrame(
            {"order_id": orders, "order_purchase_timestamp": days(600), "order_approved_at": days(601)[1:].to_numpy(),
             "order_estimated_delivery_date": days(800)[200:].to_numpy()}
        ),
        olist_order_payments_dataset=pd.DataFrame({"order_id": orders, "payment_value": range(600)}),
        olist_order_items_dataset=pd.DataFrame({"order_id": [o for o in orders for _ in range(2)], "order_item_id": [1, 2] * 600}),
    )  # fmt: skip
    with pytest.raises(InputError, match=r"--time olist_orders_dataset=order_purchase_timestamp"):
        new_dataset("x", source, tmp_path, Wanted())
    imported = new_dataset("x", source, tmp_path, Wanted(take_all=True))
    found = tables(imported)
    assert found["olist_order_items_dataset"]["fkeys"] == {"order_id": "olist_orders_dataset"}
    assert found["olist_orders_dataset"]["time_col"] == "order_purchase_timestamp", "the likeliest precedes the others"


def test_the_time_that_a_row_was_made_at(tmp_path: Path) -> None:
    """Of several times the one that no other precedes is the row's, where its name says so; else it is the user's to say."""
    at = days(400)
    frame = {"review_id": range(400), "review_creation_date": at, "review_answer_timestamp": days(440)[40:].to_numpy()}
    found = tables(new_dataset("x", write(tmp_path / "a", reviews=pd.DataFrame(frame)), tmp_path, Wanted()))
    assert found["reviews"]["time_col"] == "review_creation_date"
    late = {"report_id": range(400), "created_at": days(440)[40:].to_numpy(), "accident_date": at}
    other = {"id": range(400), "at": at}
    source = write(tmp_path / "b", reports=pd.DataFrame(late), events=pd.DataFrame(other))
    imported = new_dataset("y", source, tmp_path, Wanted())
    assert tables(imported)["reports"]["time_col"] is None, "an accident is known when it is reported"
    assert next(p.columns[0] for p in imported.open if p.role == "time") == "accident_date"


def test_northwind_orders(tmp_path: Path) -> None:
    """The date that an order is required by is a plan, not a second time of the order."""
    frame = {"OrderID": range(500), "OrderDate": days(500), "RequiredDate": days(530)[30:].to_numpy()}
    found = tables(new_dataset("x", write(tmp_path / "n", Orders=pd.DataFrame(frame)), tmp_path, Wanted()))
    assert found["Orders"]["time_col"] == "OrderDate"


def test_six_digit_dates(tmp_path: Path) -> None:
    """Berka: 930101 is the first of January 1993, and 10203 the third of February 2001."""
    at = pd.date_range("1998-01-01", "2003-12-31", freq="3D")
    frame = pd.DataFrame({"loan_id": range(len(at)), "date": [int(t.strftime("%y%m%d")) for t in at], "amount": 1_000})
    path = tmp_path / "berka.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.register("frame", frame)
        connection.execute("CREATE TABLE loan AS SELECT * FROM frame")
    imported = new_dataset("x", f"duckdb:///{path}", tmp_path, Wanted())
    assert tables(imported)["loan"]["time_col"] == "date"
    assert pq.read_table(imported.folder / "db" / "loan.parquet")["date"].to_pylist() == list(at)
    assert "loan.date is read as times: %y%m%d" in imported.notes


def test_numbers_that_are_no_dates_stay(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": range(300), "at": days(300), "on": [100_000 + 997 * i % 800_000 for i in range(300)]})
    imported = new_dataset("x", write(tmp_path / "s", sales=frame), tmp_path, Wanted())
    assert tables(imported)["sales"]["time_col"] == "at"
    assert str(pq.read_schema(imported.folder / "db" / "sales.parquet").field("on").type) == "int64"


def test_a_dump_whose_quotation_marks_are_letters(tmp_path: Path) -> None:
    """IMDB: fields between tabs, `\\N` for what is missing, and titles that begin or hold a quotation mark."""
    folder = tmp_path / "imdb"
    folder.mkdir()
    titles = [f'"Q{i}' if i % 5 == 0 else f'T "{i}" x' if i % 5 == 1 else f"T{i}" for i in range(200)]
    lines = [
        f"tt{i:07}\t{title}\t{NULL if i % 4 == 0 else 1900 + i % 100}\t{NULL if i % 3 else 'Drama'}"
        for i, title in enumerate(titles)
    ]
    (folder / "basics.tsv").write_text("\n".join(["tconst\ttitle\tstartYear\tgenres", *lines]) + "\n")
    cast = [f"tt{i % 200:07}\t{i // 200}\t2020-01-{10 + i % 19}" for i in range(600)]
    (folder / "principals.tsv").write_text("\n".join(["tconst\tordering\tat", *cast]) + "\n")
    imported = new_dataset("x", str(folder), tmp_path, Wanted())
    assert any("basics.tsv: quotation marks are letters" in note for note in imported.notes)
    assert not any("principals.tsv: quotation" in note for note in imported.notes)
    assert tables(imported)["principals"]["fkeys"] == {"tconst": "basics"}
    rows = pq.read_table(imported.folder / "db" / "basics.parquet").to_pylist()
    assert sorted(row["title"] for row in rows) == sorted(titles)
    assert sum(row["startYear"] is None for row in rows) == 50 and all(isinstance(r["startYear"], int | None) for r in rows)
    assert sum(row["genres"] is None for row in rows) == sum(i % 3 != 0 for i in range(200))


def test_words_for_a_missing_value(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"id": range(300), "at": days(300), "score": ["NA" if i % 3 else str(i) for i in range(300)],
         "seen": ["NULL" if i % 4 else "2020-01-01" for i in range(300)], "land": ["NA" if i % 2 else "DE" for i in range(300)],
         "rate": ["N/A" if i % 5 else f"{i}%" for i in range(300)], "price": [f"${i * 10:,}.50" for i in range(300)],
         "code": ["-" if i % 2 else f"0{i}" for i in range(300)], "listed": ["101,102"] * 300}
    )  # fmt: skip
    imported = new_dataset("x", write(tmp_path / "s", sales=frame), tmp_path, Wanted(times={"sales": "at"}))
    schema = {f.name: str(f.type) for f in pq.read_schema(imported.folder / "db" / "sales.parquet")}
    assert schema == {
        "id": "int64", "at": "timestamp[ns]", "score": "int64", "seen": "timestamp[ns]", "land": "string", "rate": "double",
        "price": "double", "code": "string", "listed": "string",
    }  # fmt: skip
    rows = pq.read_table(imported.folder / "db" / "sales.parquet").to_pandas()
    assert rows.price.tolist() == [i * 10 + 0.5 for i in range(300)] and rows.rate.dropna().tolist() == list(
        range(0, 300, 5)
    )
    assert rows.score.isna().sum() == 200 and rows.seen.isna().sum() == 225
    assert sorted(rows.land.unique()) == ["DE", "NA"], "the code of Namibia is a text among texts"
    assert any("200 words for a missing value in 'score'" in note for note in imported.notes)


def test_a_row_that_names_its_parent(tmp_path: Path) -> None:
    """Stack Overflow: the `ParentId` of an answer is a question; `UpVotes` counts, and names no vote."""
    rng = np.random.default_rng(0)
    posts = pd.DataFrame(
        {"Id": range(1, 501), "ParentId": [None if i % 2 else int(rng.integers(1, i + 1)) for i in range(1, 501)], "CreationDate": days(500),
         "UpVotes": rng.integers(1, 40, 500)}
    )  # fmt: skip
    votes = pd.DataFrame({"Id": range(1, 801), "PostId": rng.integers(1, 501, 800), "CreationDate": days(800)})
    found = tables(new_dataset("x", write(tmp_path / "so", Posts=posts, Votes=votes), tmp_path, Wanted(take_all=True)))
    assert found["Posts"]["fkeys"] == {"ParentId": "Posts"} and found["Votes"]["fkeys"] == {"PostId": "Posts"}


def test_files_of_a_folder(tmp_path: Path) -> None:
    """Endings in any letter case, nested ones too; what is not read is named, and a link to nowhere is an error."""
    folder = tmp_path / "files"
    (folder / "parts" / "deep").mkdir(parents=True)
    frame = pd.DataFrame({"id": range(200), "at": days(200)})
    frame.to_csv(folder / "Größe & Co.v1.CSV", index=False, lineterminator="\r\n", encoding="utf-8-sig")
    frame.to_csv(folder / "parts" / "deep" / "ONE.CSV", index=False)
    frame.to_parquet(folder / "RAW.PARQUET")
    (folder / "notes.xlsx").write_text("x")
    imported = new_dataset("x", str(folder), tmp_path, Wanted())
    assert {name: table.rows for name, table in imported.written.items()} == {
        "Größe & Co.v1": 200,
        "parts": 200,
        "RAW": 200,
    }
    assert "1 file of other kinds than CSV and Parquet left out: notes.xlsx" in imported.notes
    (folder / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match=r"gone\.csv cannot be read"):
        new_dataset("y", str(folder), tmp_path, Wanted())
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "book.xlsx").write_text("x")
    with pytest.raises(InputError, match=r"holds neither CSV nor Parquet files; it holds book\.xlsx"):
        new_dataset("y", str(tmp_path / "none"), tmp_path, Wanted())


def test_sources_that_are_named_wrongly(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the source has no name"):
        new_dataset("x", "", tmp_path, Wanted())
    with pytest.raises(InputError, match="holds several @") as raised:
        new_dataset("x", "postgresql://shop:s3cr3t p@ss@127.0.0.1:1/shop", tmp_path, Wanted())
    assert "ss@" not in str(raised.value) and "s3cr3t" not in str(raised.value)
    duck, lite = tmp_path / "a.db", tmp_path / "b.db"
    with duckdb.connect(str(duck)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER)")
    with sqlite3.connect(lite) as other:
        other.execute("CREATE TABLE t (id INTEGER)")
    with pytest.raises(InputError, match=f"is a file of duckdb, not of sqlite; name it as duckdb:///{duck}"):
        new_dataset("x", f"sqlite:///{duck}", tmp_path, Wanted())
    with pytest.raises(InputError, match=f"is a file of sqlite, not of duckdb; name it as sqlite:///{lite}"):
        new_dataset("x", f"duckdb:///{lite}", tmp_path, Wanted())


def test_types_of_postgresql_in_a_rails_schema(postgresql_uri: str, tmp_path: Path) -> None:
    import psycopg

    with psycopg.connect(postgresql_uri, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS rails CASCADE; CREATE SCHEMA rails")
        connection.execute("CREATE EXTENSION IF NOT EXISTS citext")
        connection.execute("CREATE TYPE rails.state AS ENUM ('new', 'paid')")
        connection.execute(
            "CREATE TABLE rails.users (email citext PRIMARY KEY, created_at timestamp NOT NULL, prices numeric(10, 2)[], "
            "states rails.state[], tags citext[])"
        )
        connection.execute(
            "CREATE TABLE rails.visits (id serial PRIMARY KEY, email citext REFERENCES rails.users, created_at timestamp NOT NULL)"
        )
        connection.execute(
            "INSERT INTO rails.users SELECT 'U' || i, timestamp '2020-01-01' + i * interval '8 hours', ARRAY[1.5, 2.25], "
            "ARRAY['new']::rails.state[], ARRAY['X'] FROM generate_series(1, 40) i"
        )
        connection.execute(
            "INSERT INTO rails.visits (email, created_at) SELECT 'u' || 1 + i % 40, timestamp '2020-02-01' + i * interval '1 hour' "
            "FROM generate_series(1, 300) i"
        )
    imported = new_dataset("x", f"{postgresql_uri}?schema=rails", tmp_path, Wanted())
    users = pq.read_table(imported.folder / "db" / "users.parquet")
    assert {f.name: str(f.type) for f in users.schema}["prices"].startswith("list<element: double")
    assert users.to_pylist()[0] == {
        "email": 0, "created_at": pd.Timestamp("2020-01-01 08:00"), "prices": [1.5, 2.25], "states": ["new"], "tags": ["X"],
    }  # fmt: skip
    visits = pq.read_table(imported.folder / "db" / "visits.parquet")["email"].to_pylist()
    assert visits == [i % 40 for i in range(1, 301)], "citext takes u1 for U1"


def test_bits_years_and_times_of_mariadb(mariadb_uri: str, tmp_path: Path) -> None:
    import pymysql

    at = urlsplit(mariadb_uri)
    with (
        pymysql.connect(
            host=at.hostname, port=at.port or 0, user=at.username, password=unquote(at.password or ""), autocommit=True
        ) as connection,
        connection.cursor() as cursor,
    ):
        for statement in (
            "DROP DATABASE IF EXISTS hibernate",
            "CREATE DATABASE hibernate",
            "USE hibernate",
            "CREATE TABLE cars (id INT PRIMARY KEY, active BIT(1), flags BIT(8), wide BIT(64), built YEAR, took TIME(1), at DATETIME)",
            "INSERT INTO cars SELECT seq, b'0' + seq % 2, seq % 256, ~0, 2000 + seq % 20, IF(seq % 2, '-838:59:58.5', '26:00:01'), "
            "DATE_ADD('2020-01-01', INTERVAL seq HOUR) FROM seq_1_to_300",
        ):
            cursor.execute(statement)
    imported = new_dataset("x", mariadb_uri.rpartition("/")[0] + "/hibernate", tmp_path, Wanted())
    rows = pq.read_table(imported.folder / "db" / "cars.parquet").to_pylist()
    assert [row["active"] for row in rows] == [i % 2 == 1 for i in range(1, 301)]
    assert [row["flags"] for row in rows] == [i % 256 for i in range(1, 301)]
    assert [row["built"] for row in rows] == [2000 + i % 20 for i in range(1, 301)]
    assert {row["wide"] for row in rows} == {float(2**64 - 1)}
    assert {row["took"] for row in rows} == {"-838:59:58.500000", "26:00:01"}


def test_an_entity_is_called_as_a_table_may_be(tmp_path: Path) -> None:
    source = write(
        tmp_path / "s", sales=pd.DataFrame({"id": range(200), "at": days(200), "shop": [i % 9 for i in range(200)]})
    )
    for name, said in (
        ("a/b", "cannot be a file's"),
        ("timestamps", "cannot be called 'timestamps'"),
        ("Sales", "'Sales'"),
    ):
        with pytest.raises(InputError, match=said):
            new_dataset("x", source, tmp_path, Wanted(entities={name: ("sales.shop",)}))
    with pytest.raises(InputError, match="--time sales=at:%Q: the format cannot be used"):
        new_dataset("x", source, tmp_path, Wanted(times={"sales": "at:%Q"}))


def test_an_import_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    count = 400_000
    source = write(
        tmp_path / "big", rows=pd.DataFrame({"id": range(count), "at": "2020-01-01", "text": "some text of a row"})
    )
    command = [
        sys.executable,
        "-m",
        "relbench_harness.cli",
        "dataset",
        "new",
        "x",
        "--from",
        source,
        "--out",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out/.x-*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    assert process.wait(60) == 128 + signal.SIGTERM
    assert list((tmp_path / "out").iterdir()) == []
