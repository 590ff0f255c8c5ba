"""Importing again: the manifest holds every decision, so the same source gives the same bytes, and nothing stored is lost."""

from __future__ import annotations

import datetime
import sqlite3
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from relbench_harness.authoring.new_dataset import Imported, Wanted, new_dataset
from relbench_harness.authoring.new_task import new_task
from relbench_harness.cli import main
from relbench_harness.errors import InputError

START = datetime.datetime(2020, 1, 1)
SCHEMA = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT UNIQUE, joined TEXT);
CREATE TABLE shops (country TEXT, no INTEGER, opened TEXT, PRIMARY KEY (country, no));
CREATE TABLE orders (code TEXT PRIMARY KEY, buyer TEXT REFERENCES customers (email), country TEXT, shop INTEGER,
    placed_at TEXT, shipped TEXT, total REAL, FOREIGN KEY (country, shop) REFERENCES shops (country, no));
CREATE TABLE lines ("order" TEXT REFERENCES orders (code), line INTEGER, amount REAL, PRIMARY KEY ("order", line));
CREATE TABLE logs (at TEXT, note TEXT);
"""


def shop(path: Path) -> str:
    """A key to a unique column that is no primary key, keys of several columns, inherited and text times, a nullable unique."""
    rng = np.random.default_rng(1)
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA)
        people = [(i, f"p{i}@x" if i < 38 else None, str(START - datetime.timedelta(days=i))) for i in range(40)]
        connection.executemany("INSERT INTO customers VALUES (?, ?, ?)", people)
        connection.executemany("INSERT INTO shops VALUES (?, ?, ?)", [("GB", i, "2000-01-01 00:00") for i in range(3)])
        for i in range(300):
            at = START + datetime.timedelta(hours=13 * i)
            row = (f"o{i}", f"p{rng.integers(38)}@x", "GB", int(rng.integers(3)), str(at), str(at), float(i))
            connection.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        connection.executemany("INSERT INTO lines VALUES (?, ?, ?)", [(f"o{i // 2}", i % 2, float(i)) for i in range(600)])
        connection.executemany("INSERT INTO logs VALUES (?, ?)", [("2020-01-01 00:00:00", "x")] * 5)
    connection.close()
    return f"sqlite:///{path}"


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


WANTED = [
    Wanted(times={"customers": None, "shops": None}),
    Wanted(times={"customers": "joined", "orders": "shipped", "lines": None}, zone="America/New_York"),
    Wanted(take_all=True),
    Wanted(tables=("customers", "orders"), times={"orders": "placed_at"}),
]


@pytest.mark.parametrize("wanted", WANTED, ids=["declared", "times and zone", "yes", "tables"])
@pytest.mark.parametrize("kind", ["sqlite", "duckdb", "files"])
def test_the_same_bytes_again_and_again(wanted: Wanted, kind: str, tmp_path: Path) -> None:
    uri = shop(tmp_path / "s.db")
    if kind == "duckdb":
        with duckdb.connect(str(tmp_path / "s.duckdb")) as connection:
            for statement in filter(str.strip, SCHEMA.split(";")):
                connection.execute(statement.replace("REAL", "DOUBLE").replace("at TEXT, note", '"at" TEXT, note'))
            with sqlite3.connect(tmp_path / "s.db") as opened:
                for table in ("customers", "shops", "orders", "lines", "logs"):
                    frame = pd.read_sql(f"SELECT * FROM {table}", opened)
                    connection.execute(f"INSERT INTO {table} SELECT * FROM frame")
        uri = f"duckdb:///{tmp_path / 's.duckdb'}"
    elif kind == "files":
        (tmp_path / "in").mkdir()
        with sqlite3.connect(tmp_path / "s.db") as opened:
            for table in ("customers", "shops", "orders", "lines", "logs"):
                frame = pd.read_sql(f"SELECT * FROM {table}", opened)
                pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "in" / f"{table}.parquet")
        uri = str(tmp_path / "in")
    folder = new_dataset("shop", uri, tmp_path / "out", wanted).folder
    first = files(folder)
    for _ in range(2):
        new_dataset("shop", uri, tmp_path / "out", Wanted(again=True))
        again = files(folder)
        assert again["manifest.yaml"].decode() == first["manifest.yaml"].decode()
        assert again == first


def test_what_the_keys_were(tmp_path: Path) -> None:
    """The first import is right, so that repeating it means something."""
    imported = new_dataset("shop", shop(tmp_path / "s.db"), tmp_path / "out", WANTED[0])
    assert imported.written["orders"].spec.fkeys == {"buyer": "customers", "country_shop": "shops"}
    manifest = yaml.safe_load((imported.folder / "manifest.yaml").read_text())
    assert manifest["origin"]["references"] == {
        "orders": {
            "buyer": {"parent": "customers", "parent_columns": ["email"]},
            "country_shop": {"columns": ["country", "shop"]},
        }
    }
    assert manifest["origin"]["times"] == {"lines": "order"}
    orders = pq.read_table(imported.folder / "db" / "orders.parquet").to_pandas()
    assert orders["buyer"].notna().all() and orders["country_shop"].notna().all()


def test_edits_go_before_what_was_recorded(tmp_path: Path) -> None:
    """Each key of the manifest may be edited, also where `origin` remembers another."""
    uri = shop(tmp_path / "s.db")
    folder = new_dataset("shop", uri, tmp_path / "out", WANTED[0]).folder
    path = folder / "manifest.yaml"
    manifest = yaml.safe_load(path.read_text())
    tables = manifest["tables"]
    del tables["logs"]
    tables["lines"].update(pkey=None, time_col=None)
    tables["orders"]["time_col"] = "shipped"
    tables["orders"]["fkeys"] = {"country_shop": "shops"}
    tables["customers"]["pkey"] = None
    tables["customers"]["stypes"] = {"joined": "timestamp"}
    manifest["known"] = {"growing": {"customers": "as it should"}}
    manifest["val_timestamp"], manifest["test_timestamp"] = "2020-04-01T00:00:00+02:00", "2020-05-01"
    path.write_text(yaml.safe_dump(manifest))
    (folder / "README.md").write_text("mine")
    (folder / "checks").mkdir()
    (folder / "checks" / "x.html").write_text("page")
    again = new_dataset("shop", uri, tmp_path / "out", Wanted(again=True))
    found = yaml.safe_load(path.read_text())
    assert set(found["tables"]) == {"customers", "shops", "orders", "lines"}
    assert any("table logs" in note and "left out" in note for note in again.notes)
    assert found["tables"]["lines"] == {"pkey": None, "time_col": None, "fkeys": {"order": "orders"}}
    assert found["tables"]["orders"] == {"pkey": "code", "time_col": "shipped", "fkeys": {"country_shop": "shops"}}
    assert (
        found["tables"]["customers"]["stypes"] == {"joined": "timestamp"} and found["tables"]["customers"]["pkey"] is None
    )
    assert found["known"] == manifest["known"]
    assert (again.cuts.val, again.cuts.test) == (pd.Timestamp("2020-03-31 22:00"), pd.Timestamp("2020-05-01"))
    assert (folder / "README.md").read_text() == "mine" and (folder / "checks" / "x.html").is_file()
    times = pq.read_table(folder / "db" / "orders.parquet").column("shipped").to_pandas()
    assert again.cuts.before == pytest.approx((times < again.cuts.val).mean()), "figures are those of these cut points"
    assert again.cuts.horizon == pd.Timedelta(days=30)
    first = files(folder)
    new_dataset("shop", uri, tmp_path / "out", Wanted(again=True))
    assert files(folder) == first


def test_the_command_line_goes_before_the_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = shop(tmp_path / "s.db")
    command = ["dataset", "new", "shop", "--from", uri, "--out", str(tmp_path / "out")]
    assert main([*command, "--time", "shops=none", "--time", "customers=none", "--timezone", "Asia/Tokyo"]) == 0
    path = tmp_path / "out" / "shop" / "manifest.yaml"
    manifest = yaml.safe_load(path.read_text())
    assert manifest["origin"]["choices"] == {"times": {"shops": None, "customers": None}, "zone": "Asia/Tokyo"}
    first = pq.read_table(tmp_path / "out" / "shop" / "db" / "orders.parquet").column("placed_at")[0].as_py()
    assert first == pd.Timestamp("2019-12-31 15:00")
    again = [*command, "--again", "--time", "orders=shipped", "--time", "lines=none", "--timezone", "UTC"]
    assert main(again) == 0
    manifest = yaml.safe_load(path.read_text())
    assert manifest["tables"]["orders"]["time_col"] == "shipped" and manifest["tables"]["lines"]["time_col"] is None
    assert manifest["origin"]["choices"]["zone"] == "UTC" and "times" not in manifest["origin"]
    first = pq.read_table(tmp_path / "out" / "shop" / "db" / "orders.parquet").column("shipped")[0].as_py()
    assert first == pd.Timestamp("2020-01-01")
    before = files(tmp_path / "out" / "shop")
    assert main([*command, "--again"]) == 0
    assert files(tmp_path / "out" / "shop") == before
    out = capsys.readouterr().out
    assert f"validation from {manifest['val_timestamp']}" in out


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (
            {"lines": None, "gone": {"pkey": None, "time_col": None, "fkeys": {}}},
            "declares table 'gone', which the source lacks",
        ),
        ({"lines": {"pkey": "amuont"}}, "table 'lines' has no column 'amuont'; did you mean 'amount'"),
        ({"lines": {"time_col": "amount"}}, "lines.amount is double and reads as no time"),
        ({"lines": {"fkeys": {"order": "ordres"}}}, "which is not imported; did you mean 'orders'"),
        ({"lines": ["order"]}, "the manifest's entry of table 'lines' is no mapping"),
    ],
)
def test_bad_edits_are_named(edit: dict[str, object], says: str, tmp_path: Path) -> None:
    uri = shop(tmp_path / "s.db")
    folder = new_dataset("shop", uri, tmp_path / "out", WANTED[0]).folder
    manifest = yaml.safe_load((folder / "manifest.yaml").read_text())
    manifest["tables"].update(edit)
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    before = files(folder)
    with pytest.raises(InputError) as caught:
        new_dataset("shop", uri, tmp_path / "out", Wanted(again=True))
    assert says in str(caught.value)
    assert files(folder) == before and [p.name for p in (tmp_path / "out").iterdir()] == ["shop"]


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"zoen": "UTC"}, "origin.choices has no option 'zoen'; did you mean 'zone'"),
        ({"tables": "orders"}, "origin.choices.tables is 'orders'"),
        (["zone"], "origin.choices is no mapping"),
    ],
)
def test_bad_choices_are_named(choices: object, says: str, tmp_path: Path) -> None:
    uri = shop(tmp_path / "s.db")
    folder = new_dataset("shop", uri, tmp_path / "out", WANTED[0]).folder
    manifest = yaml.safe_load((folder / "manifest.yaml").read_text())
    manifest["origin"]["choices"] = choices
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    with pytest.raises(InputError) as caught:
        new_dataset("shop", uri, tmp_path / "out", Wanted(again=True))
    assert says in str(caught.value)


def test_comments_stay(tmp_path: Path) -> None:
    """Evidence and open proposals stay, those that were decided go, and a '#' in a name is no comment."""
    where = tmp_path / "in"
    where.mkdir()
    people = pd.DataFrame({"user_id": [f"u{i}" for i in range(50)], "born": pd.Timestamp("1980-01-01")})
    rng = np.random.default_rng(0)
    orders = pd.DataFrame(
        {
            "order no #": np.arange(200), "user_id": rng.choice(people["user_id"], 200),
            "giver": rng.choice(people["user_id"], 200), "getter": rng.choice(people["user_id"], 200),
            "created_at": [START + datetime.timedelta(hours=i) for i in range(200)],
        }
    )  # fmt: skip
    people.to_parquet(where / "users.parquet")
    orders.to_parquet(where / "orders # 1.parquet")
    first: Imported = new_dataset("shop", str(where), tmp_path / "out", Wanted())
    path = first.folder / "manifest.yaml"
    text = path.read_text()
    assert "#   giver: users  # undecided" in text and "#   getter: users  # undecided" in text
    assert "# time_col: born  # undecided" in text
    new_dataset("shop", str(where), tmp_path / "out", Wanted(again=True))
    assert path.read_text() == text
    path.write_text(text.replace("      user_id: users", "      giver: users\n      user_id: users"))
    new_dataset("shop", str(where), tmp_path / "out", Wanted(again=True))
    edited = path.read_text()
    assert "giver: users  # undecided" not in edited and "#   getter: users  # undecided" in edited
    assert next(line for line in text.split("\n") if "user_id: users" in line) in edited.split("\n")


def test_a_task_that_would_lose_its_table_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = shop(tmp_path / "s.db")
    folder = new_dataset("shop", uri, tmp_path / "datasets", WANTED[0]).folder
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(tmp_path / "datasets"))
    list(new_task("shop/items", "PREDICT SUM(lines.amount, 0, 10, days) FOR EACH customers.id"))
    list(new_task("shop/orders", "PREDICT COUNT(orders.*, 0, 10, days) FOR EACH customers.id"))
    (folder / "tasks" / "broken").mkdir()
    (folder / "tasks" / "broken" / "manifest.yaml").write_text("name: broken\n")
    path = folder / "manifest.yaml"
    text = path.read_text()
    manifest = yaml.safe_load(text)
    del manifest["tables"]["lines"]
    path.write_text(yaml.safe_dump(manifest))
    before = files(folder)
    with pytest.raises(InputError, match=r"items \(.*lines.*; keep it in the manifest, or remove these tasks") as caught:
        new_dataset("shop", uri, tmp_path / "datasets", Wanted(again=True))
    assert "orders (" not in str(caught.value) and "broken" not in str(caught.value)
    assert files(folder) == before
    (folder / "tasks" / "items" / "manifest.yaml").unlink()
    new_dataset("shop", uri, tmp_path / "datasets", Wanted(again=True))
    assert not (folder / "db" / "lines.parquet").exists()
    assert (folder / "tasks" / "orders" / "manifest.yaml").is_file() and (folder / "tasks" / "broken").is_dir()


def test_a_column_that_is_gone_at_the_source_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = shop(tmp_path / "s.db")
    folder = new_dataset("shop", uri, tmp_path / "datasets", WANTED[0]).folder
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(tmp_path / "datasets"))
    list(new_task("shop/spend", "PREDICT SUM(orders.total, 0, 10, days) FOR EACH customers.id"))
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.execute("ALTER TABLE orders DROP COLUMN total")
    connection.close()
    before = files(folder)
    with pytest.raises(InputError, match=r"spend \(.*total"):
        new_dataset("shop", uri, tmp_path / "datasets", Wanted(again=True))
    assert files(folder) == before


def test_a_table_may_be_left_out_later(tmp_path: Path) -> None:
    """An option leaves a table of the manifest out, and the foreign keys to it become plain columns."""
    uri = shop(tmp_path / "s.db")
    folder = new_dataset("shop", uri, tmp_path / "out", WANTED[0]).folder
    new_dataset("shop", uri, tmp_path / "out", Wanted(again=True, exclude=("shops", "logs")))
    manifest = yaml.safe_load((folder / "manifest.yaml").read_text())
    assert set(manifest["tables"]) == {"customers", "orders", "lines"}
    assert manifest["tables"]["orders"]["fkeys"] == {"buyer": "customers"}
    assert manifest["origin"]["choices"]["exclude"] == ["shops", "logs"]
    assert {"country", "shop"} <= set(pq.read_schema(folder / "db" / "orders.parquet").names)
    first = files(folder)
    new_dataset("shop", uri, tmp_path / "out", Wanted(again=True))
    assert files(folder) == first


def test_every_choice_is_recorded(tmp_path: Path) -> None:
    """Epoch times, entities without a table, secrets, tables that are left out and late columns, all in one import."""
    path = tmp_path / "s.db"
    rng = np.random.default_rng(0)
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT, password TEXT, joined TEXT);"
            "CREATE TABLE orders (code TEXT PRIMARY KEY, customer INTEGER REFERENCES Customers (ID), placed TEXT,"
            " returned_at TEXT, refund REAL, total REAL);"
            'CREATE TABLE ratings (user_id INTEGER, item TEXT, "timestamp" INTEGER, rating REAL);'
            "CREATE TABLE logs (x INTEGER);"
        )
        connection.executemany(
            "INSERT INTO customers VALUES (?, ?, 'pw', ?)", [(i, f"{i}@x", str(START)) for i in range(50)]
        )
        for i in range(600):
            at = START + datetime.timedelta(hours=9 * i)
            back = str(at + datetime.timedelta(days=int(rng.integers(3, 20)))) if i % 3 == 0 else None
            order = (f"o{i:04}", int(rng.integers(50)), str(at), back, None if back is None else 5.0, float(i))
            connection.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)", order)
            seconds = int((at - datetime.datetime(1970, 1, 1)).total_seconds())
            rating = (int(rng.integers(30)), f"i{rng.integers(20)}", seconds, float(rng.integers(5)))
            connection.execute("INSERT INTO ratings VALUES (?, ?, ?, ?)", rating)
    connection.close()
    command = ["dataset", "new", "shop", "--from", f"sqlite:///{path}", "--out", str(tmp_path / "out")]
    told = ["--entity", "users=ratings.user_id", "--time", "ratings=timestamp:epoch_s", "--exclude", "logs", "--keep",
            "customers.password", "--late", "orders.returned_at", "--timezone", "Asia/Tokyo", "--time", "customers=none"]  # fmt: skip
    assert main([*command, *told]) == 0
    first = files(tmp_path / "out" / "shop")
    assert {"db/users.parquet", "db/orders_returned_at.parquet"} <= set(first) and "db/logs.parquet" not in first
    for _ in range(2):
        assert main([*command, "--again"]) == 0
        assert files(tmp_path / "out" / "shop") == first
