"""Epoch times, entities without a table, and columns that are left out; each import repeated by its manifest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import replicas
import yaml

from relbench_harness.authoring.new_dataset import Imported, new_dataset
from relbench_harness.authoring.wanted import Wanted
from relbench_harness.errors import InputError


def manifest(imported: Imported) -> dict[str, dict[str, dict[str, object]]]:
    return dict(yaml.safe_load((imported.folder / "manifest.yaml").read_text()))


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


ENTITY = {"users": ("ratings.userId", "tags.userId")}


def test_movielens_comes_in_whole(tmp_path: Path) -> None:
    source = replicas.movielens(tmp_path / "in")
    imported = new_dataset("ml", str(source), tmp_path, Wanted(entities=ENTITY))
    tables = manifest(imported)["tables"]
    assert tables["users"] == {"pkey": "userId", "time_col": None, "fkeys": {}}
    assert tables["ratings"] == {"pkey": None, "time_col": "timestamp", "fkeys": {"userId": "users", "movieId": "movies"}}
    assert tables["tags"]["fkeys"] == {"userId": "users", "movieId": "movies"} and tables["tags"]["time_col"] == "timestamp"
    was = pd.read_csv(source / "ratings.csv").sort_values("timestamp", kind="stable")
    rows = pq.read_table(imported.folder / "db" / "ratings.parquet").to_pandas()
    assert (rows["timestamp"].to_numpy() == pd.to_datetime(was["timestamp"], unit="s").to_numpy()).all()
    users = sorted(set(was["userId"]) | set(pd.read_csv(source / "tags.csv")["userId"]))
    keys = pq.read_table(imported.folder / "keys" / "users.parquet").column("userId").to_pylist()
    assert keys == users and [keys[i] for i in rows["userId"]] == was["userId"].tolist()
    once = content(imported.folder)
    for _ in range(2):
        new_dataset("ml", str(source), tmp_path, Wanted(again=True))
        assert content(imported.folder) == once, "an import is a function of its source and its manifest"


def test_a_table_is_left_out_when_importing_again(tmp_path: Path) -> None:
    source = replicas.movielens(tmp_path / "in")
    new_dataset("ml", str(source), tmp_path, Wanted(entities=ENTITY, times={"tags": "timestamp:epoch_s"}))
    again = new_dataset("ml", str(source), tmp_path, Wanted(again=True, exclude=("tags",)))
    assert set(manifest(again)["tables"]) == {"links", "movies", "ratings", "users"}
    once = content(again.folder)
    new_dataset("ml", str(source), tmp_path, Wanted(again=True))
    assert content(again.folder) == once
    with pytest.raises(InputError, match="no table 'tags' is imported"):
        new_dataset("ml", str(source), tmp_path, Wanted(again=True, times={"tags": "timestamp"}))


def test_an_entity_that_no_table_lists_is_told_of(tmp_path: Path) -> None:
    imported = new_dataset("ml", str(replicas.movielens(tmp_path / "in")), tmp_path, Wanted())
    assert any("--entity users=ratings.userId,tags.userId" in hint for hint in imported.hints)


@pytest.mark.parametrize(
    ("entities", "says"),
    [
        ({"users": ("ratings.userid",)}, "table 'ratings' has no column 'userid'; did you mean 'userId'"),
        ({"users": ("rating.userId",)}, "no table 'rating' is imported; did you mean 'ratings'"),
        ({"users": ("userId",)}, "'userId' does not read TABLE.COLUMN"),
        ({"Movies": ("ratings.userId",)}, "there is a table 'Movies' already"),
    ],
)
def test_an_entity_that_cannot_be(entities: dict[str, tuple[str, ...]], says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        new_dataset("ml", str(replicas.movielens(tmp_path / "in")), tmp_path / "out", Wanted(entities=entities))
    assert list((tmp_path / "out").iterdir()) == []


def test_an_entity_of_keys_of_several_types(tmp_path: Path) -> None:
    """Texts, whole numbers, and whole numbers that a missing value made floats."""
    where = tmp_path / "in"
    where.mkdir()
    days = pd.date_range("2020-01-01", periods=60)
    pd.DataFrame({"a_id": range(60), "who": [f"{i % 9}" for i in range(60)], "at": days}).to_parquet(where / "a.parquet")
    pd.DataFrame({"b_id": range(60), "who": [None if i < 3 else i % 12 for i in range(60)], "at": days}).to_parquet(
        where / "b.parquet"
    )
    imported = new_dataset("x", str(where), tmp_path, Wanted(entities={"people": ("a.who", "b.who")}))
    keys = pq.read_table(imported.folder / "keys" / "people.parquet").column("who").to_pylist()
    assert sorted(keys, key=int) == [str(i) for i in range(12)]
    rows = pq.read_table(imported.folder / "db" / "b.parquet").to_pylist()
    assert [None if row["who"] is None else int(keys[row["who"]]) for row in rows] == [
        None if i < 3 else i % 12 for i in range(60)
    ]


UNITS = {"epoch_s": 10**9, "epoch_ms": 10**6, "epoch_us": 10**3, "epoch_ns": 1}


@pytest.mark.parametrize("unit", list(UNITS))
@pytest.mark.parametrize(("column", "sure"), [("created_at", True), ("value", False)])
def test_epochs_are_recognised_by_range_and_name(unit: str, column: str, sure: bool, tmp_path: Path) -> None:
    where = tmp_path / "in"
    where.mkdir()
    days = pd.date_range("2019-03-31 01:30", periods=90, freq="31h")
    ticks = [int(day.value) // UNITS[unit] for day in days]
    pd.DataFrame({"event_id": range(90), column: ticks, "v": range(90)}).to_csv(where / "events.csv", index=False)
    if not sure:
        with pytest.raises(InputError, match="no table has a column that is surely its time"):
            new_dataset("x", str(where), tmp_path / "out", Wanted())
    told = {} if sure else {"events": f"{column}:{unit}"}
    imported = new_dataset("x", str(where), tmp_path, Wanted(times=told))
    rows = pq.read_table(imported.folder / "db" / "events.parquet")
    assert rows.column(column).to_pandas().tolist() == days.tolist()
    assert imported.written["events"].spec.time_col == column
    assert manifest(imported)["origin"]["choices"]["formats"] == {f"events.{column}": unit}


@pytest.mark.parametrize(
    ("form", "every"),
    [("epoch_s", "500ms"), ("%Y%m%d", "D"), ("%d/%m/%Y %H:%M", "11h"), ("%b %d %Y", "D"), ("%m/%d/%Y", "D")],
)
def test_a_time_reads_as_told(form: str, every: str, tmp_path: Path) -> None:
    where = tmp_path / "in"
    where.mkdir()
    days = pd.date_range("2020-01-28", periods=40, freq=every)
    shown = days.map(lambda day: day.timestamp()) if form == "epoch_s" else days.strftime(form)
    pd.DataFrame({"id": range(40), "x": shown}).to_csv(where / "t.csv", index=False)
    imported = new_dataset("x", str(where), tmp_path, Wanted(times={"t": f"x:{form}"}))
    assert pq.read_table(imported.folder / "db" / "t.parquet").column("x").to_pylist() == days.tolist()
    assert manifest(imported)["tables"]["t"]["time_col"] == "x"


def test_a_clock_that_is_read_lies_in_the_zone(tmp_path: Path) -> None:
    where = tmp_path / "in"
    where.mkdir()
    shown = ["10/01/2020 12:00", "10/02/2020 12:00", "10/07/2020 12:00", "10/08/2020 12:00"] * 10
    pd.DataFrame({"id": range(40), "x": sorted(shown, key=lambda s: s[3:5])}).to_csv(where / "t.csv", index=False)
    wanted = Wanted(times={"t": "x:%d/%m/%Y %H:%M"}, zone="America/New_York")
    imported = new_dataset("x", str(where), tmp_path, wanted)
    found = set(pq.read_table(imported.folder / "db" / "t.parquet").column("x").to_pylist())
    assert found == {pd.Timestamp(f"2020-{end}:00") for end in ("01-10 17", "02-10 17", "07-10 16", "08-10 16")}


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("v:epoch_x", "no format 'epoch_x'; did you mean 'epoch_"),
        ("v", "reads as no time; --time t=v:FORMAT says how"),
        ("v:%d.%m.%Y", "no value of the column, which is int64, reads so"),
        ("at:epoch_s", "the column holds times already"),
        ("w:epoch_s", "table 't' has no column 'w'"),
    ],
)
def test_a_time_that_is_none(spec: str, says: str, tmp_path: Path) -> None:
    where = tmp_path / "in"
    where.mkdir()
    pd.DataFrame({"id": range(9), "v": 7, "at": pd.date_range("2020", periods=9)}).to_csv(where / "t.csv", index=False)
    with pytest.raises(InputError, match=says):
        new_dataset("x", str(where), tmp_path / "out", Wanted(times={"t": spec}))


SECRETS = {
    "password_hash": "x", "PasswordSalt": "x", "api_key": "x", "accessToken": "x", "ssn": "123", "creditcardnumber": "4111",
    "cvv": 123, "iban": "DE", "social_security_no": "1", "salt": "x", "client_secret": "x",
}  # fmt: skip
HARMLESS = {
    "password_changed_at": pd.Timestamp("2020-01-01"), "secretary": "x", "tokens": 5, "has_credit_card": True, "card_type": "visa",
    "spin": 1, "classname": "x", "hashtag": "x", "login_attempts": 2, "token_count": 3, "creditcardid": 7,
}  # fmt: skip


def people(where: Path) -> Path:
    where.mkdir()
    days = pd.date_range("2020-01-01", periods=50)
    columns = {"user_id": range(50), "joined_at": days, **SECRETS, **HARMLESS}
    pd.DataFrame(columns).to_csv(where / "users.csv", index=False)
    return where


def test_secrets_are_left_out_and_named(tmp_path: Path) -> None:
    joined = {"users": "joined_at"}
    imported = new_dataset("x", str(people(tmp_path / "in")), tmp_path, Wanted(times=joined))
    names = pq.read_schema(imported.folder / "db" / "users.parquet").names
    assert names == ["user_id", "joined_at", *HARMLESS]
    for column in SECRETS:
        note = f"users.{column} is named like a secret and left out; --keep users.{column} takes it"
        assert note in imported.notes
    kept = new_dataset("y", str(tmp_path / "in"), tmp_path, Wanted(times=joined, keep=("users.ssn", "users.iban")))
    names = pq.read_schema(kept.folder / "db" / "users.parquet").names
    assert {"ssn", "iban"} <= set(names) and "cvv" not in names
    again = new_dataset("y", str(tmp_path / "in"), tmp_path, Wanted(again=True))
    assert pq.read_schema(again.folder / "db" / "users.parquet").names == names
    with pytest.raises(InputError, match="table 'users' has no column 'snn'; did you mean 'ssn'"):
        new_dataset("z", str(tmp_path / "in"), tmp_path, Wanted(times=joined, keep=("users.snn",)))


def test_salt_is_food_where_no_password_is(tmp_path: Path) -> None:
    where = tmp_path / "in"
    where.mkdir()
    pd.DataFrame({"meal_id": range(20), "eaten_at": pd.date_range("2020", periods=20), "salt": 1.5}).to_csv(
        where / "meals.csv", index=False
    )
    imported = new_dataset("x", str(where), tmp_path, Wanted())
    assert "salt" in pq.read_schema(imported.folder / "db" / "meals.parquet").names and imported.notes == []


def test_a_key_is_never_left_out(tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.executescript(
            "CREATE TABLE sessions (token TEXT PRIMARY KEY, at TIMESTAMP);"
            "CREATE TABLE hits (id INTEGER PRIMARY KEY, session_token TEXT REFERENCES sessions (token), at TIMESTAMP);"
        )
        connection.executemany("INSERT INTO sessions VALUES (?, ?)", [(f"t{i}", f"2020-01-{1 + i:02}") for i in range(28)])
        connection.executemany(
            "INSERT INTO hits VALUES (?, ?, ?)", [(i, f"t{i}", f"2020-02-{1 + i:02}") for i in range(28)]
        )
    imported = new_dataset("x", f"sqlite:///{tmp_path / 's.db'}", tmp_path, Wanted())
    tables = manifest(imported)["tables"]
    assert tables["hits"]["fkeys"] == {"session_token": "sessions"} and tables["sessions"]["pkey"] == "token"


def harness(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "RELBENCH_HARNESS_DATASETS": str(folder / "datasets"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "relbench_harness.cli", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--time", "ratings"], "--time 'ratings' does not read TABLE=COLUMN"),
        (["--time", "rating=timestamp:epoch_s"], "no table 'rating' is imported; did you mean 'ratings'"),
        (["--time", "ratings=timestamp:epoch_seconds"], "no format 'epoch_seconds'; did you mean 'epoch_"),
        (["--time", "ratings=timestamp", "--time", "ratings=rating"], "--time names 'ratings' twice"),
        (["--entity", "users"], "--entity 'users' does not read NAME=TABLE.COLUMN"),
        (["--exclude", "tagz"], "has no table 'tagz'; did you mean 'tags'"),
        (["--only", "ratingz"], "has no table 'ratingz'; did you mean 'ratings'"),
        (["--keep", "ratings.timestmp"], "did you mean 'timestamp'"),
        (["--keep", "timestamp"], "--keep 'timestamp' does not read TABLE.COLUMN"),
    ],
)
def test_wrong_options_get_one_sentence(options: list[str], says: str, tmp_path: Path) -> None:
    source = replicas.movielens(tmp_path / "in")
    done = harness(["dataset", "new", "ml", "--from", str(source), *options], tmp_path)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "datasets" / "ml").exists()


@pytest.mark.thorough
def test_movielens_from_files_to_a_result(tmp_path: Path) -> None:
    source = replicas.movielens(tmp_path / "in")
    horizon = "PREDICT COUNT(ratings.*, 0, 60, days) > 0 FOR EACH users.userId WHERE COUNT(ratings.*, -360, 0, days) > 0"
    for arguments in (
        ["dataset", "new", "ml", "--from", str(source), "--entity", "users=ratings.userId,tags.userId"],
        ["dataset", "check", "ml"],
        ["task", "new", "ml/active", horizon],
        ["task", "new", "ml/stars", "PREDICT AVG(ratings.rating, 0, 60, days) FOR EACH users.userId"],
        ["run", "task=ml/active", "method=constant", "regime=rolling", "results_dir=results"],
        ["run", "task=ml/active", "method=label_history", "regime=rolling", "results_dir=results"],
        ["run", "task=ml/stars", "method=label_history", "regime=rolling", "results_dir=results"],
        ["rank", "results"],
    ):
        done = harness(arguments, tmp_path)
        assert done.returncode == 0, (arguments, done.stdout[-1500:], done.stderr[-1500:])
        assert "Traceback" not in done.stderr
    assert "label_history" in done.stdout and "constant" in done.stdout
    shutil.rmtree(tmp_path / "datasets")
