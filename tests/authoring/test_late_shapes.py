"""Late columns of other shapes: dates without a time of day, states, dates beyond the end of the data, keys that are filled late;
and queries that name them in every place."""

from __future__ import annotations

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
from relbench_harness.data.labels import LabelTable
from relbench_harness.errors import InputError

START, DAY = pd.Timestamp("2021-01-01"), pd.Timedelta(days=1)
STATE = ["refund", "return_store_id", "status", "is_returned", "score"]


def orders(rows: int = 3000, seed: int = 0) -> pd.DataFrame:
    """Orders of 1,000 days: most are shipped on their day, 40 % come back within 40 days, some after the last order."""
    rng = np.random.default_rng(seed)
    ordered = START + pd.to_timedelta(np.sort(rng.integers(0, 1000 * 86_400, rows)), "s")
    back = rng.random(rows) < 0.4
    frame = pd.DataFrame({"order_id": range(1, rows + 1), "customer_id": rng.integers(1, 101, rows), "ordered_at": ordered})
    shipped = ordered.floor("D") + pd.to_timedelta(rng.choice([0, 0, 0, 1, 3, 5], rows), "D")
    frame["shipped_on"] = shipped.where(rng.random(rows) < 0.8)
    frame["returned_at"] = (ordered + pd.to_timedelta(rng.integers(3600, 40 * 86_400, rows), "s")).where(back)
    frame["refund"] = np.where(back, rng.gamma(2, 20, rows), 0.0)
    frame["return_store_id"] = pd.Series(rng.integers(1, 6, rows)).where(back).astype("Int64")
    frame["status"] = np.where(back, "returned", rng.choice(["open", "paid"], rows))
    frame["is_returned"] = back
    frame["score"] = np.where(back, rng.normal(size=rows), np.nan)
    frame["amount"] = rng.gamma(2, 20, rows)
    frame["channel"] = rng.choice(["web", "shop"], rows)
    # a plan: every order has a slot, of which the later ones lie beyond the last order
    frame["slot"] = (
        ordered + pd.to_timedelta(rng.integers(1, 30, rows), "D") + pd.to_timedelta(rng.integers(0, 9, rows), "h")
    )
    return frame


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return orders()


def notes(frame: pd.DataFrame) -> pd.DataFrame:
    """Notes on orders, up to 40 days after them."""
    rng = np.random.default_rng(5)
    of = np.sort(rng.integers(0, len(frame), 2000))
    written = frame["ordered_at"].to_numpy()[of] + pd.to_timedelta(rng.integers(60, 40 * 86_400, len(of)), "s")
    found = pd.DataFrame({"order_id": frame["order_id"].to_numpy()[of], "written_at": written})
    found = found[found["written_at"] < START + 1000 * DAY].sort_values("written_at", kind="stable")
    found.insert(0, "note_id", range(1, len(found) + 1))
    return found


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame) -> str:
    path = tmp_path_factory.mktemp("late") / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE customers AS SELECT range + 1 AS customer_id, range % 3 AS city FROM range(100);"
            "CREATE TABLE stores AS SELECT range + 1 AS store_id, range AS size FROM range(5);"
            "ALTER TABLE customers ADD PRIMARY KEY (customer_id); ALTER TABLE stores ADD PRIMARY KEY (store_id);"
            "CREATE TABLE orders (order_id INTEGER PRIMARY KEY, customer_id BIGINT REFERENCES customers, ordered_at TIMESTAMP, "
            "shipped_on DATE, returned_at TIMESTAMP, refund DOUBLE, return_store_id BIGINT REFERENCES stores, status VARCHAR, "
            "is_returned BOOLEAN, score DOUBLE, amount DOUBLE, channel VARCHAR, slot TIMESTAMP);"
            "CREATE TABLE notes (note_id INTEGER PRIMARY KEY, order_id INTEGER REFERENCES orders, written_at TIMESTAMP)"
        )
        connection.register("frame", frame)
        connection.execute("INSERT INTO orders SELECT * FROM frame")
        connection.register("written", notes(frame))
        connection.execute("INSERT INTO notes SELECT * FROM written")
        # in a column of floats NaN, too, can stand for what is not there
        connection.execute("UPDATE orders SET score = 'nan'::DOUBLE WHERE NOT is_returned")
    return f"duckdb:///{path}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, uri: str) -> Imported:
    return new_dataset("shop", uri, tmp_path_factory.mktemp("out"), Wanted())


def labels_of(shop: Imported, name: str, query: str, split: str = "train") -> LabelTable:
    list(new_task(f"{shop.folder}/{name}", query, replace=True))
    dataset, task = open_task(f"{shop.folder}/{name}")
    return dataset.labels(task, split)  # type: ignore[arg-type]


def test_all_that_is_filled_with_a_date_moves_with_it_and_plans_stay(shop: Imported, frame: pd.DataFrame) -> None:
    late = yaml.safe_load((shop.folder / "manifest.yaml").read_text())["origin"]["late"]
    assert {name: move["companions"] for name, move in late.items()} == {
        "orders_shipped_on": [], "orders_returned_at": STATE,
    }  # fmt: skip
    tables = open_dataset(str(shop.folder)).database
    assert {"channel", "amount", "slot"} <= set(tables["orders"].rows.column_names)
    assert tables["orders_returned_at"].references["return_store_id"] == "stores"
    # a date without a time of day is not known before the order is there
    shipped, ordered = tables["orders_shipped_on"], tables["orders"].times
    assert shipped.times is not None and ordered is not None
    named = ordered[shipped.parents("order_id")]
    days = frame.set_index("order_id").sort_values("ordered_at")["shipped_on"].to_numpy().astype("datetime64[ns]")
    expected = np.maximum(named, days[shipped.parents("order_id")].astype(np.int64))
    assert (shipped.times == expected).all()
    assert not [f for f in check_dataset(str(shop.folder)).findings if f.kind in ("late-date", "older-child")]


def test_importing_again_repeats_it(tmp_path: Path, uri: str) -> None:
    def files(again: bool) -> dict[str, bytes]:
        folder = new_dataset("shop", uri, tmp_path, Wanted(again=again)).folder
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    first, second, third = files(False), files(True), files(True)
    assert second == third
    assert {n: b for n, b in first.items() if n.startswith("db/")} == {
        n: b for n, b in second.items() if n.startswith("db/")
    }


def test_the_check_reads_dates_that_lie_as_texts(tmp_path: Path, uri: str) -> None:
    folder = new_dataset("shop", uri, tmp_path, Wanted(none_late=True)).folder
    path = folder / "db" / "orders.parquet"
    rows = pd.read_parquet(path)
    rows["returned_at"] = rows["returned_at"].dt.strftime("%Y-%m-%d %H:%M:%S")
    rows.to_parquet(path)
    found = {f.where: f.what for f in check_dataset(str(folder)).findings if f.kind == "late-date"}
    assert set(found) == {"orders.shipped_on", "orders.returned_at"}
    assert all(name in found["orders.returned_at"] for name in STATE)


def test_a_filter_of_the_entity_knows_what_had_moved_by_then(shop: Imported, frame: pd.DataFrame) -> None:
    where = "WHERE orders.returned_at IS NULL AND orders.shipped_on IS NOT NULL AND COUNT(orders.*, -40, 0, days) > 0"
    labels = labels_of(shop, "open", f"PREDICT COUNT(orders.refund, 0, 30, days) > 0 FOR EACH orders.order_id {where}")
    ordered = frame.sort_values("ordered_at", kind="stable").reset_index(drop=True)
    for time in pd.to_datetime(np.unique(labels.time))[::5]:
        young = (ordered["ordered_at"] > time - 40 * DAY) & (ordered["ordered_at"] <= time)
        shipped = ordered[["shipped_on", "ordered_at"]].max(axis=1).where(ordered["shipped_on"].notna()) <= time
        asked = young & shipped & ~(ordered["returned_at"] <= time)
        mine = labels.time == time.value
        assert labels.entity[mine].tolist() == np.flatnonzero(asked).tolist()
        back = ordered["returned_at"][asked] <= time + 30 * DAY
        assert [bool(v) for v in labels.target.take(np.flatnonzero(mine)).to_pylist()] == back.tolist()


def test_columns_that_moved_to_two_tables_are_read_over_the_rows_of_the_first(shop: Imported, frame: pd.DataFrame) -> None:
    query = "PREDICT AVG(orders.returned_at - orders.shipped_on WHERE orders.shipped_on IS NOT NULL, 0, 30, days) FOR EACH customers.customer_id"
    labels = labels_of(shop, "between", query)
    shipped = frame[["shipped_on", "ordered_at"]].max(axis=1).where(frame["shipped_on"].notna())
    days = (frame["returned_at"] - shipped) / DAY
    times = pd.to_datetime(labels.time)
    for who, time, value in list(zip(labels.entity, times, labels.target.to_pylist(), strict=True))[::13]:
        end = time + 30 * DAY
        window = (frame["returned_at"] > time) & (frame["returned_at"] <= end) & (shipped <= end)
        assert value == pytest.approx(days[window & (frame["customer_id"] == who + 1)].mean())


@pytest.mark.parametrize(
    "query",
    [
        "PREDICT COUNT(notes.* WHERE notes.written_at > orders.returned_at, 0, 60, days) FOR EACH customers.customer_id",
        "PREDICT SUM(notes.written_at - orders.returned_at, 0, 60, days) FOR EACH customers.customer_id",
    ],
)
def test_children_name_what_moved_off_their_parents(shop: Imported, frame: pd.DataFrame, query: str) -> None:
    labels = labels_of(shop, "notes", query)
    written = notes(frame).merge(frame, on="order_id")
    times = pd.to_datetime(labels.time)
    for who, time, value in list(zip(labels.entity, times, labels.target.to_pylist(), strict=True))[::29]:
        end = time + 60 * DAY
        window = (written["written_at"] > time) & (written["written_at"] <= end) & (written["returned_at"] <= end)
        mine = written[window & (written["customer_id"] == who + 1)]
        days = (mine["written_at"] - mine["returned_at"]) / DAY
        assert value == pytest.approx(float((days > 0).sum()) if "COUNT" in query else days.sum())


def test_importing_again_without_a_table_leaves_out_what_moved_off_it(tmp_path: Path, uri: str) -> None:
    new_dataset("shop", uri, tmp_path, Wanted(times={"notes": "written_at"}))
    for again in (Wanted(again=True, exclude=("orders",)), Wanted(again=True)):
        folder = new_dataset("shop", uri, tmp_path, again).folder
        assert set(open_dataset(str(folder)).database) == {"customers", "stores", "notes"}


def test_what_is_open_of_a_moved_column_is_said_where_it_is_now(tmp_path: Path, frame: pd.DataFrame) -> None:
    (tmp_path / "files").mkdir()
    rows = frame[["order_id", "ordered_at", "returned_at", "return_store_id"]].rename(
        columns={"return_store_id": "back_store"}
    )
    rows.to_csv(tmp_path / "files" / "orders.csv", index=False)
    pd.DataFrame({"id": range(1, 6), "size": [3, 1, 1, 2, 2]}).to_csv(tmp_path / "files" / "stores.csv", index=False)
    imported = new_dataset("shop", str(tmp_path / "files"), tmp_path / "out", Wanted())
    (found,) = (p for p in imported.open if p.role == "reference")
    assert (found.table, found.columns, found.parent) == ("orders_returned_at", ("back_store",), "stores")
    path = imported.folder / "manifest.yaml"
    manifest = yaml.safe_load(path.read_text())
    manifest["tables"]["orders_returned_at"]["fkeys"]["back_store"] = "stores"
    path.write_text(yaml.safe_dump(manifest))
    again = new_dataset("shop", str(tmp_path / "files"), tmp_path / "out", Wanted(again=True)).folder
    late = open_dataset(str(again)).database["orders_returned_at"]
    assert (late.parents("back_store") >= 0).all()


def test_the_least_and_the_greatest_time_subtract_to_days(shop: Imported, frame: pd.DataFrame) -> None:
    query = (
        "PREDICT MAX(orders.ordered_at, 0, 90, days) - MIN(orders.ordered_at, 0, 90, days) FOR EACH customers.customer_id"
    )
    labels = labels_of(shop, "spread", query)
    who, time = int(labels.entity[5]), pd.Timestamp(int(labels.time[5]))
    mine = frame[
        (frame["customer_id"] == who + 1) & (frame["ordered_at"] > time) & (frame["ordered_at"] <= time + 90 * DAY)
    ]
    assert labels.target[5].as_py() == pytest.approx((mine["ordered_at"].max() - mine["ordered_at"].min()) / DAY)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("PREDICT orders.status FOR EACH orders.order_id", "such as LAST(orders.status, 0, 30, days)"),
        ("PREDICT AVG(orders.slot + 3, 0, 30, days) FOR EACH customers.customer_id", "two times subtract to days"),
        ("PREDICT MAX(orders.slot, 0, 30, days) * 2 FOR EACH customers.customer_id", "takes a time for a number"),
        ("PREDICT COUNT(orders.* WHERE orders.slot > 7, 0, 9, days) FOR EACH stores.store_id", "takes a time for a number"),
        (
            "PREDICT COUNT(orders.*, 0, 30, days) FOR EACH customers.customer_id WHERE orders.refund > 0",
            "'orders' is not the entity's table",
        ),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(shop: Imported, query: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        list(new_task(f"{shop.folder}/no", query))
    assert says in str(caught.value)
    assert not (shop.folder / "tasks" / "no").exists()


def test_a_late_column_is_named_when_importing_again(tmp_path: Path, uri: str) -> None:
    given = ["dataset", "new", "shop", "--from", uri, "--out", str(tmp_path)]
    assert main(given) == 0
    assert main([*given, "--again", "--late", "orders.slot:channel"]) == 0
    tables = open_dataset(str(tmp_path / "shop")).database
    assert set(tables["orders_slot"].rows.column_names) == {"order_id", "slot", "channel"}
    assert "orders_returned_at" in tables
