"""Imports that are found again: by source and options, and only while the source is as it was."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import duckdb
import pytest
from little_shop import write_sqlite

from relbench_harness.authoring.source_choice import open_source
from relbench_harness.authoring.wanted import Wanted
from relbench_harness.data.dataset import open_dataset
from relbench_harness.errors import InputError
from relbench_harness.trial.source import Found, dataset_of, read_record
from relbench_harness.trial.source_state import state_of

ALL = Wanted(take_all=True)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return write_sqlite(tmp_path / "shop.sqlite")


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


def add_order(uri: str) -> None:
    connection = sqlite3.connect(uri.removeprefix("sqlite:///"))
    connection.execute("INSERT INTO orders VALUES (9000, 1, 1, '2024-10-20 00:00:00', 1.0)")
    connection.commit()
    connection.close()


def test_an_import_is_found_until_the_source_changes(uri: str, out: Path) -> None:
    first = dataset_of(uri, out, ALL)
    assert (first.address, first.how) == ("shop", "imported")
    assert dataset_of(uri, out, ALL).how == "found"
    # a file by its name alone is the same source
    assert dataset_of(uri.removeprefix("sqlite:///"), out, ALL).how == "imported"
    before = len(open_dataset("shop").database["orders"])
    add_order(uri)
    assert dataset_of(uri, out, ALL) == Found("shop", "imported again", "sqlite database shop.sqlite", ())
    assert len(open_dataset("shop").database["orders"]) == before + 1
    assert dataset_of(uri, out, ALL).how == "found"


def test_what_the_user_wrote_into_the_manifest_holds(uri: str, out: Path) -> None:
    dataset_of(uri, out, ALL)
    manifest = out / "shop" / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace("description: ", "description: Mine. "))
    add_order(uri)
    assert dataset_of(uri, out, ALL).how == "imported again"
    assert "Mine. " in manifest.read_text()


def test_other_options_are_another_dataset(uri: str, out: Path) -> None:
    dataset_of(uri, out, ALL)
    other = dataset_of(uri, out, Wanted(take_all=True, exclude=("products",)))
    assert other.how == "imported" and other.address.startswith("shop-")
    assert "products" not in open_dataset(other.address).database
    assert dataset_of(uri, out, Wanted(take_all=True, exclude=("products",))) == Found(
        other.address, "found", "sqlite database shop.sqlite"
    )
    assert dataset_of(uri, out, ALL).address == "shop"


def test_a_name_of_another_dataset_is_refused(uri: str, out: Path, tmp_path: Path) -> None:
    assert dataset_of(uri, out, ALL, "mine").address == "mine"
    assert dataset_of(uri, out, ALL, "mine").how == "found"
    other = write_sqlite(tmp_path / "other.sqlite")
    with pytest.raises(InputError, match="'mine' is there already and was imported from another source"):
        dataset_of(other, out, ALL, "mine")
    with pytest.raises(InputError, match="--name is for an import, but 'mine' is a dataset"):
        dataset_of("mine", out, ALL, "yours")


def test_a_dataset_is_taken_as_it_is_by_name_or_folder(uri: str, out: Path) -> None:
    dataset_of(uri, out, ALL)
    assert dataset_of("shop", out, ALL) == Found("shop", "there")
    assert dataset_of(str(out / "shop"), out, ALL) == Found("shop", "there")


def test_outside_the_search_path_an_import_is_found_by_name_and_its_folder_is_said(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RELBENCH_HARNESS_DATASETS", raising=False)
    found = dataset_of(uri, tmp_path / "elsewhere", ALL, "nowhere-else")
    assert (found.address, found.searched) == ("nowhere-else", tmp_path / "elsewhere")
    assert len(open_dataset(found.address).database["customers"]) == 80
    assert dataset_of(uri, tmp_path / "elsewhere", ALL, "nowhere-else").searched is None


def test_a_folder_whose_name_is_taken_is_opened_by_its_path(uri: str, out: Path, tmp_path: Path) -> None:
    dataset_of(uri, out, ALL)
    shutil.copytree(out / "shop", tmp_path / "elsewhere" / "shop")
    assert dataset_of(str(tmp_path / "elsewhere" / "shop"), out, ALL).address == str(tmp_path / "elsewhere" / "shop")
    assert dataset_of("shop", out, ALL).address == "shop"


def test_what_is_not_there_is_named_with_the_nearest(out: Path, uri: str) -> None:
    dataset_of(uri, out, ALL)
    with pytest.raises(InputError, match="no dataset, file or folder 'shoq'; did you mean 'shop'"):
        dataset_of("shoq", out, ALL)
    with pytest.raises(InputError, match="no SQLite file"):
        dataset_of("sqlite:///nowhere.sqlite", out, ALL)
    assert not list(out.glob("nowhere*"))


def test_files_are_compared_and_what_cannot_be_compared_has_no_state(tmp_path: Path, uri: str) -> None:
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "t.csv").write_text("a,b\n1,2\n")
    for named in (f"duckdb:///{path}", str(folder), uri):
        before = state_of(open_source(named))
        assert before is not None and before == state_of(open_source(named)), named
    before = state_of(open_source(str(folder)))
    (folder / "u.csv").write_text("a\n1\n")
    assert state_of(open_source(str(folder))) != before
    assert state_of(open_source("mysql://me:pw@127.0.0.1/shop")) is None
    assert state_of(open_source("s3://bucket/table")) is None


def test_a_changed_log_of_sqlite_is_a_change(tmp_path: Path) -> None:
    uri = write_sqlite(tmp_path / "shop.sqlite")
    before = state_of(open_source(uri))
    writer = sqlite3.connect(tmp_path / "shop.sqlite")
    writer.execute("PRAGMA journal_mode=WAL")
    calm = state_of(open_source(uri))
    writer.execute("INSERT INTO orders VALUES (9000, 1, 1, '2024-10-20 00:00:00', 1.0)")
    writer.commit()
    assert state_of(open_source(uri)) not in (before, calm)
    writer.close()


def test_postgresql_is_compared_by_its_transactions_and_no_password_is_written(postgresql_uri: str, out: Path) -> None:
    import psycopg

    first = dataset_of(postgresql_uri, out, ALL)
    assert first.how == "imported" and len(open_dataset(first.address).database["orders"]) == 1500
    assert dataset_of(postgresql_uri, out, ALL).how == "found"
    with psycopg.connect(postgresql_uri) as connection:
        connection.execute("SELECT count(*) FROM orders")
    assert dataset_of(postgresql_uri, out, ALL).how == "found"
    with psycopg.connect(postgresql_uri) as connection:
        connection.execute('UPDATE orders SET amount = amount + 1 WHERE "order" = 3')
    assert dataset_of(postgresql_uri, out, ALL).how == "imported again"
    record = read_record(out / first.address)
    assert record is not None and "p%40ss" not in str(record) and "p@ss" not in str(record)


def test_a_copy_of_a_file_is_another_source(uri: str, out: Path, tmp_path: Path) -> None:
    dataset_of(uri, out, ALL)
    shutil.copy(tmp_path / "shop.sqlite", tmp_path / "copy.sqlite")
    assert dataset_of(f"sqlite:///{tmp_path / 'copy.sqlite'}", out, ALL).address == "copy"
