"""What becomes known later is a row of its own: late dates, and what is filled with them, move to a child table."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
import yaml

from relbench_harness.authoring.check import check_dataset
from relbench_harness.authoring.new_dataset import Imported, new_dataset
from relbench_harness.authoring.new_task import new_task
from relbench_harness.authoring.wanted import Wanted
from relbench_harness.cli import main
from relbench_harness.data.dataset import open_dataset, open_task
from relbench_harness.errors import InputError

START = pd.Timestamp("2022-01-01")


def orders(rows: int = 1500, seed: int = 0) -> pd.DataFrame:
    """Orders of three years: a third come back, with a refund; each is shipped soon and due in thirty days."""
    rng = np.random.default_rng(seed)
    ordered = START + pd.to_timedelta(np.sort(rng.integers(0, 1000 * 24, rows)), "h")
    returned = rng.random(rows) < 0.35
    back = ordered + pd.to_timedelta(rng.integers(2 * 24, 40 * 24, rows), "h")
    # what would happen after the day of the export did not happen yet
    returned &= back < START + pd.Timedelta(days=1001)
    frame = pd.DataFrame({"order_id": range(1, rows + 1), "customer_id": rng.integers(1, 61, rows), "ordered_at": ordered})
    frame["due"] = ordered + pd.Timedelta(days=30)
    frame["amount"] = np.round(rng.gamma(2.0, 20.0, rows), 2)
    frame["returned_at"] = back.where(returned)
    frame["refund"] = np.where(returned, frame["amount"], 0.0)
    frame["reason"] = pd.Series(rng.choice(["broken", "late"], rows)).where(returned)
    frame["channel"] = rng.choice(["web", "shop"], rows)
    return frame


def source(folder: Path, frame: pd.DataFrame) -> str:
    """An SQLite database of the orders and their customers."""
    path = folder / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE customers (customer_id INTEGER PRIMARY KEY, city TEXT);"
            "CREATE TABLE orders (order_id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers (customer_id),"
            " ordered_at TIMESTAMP, due TIMESTAMP, amount REAL, returned_at TIMESTAMP, refund REAL, reason TEXT, channel TEXT);"
        )
        connection.executemany("INSERT INTO customers VALUES (?, ?)", [(i, "ab"[i % 2]) for i in range(1, 61)])
        texts = frame.copy()
        for column in ("ordered_at", "due", "returned_at"):
            texts[column] = texts[column].dt.strftime("%Y-%m-%d %H:%M:%S").where(texts[column].notna(), None)
        texts["reason"] = texts["reason"].where(texts["reason"].notna(), None)
        texts.to_sql("orders", connection, if_exists="append", index=False)
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return orders()


@pytest.fixture
def shop(tmp_path: Path, frame: pd.DataFrame) -> Imported:
    return new_dataset("shop", source(tmp_path, frame), tmp_path / "out", Wanted())


def test_late_columns_move_and_what_the_row_knows_stays(shop: Imported, frame: pd.DataFrame) -> None:
    dataset = open_dataset(str(shop.folder))
    assert set(dataset.database) == {"customers", "orders", "orders_returned_at"}
    kept, late = dataset.database["orders"], dataset.database["orders_returned_at"]
    assert set(kept.rows.column_names) == {"order_id", "customer_id", "ordered_at", "due", "amount", "channel"}
    assert set(late.rows.column_names) == {"order_id", "returned_at", "refund", "reason"}
    assert (late.time, dict(late.references)) == ("returned_at", {"order_id": "orders"})
    expected = frame[frame["returned_at"].notna()].sort_values("returned_at", kind="stable")
    assert late.rows["refund"].to_pylist() == expected["refund"].tolist()
    assert late.rows["order_id"].to_pylist() == (expected["order_id"] - 1).tolist()
    assert any("--late none declines" in note and "refund, reason moved" in note for note in shop.notes)
    manifest = yaml.safe_load((shop.folder / "manifest.yaml").read_text())
    assert manifest["origin"]["late"] == {
        "orders_returned_at": {"table": "orders", "column": "returned_at", "companions": ["refund", "reason"]}
    }
    assert not [f for f in check_dataset(str(shop.folder)).findings if f.kind == "late-date"]


def test_declined_they_stay_and_the_check_reports_them(tmp_path: Path, frame: pd.DataFrame) -> None:
    uri = source(tmp_path, frame)
    assert main(["dataset", "new", "shop", "--from", uri, "--out", str(tmp_path / "out"), "--late", "none"]) == 0
    folder = tmp_path / "out" / "shop"
    assert "refund" in open_dataset(str(folder)).database["orders"].rows.column_names
    (found,) = (f for f in check_dataset(str(folder)).findings if f.kind == "late-date")
    assert (found.where, found.level) == ("orders.returned_at", "leak")
    count = int(frame["returned_at"].notna().sum())
    assert f"after the row's time in 100.0% of the {count:,} rows that have it, of 1,500" in found.what
    assert f"refund says something in {count:,} rows with it and in 0 of the {1500 - count:,} without" in found.what


def test_told_columns_move_whatever_they_look_like(tmp_path: Path, frame: pd.DataFrame) -> None:
    uri = source(tmp_path, frame)
    given = ["dataset", "new", "shop", "--from", uri, "--out", str(tmp_path / "out")]
    assert main([*given, "--late", "orders.due:channel", "--late", "orders.returned_at:refund"]) == 0
    tables = open_dataset(str(tmp_path / "out" / "shop")).database
    assert set(tables["orders_due"].rows.column_names) == {"order_id", "due", "channel"}
    assert set(tables["orders_returned_at"].rows.column_names) == {"order_id", "returned_at", "refund"}
    assert "reason" in tables["orders"].rows.column_names


@pytest.mark.parametrize(
    ("late", "says"),
    [
        ("order.due", "names no table; did you mean 'orders'?"),
        ("orders.returned", "has no column 'returned'; did you mean 'returned_at'"),
        ("orders.amount", "reads as no time"),
        ("orders.ordered_at", "is the time or the key of table 'orders'"),
        ("orders.due:chanel", "did you mean 'channel'?"),
    ],
)
def test_what_cannot_move_is_one_sentence(tmp_path: Path, frame: pd.DataFrame, late: str, says: str) -> None:
    name, _, companions = late.partition(":")
    wanted = Wanted(late={name: tuple(companions.split(",")) if companions else None})
    with pytest.raises(InputError) as caught:
        new_dataset("shop", source(tmp_path, frame), tmp_path / "out", wanted)
    assert says in str(caught.value)
    assert not (tmp_path / "out" / "shop").exists()


def test_importing_again_moves_the_same_and_writes_the_same_bytes(tmp_path: Path, frame: pd.DataFrame) -> None:
    uri = source(tmp_path, frame)

    def again(**options: object) -> dict[str, bytes]:
        folder = new_dataset("shop", uri, tmp_path / "out", Wanted(**options)).folder  # type: ignore[arg-type]
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    first = again(late={"orders.due": ()})
    assert "db/orders_due.parquet" in first and "db/orders_returned_at.parquet" in first
    second, third = again(again=True), again(again=True)
    assert second == third
    assert {k: v for k, v in second.items() if k != "manifest.yaml"} == {
        k: v for k, v in first.items() if k != "manifest.yaml"
    }
    assert yaml.safe_load(second["manifest.yaml"]) == yaml.safe_load(first["manifest.yaml"])


def test_queries_name_moved_columns_as_if_they_stood_where_they_were(shop: Imported, frame: pd.DataFrame) -> None:
    difference = "PREDICT AVG(orders.returned_at - orders.ordered_at, 0, 60, days) FOR EACH customers.customer_id"
    list(new_task(f"{shop.folder}/days", difference))
    dataset, task = open_task(f"{shop.folder}/days")
    labels = dataset.labels(task, "train")
    days = (frame["returned_at"] - frame["ordered_at"]) / pd.Timedelta(days=1)
    for who, time, value in list(zip(labels.entity, pd.to_datetime(labels.time), labels.target.to_pylist(), strict=True))[
        ::17
    ]:
        window = (frame["returned_at"] > time) & (frame["returned_at"] <= time + pd.Timedelta(days=60))
        assert value == pytest.approx(days[window & (frame["customer_id"] == who + 1)].mean())


def test_a_filter_on_a_moved_column_knows_what_was_there_by_the_end_of_the_window(
    shop: Imported, frame: pd.DataFrame
) -> None:
    query = "PREDICT COUNT(orders.* WHERE orders.refund > 20, 0, 60, days) FOR EACH customers.customer_id"
    list(new_task(f"{shop.folder}/refunds", query))
    dataset, task = open_task(f"{shop.folder}/refunds")
    labels = dataset.labels(task, "val")
    for who, time, value in zip(labels.entity, pd.to_datetime(labels.time), labels.target.to_pylist(), strict=True):
        end = time + pd.Timedelta(days=60)
        window = (frame["ordered_at"] > time) & (frame["ordered_at"] <= end) & (frame["returned_at"] <= end)
        assert value == int((window & (frame["refund"] > 20) & (frame["customer_id"] == who + 1)).sum())
    assert any(labels.target.to_pylist())


def test_rows_without_a_key_and_rows_with_an_inherited_time_have_late_columns_too(
    tmp_path: Path, frame: pd.DataFrame
) -> None:
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        whole = frame.drop(columns=["due", "refund", "reason", "returned_at"])
        rng = np.random.default_rng(1)
        lines = pd.DataFrame({"order_id": np.repeat(whole["order_id"], 2), "product": rng.integers(0, 9, 2 * len(whole))})
        ordered = frame.set_index("order_id")["ordered_at"].loc[lines["order_id"]].to_numpy()
        lines["shipped"] = ordered + pd.to_timedelta(rng.integers(24, 24 * 9, len(lines)), "h").to_numpy()
        lines.loc[lines["shipped"] > START + pd.Timedelta(days=1000), "shipped"] = pd.NaT
        assert len(whole) and len(lines)
        connection.execute("CREATE TABLE orders (order_id INTEGER PRIMARY KEY, customer_id INTEGER, ordered_at TIMESTAMP, "
                           "amount DOUBLE, channel VARCHAR)")  # fmt: skip
        connection.execute("INSERT INTO orders SELECT order_id, customer_id, ordered_at, amount, channel FROM whole")
        connection.execute("CREATE TABLE order_lines (order_id INTEGER REFERENCES orders (order_id), product INTEGER, "
                           "shipped TIMESTAMP)")  # fmt: skip
        connection.execute("INSERT INTO order_lines SELECT * FROM lines")
    wanted = Wanted(times={"orders": "ordered_at"})
    folder = new_dataset("shop", f"duckdb:///{path}", tmp_path / "out", wanted).folder
    tables = open_dataset(str(folder)).database
    late = tables["order_lines_shipped"]
    assert (tables["order_lines"].time, tables["order_lines"].key) == ("ordered_at", "order_lines_key")
    assert len(late) == int(lines["shipped"].notna().sum())
    rows = late.parents("order_lines_key")
    assert (rows >= 0).all() and len(set(rows.tolist())) == len(rows)
    orders_of = tables["order_lines"].parents("order_id")[rows]
    ordered_at = tables["orders"].times
    assert ordered_at is not None and late.times is not None
    assert (late.times > ordered_at[orders_of]).all()
    before = (folder / "manifest.yaml").read_bytes()
    again = new_dataset("shop", f"duckdb:///{path}", tmp_path / "out", Wanted(again=True)).folder
    assert yaml.safe_load((again / "manifest.yaml").read_bytes()) == yaml.safe_load(before)
