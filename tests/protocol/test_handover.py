"""What a method may see, written to files and read back, is the same; and nothing else is in the files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_examples import DAY, made_task
from random_databases import databases
from shop_folder import TASKS, write_shop

from relbench_harness.data.cache import cache_home
from relbench_harness.data.database import Database
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.table import Table
from relbench_harness.errors import InputError
from relbench_harness.protocol.handover import Handover, Reader
from relbench_harness.protocol.method import REGIMES, Examples, Regime, TrainingLabels
from relbench_harness.protocol.stages import Stages


def check_same(one: Examples, other: Examples) -> None:
    """Fails unless both are equal in every field, type and value."""
    for entry in fields(Examples):
        mine, theirs = getattr(one, entry.name), getattr(other, entry.name)
        if entry.name == "database":
            _check_same_database(mine, theirs)
        else:
            _check_same_value(mine, theirs)


def _check_same_value(mine: Any, theirs: Any) -> None:
    assert type(mine) is type(theirs)
    if isinstance(mine, tuple) and hasattr(mine, "_fields"):
        for one, other in zip(mine, theirs, strict=True):
            _check_same_value(one, other)
    elif isinstance(mine, np.ndarray):
        assert mine.dtype == theirs.dtype and np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f")
    else:
        assert mine == theirs


def _check_same_database(mine: Database, theirs: Database) -> None:
    assert list(mine) == list(theirs)
    for name, table in mine.items():
        for entry in {f.name for f in fields(Table)} - {"rows", "origin"}:
            assert getattr(table, entry) == getattr(theirs[name], entry), entry
        assert table.rows.schema == theirs[name].rows.schema
        # keys of the source are nothing that a method may learn from
        assert theirs[name].origin is None
    # NaN equals itself here
    assert mine.fingerprint == theirs.fingerprint


def files_of(database: Database, folder: Path) -> dict[str, pa.Table]:
    """Table → what the folder's file of it holds."""
    return {
        name: pa.ipc.open_file(pa.memory_map(str(folder / f"{number}.arrow"))).read_all()
        for number, name in enumerate(database)
    }


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_shop(tmp_path_factory.mktemp("handed") / "shop")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    home = tmp_path_factory.mktemp("handed-over")
    return lambda: Path(tempfile.mkdtemp(dir=home))


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("task", TASKS)
def test_examples_of_every_type_are_read_back_as_they_were(
    shop: Dataset, folders: Callable[[], Path], task: str, regime: Regime
) -> None:
    stages = Stages(shop, shop.task(task), regime)
    folder, handover, reader = folders(), Handover(stages.shown, shop.database.fingerprint), Reader()
    early = {"train": stages.examples("train"), "valid": stages.examples("val"), "val": stages.holdout("val").examples}
    both = stages.final_training()
    late = {"final": both, "test": stages.holdout("test", both.fit_end).examples, "alone": stages.holdout("test").examples}
    for name, examples in (("early", early), ("late", late)):
        handover.write(folder / name, examples)
    found = reader.read(folder / "early")
    for name, examples in early.items():
        check_same(examples, found[name])
    assert found["train"].training is found["val"].training
    later = reader.read(folder / "late")
    for name, examples in late.items():
        check_same(examples, later[name])
    assert later["alone"].training is found["train"].training
    for when, examples in (("early", early), ("late", late)):
        for name, rows in files_of(stages.shown, folder / when).items():
            assert len(rows) == max(len(one.database[name]) for one in examples.values())
    hidden = {column for _, column in stages.task.remove_columns}
    table = files_of(stages.shown, folder / "late")[stages.task.entity_table]
    assert not hidden & set(table.column_names)


@settings(max_examples=40, deadline=None)
@given(databases(), st.randoms(use_true_random=False))
def test_databases_cut_anywhere_are_read_back_as_they_were(
    folders: Callable[[], Path], database: Database, random: Any
) -> None:
    cuts = [{name: random.randint(0, len(table)) for name, table in database.items()} for _ in range(3)]
    training = TrainingLabels(np.asarray([0, 1]), np.asarray([DAY, DAY]), np.asarray([0.5, np.nan]))
    examples = {
        str(number): Examples(
            made_task("users"), database.prefixes(cut), np.arange(number), np.full(number, DAY), np.full(number, DAY),
            np.linspace(0, 1, number) if number else None, "frozen", 3 * DAY, training=training,
        )
        for number, cut in enumerate(cuts)
    }  # fmt: skip
    folder = folders()
    Handover(database, database.fingerprint).write(folder, examples)
    found = Reader().read(folder)
    for name, one in examples.items():
        check_same(one, found[name])
    longest = {name: max(cut[name] for cut in cuts) for name in database}
    for name, rows in files_of(database, folder).items():
        assert len(rows) == longest[name]
        for column, parent in database[name].references.items():
            named = [row for row in rows.column(column).to_pylist() if row is not None]
            assert max(named, default=-1) < longest[parent]


def test_values_of_later_rows_are_in_no_dictionary(folders: Callable[[], Path]) -> None:
    values = pa.array(["late", "early", "between", "early", None, "between", "late"]).dictionary_encode()
    rows = pa.table({"at": pa.array([1, 1, 2, 3, 4, 5, 6], pa.int64()).cast(pa.timestamp("ns")), "kind": values})
    database = Database([Table("events", rows.slice(1), time="at")])
    cut = database.prefixes({"events": 5})
    examples = Examples(
        made_task("events"), cut, np.arange(1), np.ones(1, np.int64), np.ones(1, np.int64), None, "frozen", 1
    )
    folder = folders()
    Handover(database, database.fingerprint).write(folder, {"one": examples})
    assert b"late" not in (folder / "0.arrow").read_bytes()
    check_same(examples, Reader().read(folder)["one"])


def test_a_table_is_written_once_and_by_many_at_a_time(shop: Dataset, folders: Callable[[], Path]) -> None:
    stages = Stages(shop, shop.task("spend"), "frozen")
    examples = {"train": stages.examples("train")}

    def write(folder: Path) -> Mapping[str, Examples]:
        Handover(stages.shown, "many").write(folder, examples)
        return Reader().read(folder)

    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(write, [folders() for _ in range(16)]):
            check_same(examples["train"], found["train"])
    before = set((cache_home() / "views").iterdir())
    folder = folders()
    write(folder)
    assert set((cache_home() / "views").iterdir()) == before
    assert all(path.stat().st_nlink > 1 for path in folder.glob("*.arrow"))
    assert not list((cache_home() / "views").glob(".partial-*"))


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: Any) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr("relbench_harness.data.writing.os.link", refuse)
    yield


def test_a_file_system_without_links_gets_copies(shop: Dataset, folders: Callable[[], Path], no_links: None) -> None:
    stages = Stages(shop, shop.task("churn"), "frozen")
    folder, examples = folders(), {"train": stages.examples("train")}
    Handover(stages.shown, "copied").write(folder, examples)
    check_same(examples["train"], Reader().read(folder)["train"])


def test_a_folder_that_cannot_be_written_is_one_sentence(shop: Dataset, folders: Callable[[], Path]) -> None:
    stages = Stages(shop, shop.task("churn"), "frozen")
    place = folders() / "file"
    place.write_text("in the way")
    with pytest.raises(InputError, match="what a method may see cannot be written to"):
        Handover(stages.shown, "x").write(place, {"train": replace(stages.examples("train"), classes=())})
