"""The database of a kept model as it is at its source now: the import of before, made again into a folder that is gone afterwards.

Invariant: the dataset that the model was fitted on is read for its decisions alone and never changed, so results about it keep
their meaning.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from pathlib import Path

from relbench_harness.authoring.new_dataset import new_dataset
from relbench_harness.authoring.wanted import Wanted
from relbench_harness.data.cache import cache_home
from relbench_harness.data.dataset import Dataset, open_dataset
from relbench_harness.errors import InputError
from relbench_harness.progress import work

KEPT = 86_400
"""Seconds after which what a killed process has left is removed."""


def is_source(address: str) -> bool:
    """Whether `address` is where tables come from (a URI, a database's file, a folder of files), not a dataset."""
    if "://" in address:
        return True
    path = Path(address).expanduser()
    return path.is_file() or (path.is_dir() and not (path / "manifest.yaml").is_file())


def current_rows(before: Dataset, uri: str) -> Dataset:
    """The rows at `uri`, imported by the decisions and options that the manifest of `before` records.

    All rows are read: what tells new rows from changed ones differs from source to source, and rows that changed count.

    Raises:
        InputError: A source that cannot be read, or that lacks a table, key or time of the manifest.
    """
    if before.parameters or (before.folder / "build.py").is_file():
        raise InputError(f"dataset {before.name} is made by a script, so it cannot be imported from a source")
    home = cache_home() / "current"
    home.mkdir(parents=True, exist_ok=True)
    _remove([path for path in home.iterdir() if _age(path) > KEPT])
    folder = Path(tempfile.mkdtemp(prefix=f"{before.folder.name}-", dir=home))
    try:
        target = folder / before.folder.name
        target.mkdir()
        shutil.copyfile(before.folder / "manifest.yaml", target / "manifest.yaml")
        with work("rows") as rows:
            new_dataset(
                target.name, uri, folder, Wanted(again=True), lambda table, count: rows.at(count, f"of {table} imported")
            )
        found = open_dataset(str(target))
        gone = [folder, *([] if found.is_built else [found.stored])]
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    # what is mapped stays readable
    weakref.finalize(found, _remove, gone)
    return found


def _age(path: Path) -> float:
    """Seconds since the folder was made."""
    return time.time() - path.stat().st_mtime


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
