"""Writes a dataset as a RelBench 3 folder that `relbench.load_dataset` opens: manifest, parquet tables, tasks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from relbench_harness.data.dataset import Dataset
from relbench_harness.data.writing import whole, write_whole
from relbench_harness.errors import InputError

ROWS = 1 << 17


def export(dataset: Dataset, folder: Path) -> Path:
    """Write `dataset` to the new or empty `folder`, row group by row group.

    The manifest names the dataset as it was asked for and loses what only the harness knows (`parameters`, `hub`).

    Raises:
        InputError: The folder holds something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty; a dataset is written to a new folder")
    for name, table in dataset.database.items():
        with whole(folder / "db" / f"{name}.parquet") as file:
            pq.write_table(table.rows, file, row_group_size=ROWS, compression="zstd")
    manifest = yaml.safe_load((dataset.folder / "manifest.yaml").read_text(encoding="utf-8"))
    plain = {key: value for key, value in manifest.items() if key not in ("parameters", "hub")}
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    for name in dataset.task_names:
        shutil.copytree(dataset.folder / "tasks" / name, folder / "tasks" / name)
    # the manifest last: a folder without it is no dataset
    write_whole(folder / "manifest.yaml", text)
    return folder
