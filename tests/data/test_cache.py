"""The cache of built databases: whole or not there, healed when damaged, charged with what building cost."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from shop_folder import shop_tables, write_shop

from relbench_harness.data import cache
from relbench_harness.data.cache import Built, open_stored, stored
from relbench_harness.data.dataset import Dataset, open_dataset
from relbench_harness.errors import InputError
from relbench_harness.timing import timed


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RELBENCH_HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "databases"


@pytest.fixture
def shop(tmp_path: Path, home: Path) -> Dataset:
    return write_shop(tmp_path / "shop")


def again(dataset: Dataset) -> Dataset:
    return open_dataset(str(dataset.folder))


def test_a_second_opening_builds_nothing_and_holds_the_same(shop: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shop.database

    def refuse(*_: object) -> None:
        raise AssertionError("built twice")

    monkeypatch.setattr("relbench_harness.data.dataset.canonical", refuse)
    with timed() as watch:
        second = again(shop).database
    assert watch.restored["load"] > 0
    assert second.fingerprint == first.fingerprint
    for name in first:
        assert second[name].rows.equals(first[name].rows)
        assert (second[name].key, second[name].time) == (first[name].key, first[name].time)
        assert dict(second[name].references) == dict(first[name].references)


def test_a_stored_fingerprint_is_the_computed_one(shop: Dataset) -> None:
    rebuilt = shop.database.prefixes({name: len(table) for name, table in shop.database.items()})
    assert rebuilt.fingerprint == shop.database.fingerprint


def test_an_interrupted_build_leaves_nothing(shop: Dataset, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = cache._write_arrow

    def fail_late(rows: object, path: Path) -> None:
        written(rows, path)
        if path.name.startswith("2"):
            raise KeyboardInterrupt

    monkeypatch.setattr(cache, "_write_arrow", fail_late)
    with pytest.raises(KeyboardInterrupt):
        _ = shop.database
    assert list(home.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setenv("RELBENCH_HARNESS_CACHE", str(home.parent))
    assert len(again(shop).database["order"]) == 500


@pytest.mark.parametrize("damage", ["cut index", "no index", "cut table", "no table", "other index"])
def test_a_damaged_entry_is_built_anew(shop: Dataset, home: Path, damage: str) -> None:
    expected = shop.database.fingerprint
    (folder,) = home.iterdir()
    what, file = damage.split()
    path = folder / ("index.json" if file == "index" else "2.arrow")
    if what == "no":
        path.unlink()
    elif what == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    else:
        path.write_text("[]")
    database = again(shop).database
    assert database.fingerprint == expected and len(database["order lines"]) == len(shop.database["order lines"])
    assert [f.name for f in home.iterdir()] == [folder.name]


def test_parallel_builds_end_in_one_whole_entry(shop: Dataset, home: Path) -> None:
    database = shop.database
    started = threading.Barrier(4)
    folders, faults = [], []

    def build(_: Path) -> Built:
        time.sleep(0.05)
        return Built(database)

    def work() -> None:
        try:
            started.wait()
            folders.append(stored("same", "f" * 40, build))
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == [] and len(set(folders)) == 1
    assert open_stored(folders[0]).fingerprint == database.fingerprint
    assert sum(f.name.startswith((".same", "same")) for f in home.iterdir()) == 1


def test_another_source_is_another_entry(shop: Dataset, home: Path, tmp_path: Path) -> None:
    _ = shop.database
    other = write_shop(tmp_path / "other" / "shop", shop_tables(seed=1))
    assert other.database.fingerprint != shop.database.fingerprint
    assert len(list(home.iterdir())) == 2


def test_a_table_that_is_no_parquet_file(shop: Dataset) -> None:
    (shop.folder / "db" / "order.parquet").write_text("no parquet")
    with pytest.raises(InputError, match=r"order\.parquet is not a parquet file"):
        _ = again(shop).database
