"""A dataset written as a RelBench 3 folder: relbench and the harness read the same tables and labels from it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import relbench

from relbench_harness.cli import main
from relbench_harness.data.dataset import Dataset, open_dataset
from relbench_harness.data.export import export
from relbench_harness.data.labels import SPLITS
from relbench_harness.errors import InputError


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return open_dataset("rel-shop@scale=1")


@pytest.fixture(scope="module")
def folder(shop: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(shop, tmp_path_factory.mktemp("export") / "rel-shop")


def test_the_harness_reads_the_same_database(shop: Dataset, folder: Path) -> None:
    assert open_dataset(str(folder)).database.fingerprint == shop.database.fingerprint


def test_relbench_opens_it_and_makes_the_same_labels(shop: Dataset, folder: Path) -> None:
    theirs = relbench.load_dataset(folder)
    database = theirs.get_db(upto_test_timestamp=False)
    for name, table in shop.database.items():
        assert len(database.table_dict[name].df) == len(table)
    for name in shop.task_names:
        opened, task = theirs.load_task(name), shop.task(name)
        for split in SPLITS:
            ours = shop.labels(task, split).frame(task)
            expected = opened.get_table(split, mask_input_cols=False).df.reset_index(drop=True)[ours.columns]
            if task.item_table is not None:
                ours[task.target] = ours[task.target].map(sorted)
                expected[task.target] = expected[task.target].map(sorted)
            pd.testing.assert_frame_equal(_sorted(ours), _sorted(expected), check_dtype=False)


def test_the_shell_exports(tmp_path: Path) -> None:
    assert main(["dataset", "export", "rel-shop@scale=0.2", str(tmp_path / "small")]) == 0
    assert len(open_dataset(str(tmp_path / "small")).database["customers"]) == 300
    assert main(["dataset", "export", "rel-shop@scale=0.2", str(tmp_path / "small")]) == 2


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(list(frame.columns[:2]), ignore_index=True)


def test_a_folder_in_use_is_left_alone(shop: Dataset, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        export(shop, tmp_path)
