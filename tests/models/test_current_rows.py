"""A model predicts on the rows that its source has now; a source of another schema is refused by the column."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_methods import small

from relbench_harness.authoring.new_dataset import new_dataset
from relbench_harness.authoring.new_task import new_task
from relbench_harness.authoring.wanted import Wanted
from relbench_harness.cli import main
from relbench_harness.data.cache import cache_home
from relbench_harness.models.model import load_model
from relbench_harness.protocol.configuration import described_method
from relbench_harness.request import RunRequest

QUERY = "PREDICT COUNT(buys.*, 0, 10, days) FOR EACH people.name"


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def fill(path: Path, first: int, last: int) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = [
            (n, f"p{n * 7 % 30}", str(pd.Timestamp("2024-01-01") + pd.Timedelta(hours=5 * n))) for n in range(first, last)
        ]
        connection.executemany("INSERT INTO buys VALUES (?, ?, ?)", rows)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a database, a dataset that was imported from it, and a model that was fitted on that."""
    folder = tmp_path_factory.mktemp("current")
    path = folder / "live.db"
    execute(
        path,
        "CREATE TABLE people (name TEXT PRIMARY KEY, joined TIMESTAMP)",
        "CREATE TABLE buys (id INTEGER PRIMARY KEY, who TEXT REFERENCES people, at TIMESTAMP)",
    )
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("INSERT INTO people VALUES (?, ?)", [(f"p{n}", "2023-12-01") for n in range(30)])
    fill(path, 0, 700)
    new_dataset("live", f"sqlite:///{path}", folder, Wanted())
    list(new_task(f"{folder}/live/buys", QUERY))
    method = small("label_history")
    described = described_method(method)
    request = RunRequest(f"{folder}/live/buys", method, "tested", described, regime="rolling", save=folder / "model")
    assert request.execute().result.ok
    return folder


def test_rows_of_now_are_those_of_a_whole_import(kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, dataset = tmp_path / "live.db", kept / "live"
    path.write_bytes((kept / "live.db").read_bytes())
    fill(path, 700, 900)
    # a person whose key stands before the others, so that rows of people are numbered anew
    execute(path, "INSERT INTO people VALUES ('a new one', '2023-11-01')")
    before = {file: file.read_bytes() for file in dataset.rglob("*.parquet")}
    out = tmp_path / "scores.parquet"
    assert main(["predict", str(kept / "model"), "--from", f"sqlite:///{path}", "--out", str(out)]) == 0
    now = pd.read_parquet(out)
    assert {file: file.read_bytes() for file in dataset.rglob("*.parquet")} == before
    new_dataset("whole", f"sqlite:///{path}", tmp_path, Wanted())
    whole = load_model(kept / "model").predict(dataset=str(tmp_path / "whole"))
    pd.testing.assert_frame_equal(now.drop(columns="timestamp"), whole.drop(columns="timestamp"))
    latest = pd.Timestamp("2024-01-01") + pd.Timedelta(hours=5 * 899)
    assert now["timestamp"].unique().tolist() == [latest + pd.Timedelta(seconds=1)]
    assert "a new one" in set(now["name"]) and len(now) == 31
    old = load_model(kept / "model").predict()
    shared = now.set_index("name")["prediction"].reindex(old["name"]).to_numpy()
    assert np.isfinite(shared).all()


def test_nothing_is_left_behind(kept: Path) -> None:
    model = load_model(kept / "model")
    home = cache_home()
    before = {path.name for part in ("current", "databases") for path in (home / part).glob("*")}
    model.predict(dataset=str(kept / "live.db"))
    del model
    assert {path.name for part in ("current", "databases") for path in (home / part).glob("*")} == before


def test_rows_that_are_appended_give_the_same_predictions(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, dataset = tmp_path / "live.db", kept / "live"
    path.write_bytes((kept / "live.db").read_bytes())
    before = {file: file.read_bytes() for file in dataset.rglob("*.parquet")}
    predict = [
        "predict",
        str(kept / "model"),
        "--from",
        f"sqlite:///{path}",
        "--append",
        "--out",
        str(tmp_path / "scores.parquet"),
    ]
    assert main(predict) == 0
    assert "all were read; they are kept" in capsys.readouterr().err
    fill(path, 700, 900)
    execute(path, "INSERT INTO people VALUES ('a new one', '2023-11-01')")
    assert main([*predict, "--overlap", "2d"]) == 0
    said = capsys.readouterr().err
    # 200 rows in five hours each, and those of the two days and up to two more before them
    assert any(f"buys ({n} rows read, {900 - n} before" in said for n in range(209, 221)), said
    assert "people, since the source has 1 rows before" in said or "people (" in said
    found = pd.read_parquet(tmp_path / "scores.parquet")
    pd.testing.assert_frame_equal(found, load_model(kept / "model").predict(dataset=str(path)))
    assert {file: file.read_bytes() for file in dataset.rglob("*.parquet")} == before


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (["--overlap", "3d"], "give --append, too"),
        (["--append"], "--from names the URI"),
        (["--append", "--from", "live"], "--from names the URI"),
        (["--append", "--from", "sqlite:///live.db", "--overlap", "soon"], "'soon' is no span of time"),
    ],
)
def test_what_cannot_be_appended(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], fault: str
) -> None:
    assert main(["predict", str(kept / "model"), *given, "--out", str(tmp_path / "s.csv")]) == 2
    assert fault in capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("ALTER TABLE buys ADD COLUMN price REAL", "column 'price' of table 'buys' is new"),
        ("ALTER TABLE people RENAME COLUMN joined TO since", "table 'people' has no column 'joined'"),
        ("ALTER TABLE buys RENAME COLUMN who TO whom", "table 'buys' has no column 'who'"),
        ("ALTER TABLE buys RENAME TO bought", "table 'buys', which the source lacks"),
        ("DROP TABLE people", "'people'"),
    ],
)
def test_a_changed_schema_is_refused_by_its_column(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], statement: str, fault: str
) -> None:
    path = tmp_path / "live.db"
    path.write_bytes((kept / "live.db").read_bytes())
    execute(path, statement)
    out = tmp_path / "scores.csv"
    assert main(["predict", str(kept / "model"), "--from", f"sqlite:///{path}", "--out", str(out)]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert fault in said[-1] and not out.exists()
