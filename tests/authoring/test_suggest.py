"""What a dataset offers to predict: each query makes a task, none is empty or given away, whatever the schema."""

from __future__ import annotations

import csv
import io
import json
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from shop_folder import write_shop

from relbench_harness.authoring.new_dataset import new_dataset
from relbench_harness.authoring.query_candidates import balance
from relbench_harness.authoring.suggestions import GIVEN_AWAY, Suggestion, suggestions
from relbench_harness.authoring.wanted import Wanted
from relbench_harness.cli import main
from relbench_harness.data.dataset import Dataset, open_dataset
from relbench_harness.data.labels import SPLITS, LabelTable

START = pd.Timestamp("2022-01-01")
Columns = dict[str, list[object]]


def made(folder: Path, tables: dict[str, tuple[str, Columns]], name: str = "made") -> Dataset:
    """A dataset imported from an SQLite file of `tables`: SQL of the columns, and their values."""
    path = folder / f"{name}.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        for table, (declared, columns) in tables.items():
            connection.execute(f'CREATE TABLE "{table}" ({declared})')
            marks = ", ".join("?" * len(columns))
            connection.executemany(f'INSERT INTO "{table}" VALUES ({marks})', list(zip(*columns.values(), strict=True)))
    new_dataset(name, f"sqlite:///{path}", folder, Wanted())
    return open_dataset(str(folder / name))


def at(days: float) -> str:
    return str((START + pd.Timedelta(days=days)).floor("s"))


def people(count: int) -> tuple[str, Columns]:
    return "id INTEGER PRIMARY KEY, city TEXT", {"id": list(range(count)), "city": [f"c{n % 3}" for n in range(count)]}


def buys(days: np.ndarray, who: np.ndarray) -> tuple[str, Columns]:
    """Purchases of a price, at `days` by `who`."""
    number = list(range(len(days)))
    prices = [float(n * 37 % 101) for n in number]
    return (
        "id INTEGER PRIMARY KEY, person INTEGER REFERENCES people, at TIMESTAMP, price REAL",
        {"id": number, "person": who.tolist(), "at": [at(day) for day in days], "price": prices},
    )


@pytest.fixture(scope="module")
def random_shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """People who buy at random, once in 20 days on average."""
    chance = np.random.default_rng(0)
    days, who = np.sort(chance.uniform(0, 600, 6000)), chance.integers(0, 200, 6000)
    return made(tmp_path_factory.mktemp("random"), {"people": people(200), "buys": buys(days, who)})


def test_the_first_three_make_tasks_as_they_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # the shop has names with blanks, quotation marks and reserved words
    shop = write_shop(tmp_path / "shop")
    assert main(["task", "suggest", str(shop.folder), "--limit", "3"]) == 0
    printed = capsys.readouterr().out
    commands = printed.split("```")[1].strip().splitlines()
    assert len(commands) == 3
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "relbench-harness" and main(arguments) == 0, capsys.readouterr().err
        task = shop.task(arguments[2].rpartition("/")[2])
        assert f"`{task.query}`" in printed
        assert all(len(shop.labels(task, split)) for split in SPLITS)


def test_kinds_windows_and_figures(random_shop: Dataset) -> None:
    found = suggestions(random_shop, 10)
    kinds = {one.kind: one for one in reversed(found)}
    assert {"churn", "volume", "value"} <= set(kinds)
    assert found[0].kind in ("churn", "value")
    # half of the gaps of a mean of 20 days end within 14
    assert kinds["churn"].window in ("14 days", "30 days", "60 days")
    assert "SUM(buys.price" in kinds["value"].query
    for one in found:
        task_labels = labels_of(random_shop, one)
        assert {split: len(table) for split, table in task_labels.items()} == dict(one.examples)
        assert one.past_labels is None or one.past_labels < GIVEN_AWAY
    assert len({one.query for one in found}) == len(found)


def labels_of(dataset: Dataset, one: Suggestion) -> dict[str, LabelTable]:
    from relbench_harness.authoring.new_task import Draft

    task = Draft.of(dataset, one.name, one.query, one.eval_timestamps).task
    return {split: dataset.labels(task, split) for split in SPLITS}


def test_what_past_labels_give_away_is_left_out(tmp_path: Path) -> None:
    # half of the people buy every day, the others every 60 days: who buys within two weeks is known from before
    often = np.repeat(np.arange(0, 400), 40), np.tile(np.arange(40), 400)
    seldom = np.repeat(np.arange(0, 400, 60), 50) + np.tile(np.arange(50), 7) * 60 / 50, np.tile(np.arange(40, 90), 7)
    days, who = (np.concatenate(pair) for pair in zip(often, seldom, strict=True))
    dataset = made(tmp_path, {"people": people(90), "buys": buys(days, who)})
    found = suggestions(dataset, 10)
    assert not [one for one in found if one.kind in ("churn", "volume")]


def test_events_of_young_rows(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    born = np.sort(chance.uniform(0, 700, 3000))
    fines = ("id INTEGER PRIMARY KEY, at TIMESTAMP", {"id": list(range(3000)), "at": [at(day) for day in born]})
    paid = np.flatnonzero(chance.random(3000) < 0.6)
    delay = chance.uniform(1, 90, len(paid))
    payments = (
        "id INTEGER PRIMARY KEY, fine INTEGER REFERENCES fines, at TIMESTAMP",
        {"id": list(range(len(paid))), "fine": paid.tolist(), "at": [at(day) for day in born[paid] + delay]},
    )
    found = suggestions(made(tmp_path, {"fines": fines, "payments": payments}), 3)
    assert [one.kind for one in found] == ["event"]
    assert "COUNT(fines.*, -" in found[0].query and "COUNT(payments.*, -" in found[0].query


def test_odd_schemas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = np.random.default_rng(2)
    days = np.sort(chance.uniform(0, 600, 2000))
    alone = (
        "id INTEGER PRIMARY KEY, at TIMESTAMP, parent INTEGER REFERENCES posts, kind TEXT, size REAL",
        {
            "id": list(range(2000)), "at": [at(day) for day in days], "parent": [None, *(n // 2 for n in range(1, 2000))],
            "kind": [f"k{n % 3}" for n in range(2000)], "size": [None if n % 4 == 0 else float(n % 17) for n in range(2000)],
        },
    )  # fmt: skip
    one_table = made(tmp_path, {"posts": alone}, "alone")
    assert [one.kind for one in suggestions(one_table, 5)][:1] == ["attribute"]
    shops = (
        "country TEXT, number INTEGER, PRIMARY KEY (country, number)",
        {"country": ["a"] * 20 + ["b"] * 20, "number": [*range(20)] * 2},
    )
    sales = (
        "country TEXT, number INTEGER, at TIMESTAMP, amount REAL, FOREIGN KEY (country, number) REFERENCES shops",
        {
            "country": chance.choice(["a", "b"], 2000).tolist(), "number": chance.integers(0, 20, 2000).tolist(),
            "at": [at(day) for day in days], "amount": chance.exponential(10, 2000).tolist(),
        },
    )  # fmt: skip
    composite = made(tmp_path, {"shops": shops, "sales": sales}, "composite")
    assert {"churn", "value"} <= {one.kind for one in suggestions(composite, 5)}
    timeless = write_timeless(tmp_path / "timeless")
    assert suggestions(timeless) == []
    assert main(["task", "suggest", str(tmp_path / "timeless")]) == 2
    assert "offers no predictive query: no table of it has a time" in capsys.readouterr().err


def write_timeless(folder: Path) -> Dataset:
    import pyarrow.parquet as pq

    (folder / "db").mkdir(parents=True)
    pq.write_table(pa.table({"id": [0, 1, 2], "x": [1.0, 2.0, 3.0]}), folder / "db" / "things.parquet")
    (folder / "manifest.yaml").write_text(
        "name: timeless\nval_timestamp: '2020-01-01'\ntest_timestamp: '2021-01-01'\n"
        "tables:\n  things: {pkey: id, time_col: null, fkeys: {}}\n"
    )
    return open_dataset(str(folder))


def test_formats_say_the_same(random_shop: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    said = {}
    for form in ("json", "csv", "md"):
        assert main(["task", "suggest", str(random_shop.folder), "--limit", "2", "--format", form]) == 0
        said[form] = capsys.readouterr().out
    rows = json.loads(said["json"])
    assert [row["query"] for row in csv.DictReader(io.StringIO(said["csv"]))] == [row["query"] for row in rows]
    assert all(row["command"] in said["md"] for row in rows) and len(rows) == 2
    assert main(["task", "suggest", str(random_shop.folder), "--limit", "0"]) == 2


def test_balance() -> None:
    assert balance(np.array([True, False]), True) == 1.0
    assert balance(np.array([1.0, 1.0, 1.0, 2.0]), False) == 0.25
    assert balance(np.zeros(0), False) == 0.0


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["rel-f1", "retail-uk", "baseball", "fines-it"])
def test_real_schemas(real_data: Path, name: str) -> None:
    if not (real_data / name).is_dir():
        pytest.skip(f"no {name}")
    found = suggestions(open_dataset(name), 5)
    assert len(found) == 5 and len({one.kind for one in found}) >= 3
