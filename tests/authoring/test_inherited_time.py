"""A table takes its time only along the key to the row that creates its rows; windows that are said to fit do."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from relbench_harness.authoring.new_dataset import Imported, new_dataset
from relbench_harness.authoring.new_task import new_task
from relbench_harness.authoring.wanted import Wanted
from relbench_harness.data.dataset import open_dataset
from relbench_harness.errors import InputError

SCHEMA = """
CREATE TABLE employees (employee_id INTEGER PRIMARY KEY, reports_to INTEGER REFERENCES employees (employee_id),
    hire_date TIMESTAMP, title TEXT);
CREATE TABLE customers (customer_id INTEGER PRIMARY KEY, support_rep_id INTEGER REFERENCES employees (employee_id), city TEXT);
CREATE TABLE invoices (invoice_id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers (customer_id),
    invoice_date TIMESTAMP, total REAL);
CREATE TABLE invoice_lines ({line} invoice_id INTEGER REFERENCES invoices (invoice_id), unit_price REAL {key});
"""


def chinook(folder: Path, line: str, key: str = "", shuffled: bool = False) -> Imported:
    """A music shop like Chinook's: three representatives hired in 2002 to 2004, invoices of 2009 to 2013 with lines."""
    rng = np.random.default_rng(0)
    path = folder / "chinook.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA.format(line=line, key=key))
        hired = [
            "2002-08-14",
            "2002-05-01",
            "2002-04-01",
            "2003-05-03",
            "2003-10-17",
            "2003-10-17",
            "2004-01-02",
            "2004-03-04",
        ]
        connection.executemany(
            "INSERT INTO employees VALUES (?, ?, ?, 'x')",
            [(i + 1, None if i == 0 else 1, f"{day} 00:00:00") for i, day in enumerate(hired)],
        )
        connection.executemany(
            "INSERT INTO customers VALUES (?, ?, 'Graz')", [(i + 1, int(rng.choice([3, 4, 5]))) for i in range(59)]
        )
        days = np.sort(rng.integers(0, 1800, 412))
        dates = (pd.Timestamp("2009-01-01") + pd.to_timedelta(days, "D")).strftime("%Y-%m-%d 00:00:00")
        connection.executemany(
            "INSERT INTO invoices VALUES (?, ?, ?, ?)",
            [(i + 1, int(rng.integers(1, 60)), day, float(rng.integers(1, 20))) for i, day in enumerate(dates)],
        )
        lines = [(i + 1, float(rng.integers(1, 3))) for i in range(412) for _ in range(int(rng.integers(1, 9)))]
        if shuffled:
            lines = [lines[i] for i in rng.permutation(len(lines))]
        columns = "invoice_id, unit_price" + (", line" if "line INTEGER" in line else "")
        numbers: dict[int, int] = {}
        for invoice, price in lines:
            numbers[invoice] = numbers.get(invoice, 0) + 1
            row = (invoice, price, numbers[invoice])[: columns.count(",") + 1]
            connection.execute(f"INSERT INTO invoice_lines ({columns}) VALUES ({', '.join('?' * len(row))})", row)
    return new_dataset("chinook", f"sqlite:///{path}", folder / "out", Wanted())


@pytest.mark.parametrize(
    ("line", "key", "shuffled", "evidence"),
    [
        ("line_id INTEGER PRIMARY KEY,", "", False, "in the order of their times"),
        ("line INTEGER,", ", PRIMARY KEY (invoice_id, line)", True, "whose key is part of theirs"),
        ("", "", False, "in the order of their times"),
        ("", "", True, "4."),
    ],
    ids=["counter", "identified", "rows in order", "few each"],
)
def test_lines_take_the_time_of_their_invoice_and_customers_not_that_of_their_representative(
    tmp_path: Path, line: str, key: str, shuffled: bool, evidence: str
) -> None:
    imported = chinook(tmp_path, line, key, shuffled)
    tables = open_dataset(str(imported.folder)).database
    assert tables["customers"].time is None
    lines = tables["invoice_lines"]
    assert lines.time == "invoice_date"
    invoices = tables["invoices"]
    assert lines.times is not None and invoices.times is not None
    assert (lines.times == invoices.times[lines.parents("invoice_id")]).all()
    text = (imported.folder / "manifest.yaml").read_text()
    (said,) = (part for part in text.split("\n") if "taken from invoices" in part)
    assert evidence in said
    assert any(note.startswith("customers: it has no time") and "employees" in note for note in imported.notes)


def timed(folder: Path, tables: dict[str, tuple[str, pd.DataFrame]]) -> dict[str, str | None]:
    """The time column of each of `tables` (columns in SQL, rows) after an import from DuckDB."""
    path = folder / "made.duckdb"
    with duckdb.connect(str(path)) as connection:
        for name, (columns, rows) in tables.items():
            connection.register("rows", rows)
            connection.execute(f"CREATE TABLE {name} ({columns}); INSERT INTO {name} SELECT * FROM rows")
    imported = new_dataset("made", f"duckdb:///{path}", folder / "out", Wanted())
    return {name: table.time for name, table in open_dataset(str(imported.folder)).database.items()}


def test_lines_named_by_uuids_in_any_order_take_the_time_of_their_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    keys = [str(uuid.UUID(int=int(x))) for x in rng.integers(0, 2**62, 6000)]
    ordered = pd.Timestamp("2021-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 900 * 86_400, 2000)), "s")
    lines = pd.DataFrame({"line": keys[2000:], "order": np.repeat(keys[:2000], 2), "pieces": rng.integers(1, 5, 4000)})
    found = timed(
        tmp_path,
        {
            "orders": (
                "order_id VARCHAR PRIMARY KEY, ordered_at TIMESTAMP",
                pd.DataFrame({"o": keys[:2000], "t": ordered}),
            ),
            "lines": (
                "line_id VARCHAR PRIMARY KEY, order_id VARCHAR REFERENCES orders, pieces INTEGER",
                lines.sample(frac=1, random_state=0),
            ),
        },
    )
    assert found["lines"] == "ordered_at"


def test_customers_who_ordered_before_their_region_was_there_are_not_created_with_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    start = pd.Timestamp("2021-01-01")
    created = start + pd.to_timedelta(np.sort(rng.integers(0, 300, 12)), "D")
    happened = start + pd.to_timedelta(np.sort(rng.integers(0, 900 * 86_400, 2000)), "s")
    customers = pd.DataFrame({"c": range(1, 101), "r": np.sort(rng.integers(1, 13, 100)), "city": "x"})
    found = timed(
        tmp_path,
        {
            "regions": ("id INTEGER PRIMARY KEY, created_at TIMESTAMP", pd.DataFrame({"r": range(1, 13), "t": created})),
            "customers": ("id INTEGER PRIMARY KEY, region_id INTEGER REFERENCES regions, city VARCHAR", customers),
            "orders": (
                "id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers, happened TIMESTAMP",
                pd.DataFrame({"o": range(1, 2001), "c": rng.integers(1, 101, 2000), "t": happened}),
            ),
        },
    )
    assert found == {"regions": "created_at", "customers": None, "orders": "happened"}


def test_a_window_that_is_said_to_fit_is_accepted(tmp_path: Path) -> None:
    imported = chinook(tmp_path, "line_id INTEGER PRIMARY KEY,")
    days = imported.cuts.horizon.days
    assert days >= 100
    query = f"PREDICT SUM(invoices.total, 0, {days}, days) FOR EACH customers.customer_id"
    said = list(new_task(f"{imported.folder}/spend", query))
    assert any(line.startswith("train: ") for line in said)
    dataset = open_dataset(str(imported.folder))
    times = pd.to_datetime(dataset.labels(dataset.task("spend"), "train").time)
    assert times.min() >= pd.Timestamp("2009-01-01")


def rentals(folder: Path) -> str:
    """Rentals of a hundred days, whose customers were all entered half a year later."""
    rng = np.random.default_rng(0)
    path = folder / "rentals.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE customer (customer_id INTEGER PRIMARY KEY, create_date TIMESTAMP, city TEXT);"
            "CREATE TABLE rental (rental_id INTEGER PRIMARY KEY, rental_date TIMESTAMP,"
            " customer_id INTEGER REFERENCES customer (customer_id));"
        )
        connection.executemany("INSERT INTO customer VALUES (?, '2006-02-14 22:04:36', 'x')", [(i,) for i in range(1, 61)])
        times = pd.Timestamp("2005-05-24") + pd.to_timedelta(np.sort(rng.integers(0, 100 * 86_400, 2000)), "s")
        connection.executemany(
            "INSERT INTO rental VALUES (?, ?, ?)",
            [(i + 1, str(t), int(rng.integers(1, 61))) for i, t in enumerate(times)],
        )
    return f"sqlite:///{path}"


def test_a_time_after_the_rows_that_name_its_rows_is_left_open(tmp_path: Path) -> None:
    imported = new_dataset("rentals", rentals(tmp_path), tmp_path / "out", Wanted())
    assert open_dataset(str(imported.folder)).database["customer"].time is None
    (proposal,) = (p for p in imported.open if p.role == "time")
    assert proposal.columns == ("create_date",)
    assert proposal.evidence == "2,000 of the 2,000 rows of rental that name its rows are older"
    # the cut points lie within the rentals, and the window that is said to fit does
    days = imported.cuts.horizon.days
    assert pd.Timestamp("2005-07-15") < imported.cuts.val < imported.cuts.test < pd.Timestamp("2005-09-01") and days >= 7
    query = f"PREDICT COUNT(rental.*, 0, {days}, days) FOR EACH customer.customer_id"
    assert any(line.startswith("test: 60 examples") for line in new_task(f"{imported.folder}/count", query))


def test_entities_that_are_not_there_yet_are_the_reason_of_an_empty_split(tmp_path: Path) -> None:
    wanted = Wanted(times={"customer": "create_date"})
    imported = new_dataset("rentals", rentals(tmp_path), tmp_path / "out", wanted)
    query = "PREDICT COUNT(rental.*, 0, 7, days) FOR EACH customer.customer_id"
    with pytest.raises(InputError, match="no row of 'customer' is there yet: its first row is of 2006-02-14 22:04:36"):
        list(new_task(f"{imported.folder}/count", query))
