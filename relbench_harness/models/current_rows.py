"""The database of a kept model as it is at its source now: the import of before, made again into a folder that is gone afterwards.

Invariant: the dataset that the model was fitted on is read for its decisions alone and never changed, so results about it keep
their meaning.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
import warnings
import weakref
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from relbench_harness.authoring.appended_rows import LaterRows
from relbench_harness.authoring.kept_rows import replace_kept, taken
from relbench_harness.authoring.new_dataset import new_dataset
from relbench_harness.authoring.source_choice import place_of
from relbench_harness.authoring.wanted import Wanted
from relbench_harness.data.cache import cache_home
from relbench_harness.data.cache_contents import ROWS
from relbench_harness.data.dataset import Dataset, open_dataset
from relbench_harness.errors import InputError, ResultWarning
from relbench_harness.progress import work

KEPT = 86_400
"""Seconds after which what a killed process has left is removed."""


def is_source(address: str) -> bool:
    """Whether `address` is where tables come from (a URI, a database's file, a folder of files), not a dataset."""
    if "://" in address:
        return True
    path = Path(address).expanduser()
    return path.is_file() or (path.is_dir() and not (path / "manifest.yaml").is_file())


def current_rows(before: Dataset, uri: str, overlap: pd.Timedelta | None = None) -> Dataset:
    """The rows at `uri`, imported by the decisions and options that the manifest of `before` records.

    Args:
        overlap: Rows up to this long before the latest that an import before has kept are read, and all that came since;
            older ones are as that import had them, and a warning says so. None reads every row.

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
        kept = None if overlap is None else _Appending.of(target / "manifest.yaml", uri, folder, overlap)
        with work("rows") as rows:
            new_dataset(
                target.name, uri, folder, Wanted(again=True), lambda table, count: rows.at(count, f"of {table} imported"),
                None if kept is None else kept.rows,
            )  # fmt: skip
        found = open_dataset(str(target))
        if kept is not None:
            kept.end()
        gone = [folder, *([] if found.is_built else [found.stored])]
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    # what is mapped stays readable
    weakref.finalize(found, _remove, gone)
    return found


@dataclass(frozen=True)
class _Appending:
    """The rows that are kept of one source for one manifest, and those that take their place.

    Attributes:
        place: Where they are kept.
    """

    rows: LaterRows
    place: Path

    @classmethod
    def of(cls, manifest: Path, uri: str, folder: Path, overlap: pd.Timedelta) -> _Appending:
        said = manifest.read_bytes()
        identity = hashlib.sha256(b"\0".join([said, place_of(uri).encode()])).hexdigest()[:20]
        place = cache_home() / ROWS / identity
        before = taken(place, folder / "before")
        now = pd.Timestamp.now("UTC").tz_localize(None).floor("s")
        return cls(LaterRows(yaml.safe_load(said), before, overlap, now, folder / "rows"), place)

    def end(self) -> None:
        """Keep the rows for the next import, and say what of this one was read."""
        replace_kept(self.rows.folder, self.place)
        for sentence in _sentences(self.rows):
            warnings.warn(sentence, ResultWarning, stacklevel=5)


def _sentences(rows: LaterRows) -> list[str]:
    """What was read, what was not, and what is not seen therefore."""
    if rows.before is None:
        return ["no rows of this source were kept before, so all were read; they are kept for the next --append"]
    found = []
    if rows.appended:
        parts = [f"{n} ({a.read:,} rows read, {a.kept:,} before {a.day.date()} not)" for n, a in rows.appended.items()]
        found.append(
            f"{', '.join(parts)}: changes in rows that were not read are not seen as long as their number is the same"
        )
    reasons = {why: [n for n, said in rows.whole.items() if said == why] for why in rows.whole.values()}
    found += [f"read whole: {', '.join(names)}, since {why}" for why, names in reasons.items()]
    return found


def _age(path: Path) -> float:
    """Seconds since the folder was made."""
    return time.time() - path.stat().st_mtime


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
