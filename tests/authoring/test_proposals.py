"""Foreign keys of public schemas without declared keys: exactly the right ones are taken, the doubtful are proposed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import replicas
import yaml

from relbench_harness.authoring.new_dataset import Imported, new_dataset
from relbench_harness.authoring.wanted import Wanted

Fkey = tuple[str, str, str]


def taken(imported: Imported) -> set[Fkey]:
    tables = yaml.safe_load((imported.folder / "manifest.yaml").read_text())["tables"]
    return {(name, column, parent) for name, spec in tables.items() for column, parent in spec["fkeys"].items()}


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (replicas.world_cup, replicas.WORLD_CUP_REFERENCES),
        (replicas.movielens, replicas.MOVIELENS_REFERENCES),
        (replicas.chinook, replicas.CHINOOK_REFERENCES),
        (replicas.sakila, replicas.SAKILA_REFERENCES),
        (replicas.adventure_works, replicas.ADVENTURE_WORKS_REFERENCES),
    ],
)
def test_exactly_the_right_keys_are_sure(make: Callable[[Path], Path], wanted: set[Fkey], tmp_path: Path) -> None:
    imported = new_dataset("x", str(make(tmp_path / "in")), tmp_path, Wanted())
    assert taken(imported) == wanted


def test_world_cup_keys_are_its_own(tmp_path: Path) -> None:
    imported = new_dataset("cup", str(replicas.world_cup(tmp_path / "in")), tmp_path, Wanted())
    assert {name: table.spec.pkey for name, table in imported.written.items()} == replicas.WORLD_CUP_KEYS
    assert not any("key_id" in p.columns for p in imported.open), "a counter is no reference, not even a doubtful one"
    assert {(p.table, *p.columns, p.parent) for p in imported.open if p.role == "reference"} == {
        ("team_appearances", "opponent_id", "teams")
    }
    text = (imported.folder / "manifest.yaml").read_text()
    assert "#   opponent_id: teams  # undecided: 100.0% of its 30 different values are keys of teams" in text


@pytest.mark.parametrize("counter", ["key_id", "rec_no", "serial", "laufnr", "nid"])
def test_a_counter_of_any_name_is_no_reference(counter: str, tmp_path: Path) -> None:
    where = tmp_path / "in"
    where.mkdir()
    for index, name in enumerate(("visits", "bills", "wards", "staff")):
        count = 40 + 20 * index
        columns = {
            counter: range(1, count + 1),
            "v": [i % 7 for i in range(count)],
            "at": pd.date_range("2020-01-01", periods=count),
        }
        pd.DataFrame(columns).to_csv(where / f"{name}.csv", index=False)
    imported = new_dataset("x", str(where), tmp_path, Wanted())
    assert taken(imported) == set()
    assert [p for p in imported.open if p.role == "reference"] == []


def folder(where: Path, **tables: dict[str, object]) -> Path:
    where.mkdir()
    for name, columns in tables.items():
        pd.DataFrame(columns).to_csv(where / f"{name}.csv", index=False)
    return where


DAYS = pd.date_range("2020-01-01", periods=200)


def test_small_numbers_with_a_name_that_ends_alike_are_proposed(tmp_path: Path) -> None:
    """`work_order_no` counts 1 … 4 and lies in 1 … 200; `order` is a position."""
    source = folder(
        tmp_path / "in",
        orders={"order_id": range(1, 201), "ordered_at": DAYS},
        steps={
            "step_id": range(1, 201),
            "work_order_no": [1 + i % 4 for i in range(200)],
            "order": [1 + i % 9 for i in range(200)],
        },
    )
    imported = new_dataset("x", str(source), tmp_path, Wanted())
    assert taken(imported) == set()
    assert {p.columns for p in imported.open if p.role == "reference"} == {("work_order_no",), ("order",)}
    everything = new_dataset("y", str(source), tmp_path, Wanted(take_all=True))
    assert taken(everything) == {("steps", "work_order_no", "orders")}, "a position is not even likely"


def test_a_key_that_two_tables_share_without_a_name_is_left_open(tmp_path: Path) -> None:
    source = folder(
        tmp_path / "in",
        profiles={"cust_no": range(700, 800), "age": [20 + i % 50 for i in range(100)]},
        accounts={"cust_no": range(700, 800), "iban_country": ["DE", "FR"] * 50},
        visits={"visit_id": range(900, 1100), "cust_no": [700 + i % 100 for i in range(200)], "visited_at": DAYS},
    )
    imported = new_dataset("x", str(source), tmp_path, Wanted(times={"visits": "visited_at"}))
    assert taken(imported) == set()
    open_ = {(p.table, p.parent) for p in imported.open if p.role == "reference"}
    assert {("visits", "accounts"), ("visits", "profiles")} <= open_


def test_what_a_source_leaves_undeclared_is_open(tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.executescript(
            "CREATE TABLE users (user_id INTEGER PRIMARY KEY, name TEXT);"
            "CREATE TABLE shops (shop_id INTEGER PRIMARY KEY, name TEXT);"
            "CREATE TABLE orders (order_id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users, shop_id INTEGER, at TIMESTAMP);"
        )
        connection.executemany("INSERT INTO users VALUES (?, 'x')", [(i,) for i in range(1, 31)])
        connection.executemany("INSERT INTO shops VALUES (?, 'x')", [(i,) for i in range(1, 6)])
        rows = [(i, 1 + i % 30, 1 + i % 5, str(DAYS[i])) for i in range(200)]
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
    imported = new_dataset("x", f"sqlite:///{tmp_path / 's.db'}", tmp_path, Wanted())
    assert taken(imported) == {("orders", "user_id", "users")}
    assert [(p.table, p.columns, p.parent) for p in imported.open] == [("orders", ("shop_id",), "shops")]
    everything = new_dataset("y", f"sqlite:///{tmp_path / 's.db'}", tmp_path, Wanted(take_all=True))
    assert taken(everything) == {("orders", "user_id", "users"), ("orders", "shop_id", "shops")}


def test_a_warehouse_says_what_its_tables_are(tmp_path: Path) -> None:
    keys = [int(day.strftime("%Y%m%d")) for day in DAYS]
    source = folder(
        tmp_path / "in",
        dim_date={"date_key": keys, "date": DAYS},
        dim_customer={"customer_key": range(1, 51), "segment": ["a", "b"] * 25},
        fact_sales={
            "sale_id": range(200), "order_date_key": keys, "ship_date_key": keys[::-1],
            "customer_key": [1 + i % 50 for i in range(200)], "sold_at": DAYS,
        },
    )  # fmt: skip
    assert taken(new_dataset("x", str(source), tmp_path, Wanted())) == {
        ("fact_sales", "order_date_key", "dim_date"), ("fact_sales", "ship_date_key", "dim_date"),
        ("fact_sales", "customer_key", "dim_customer"),
    }  # fmt: skip
