"""Importing again: what of the folder stays beside the tables, and that its tasks still have what they ask about.

Invariant: nothing that a user stored in the folder is lost. A task that the new tables no longer carry is an error that names it,
before anything is replaced.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from relbench_harness.authoring.column_profile import Workbench
from relbench_harness.authoring.cut_points import CutPoints, longest_window
from relbench_harness.authoring.identifiers import quoted
from relbench_harness.data.database import Database
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.labels import Cuts, sql_labels
from relbench_harness.data.table import Table
from relbench_harness.data.task import Kind, read_task
from relbench_harness.errors import InputError

_MADE = ("manifest.yaml", "db", "keys")
"""What an import makes anew."""


def keep_others(before: Path, after: Path) -> None:
    """Copy from the folder `before` to `after` all that an import does not make; label files name rows that are no more."""
    for path in sorted(before.iterdir()):
        if path.name in _MADE:
            continue
        if path.is_dir():
            ignored = shutil.ignore_patterns("*.parquet") if path.name == "tasks" else None
            shutil.copytree(path, after / path.name, ignore=ignored, symlinks=True)
        else:
            shutil.copy2(path, after / path.name)


def check_tasks(before: Path, after: Path) -> None:
    """Every task of `before` whose tables and columns were there finds them in `after`.

    Raises:
        InputError: It names each task that does not, and what it lacks.
    """
    faults = []
    for path in sorted(before.glob("tasks/*/manifest.yaml")):
        name = path.parent.name
        if _fault(before, before, name) is None and (fault := _fault(before, after, name)) is not None:
            faults.append(f"{name} ({fault})")
    if faults:
        raise InputError(
            f"{before} was not imported again, since tasks of it would lack what they ask about: {'; '.join(faults)}; "
            "keep it in the manifest, or remove these tasks from tasks/"
        )


def _fault(before: Path, folder: Path, name: str) -> str | None:
    """What the task `name` of the dataset `before` lacks in the tables of `folder`, None where nothing."""
    # a table whose entry the user has removed was there all the same: the files in db/ say so
    schemas = {path.stem: pq.read_schema(path) for path in sorted((folder / "db").glob("*.parquet"))}
    specs = {n: (s.pkey, s.time_col) for n, s in Dataset(str(folder), folder).manifest.tables.items()}
    try:
        known = {n: specs.get(n, ("key", "time")) for n in schemas}
        task = read_task(before / "tasks" / name / "manifest.yaml", before.name, known)
        database = Database(Table(n, schema.empty_table()) for n, schema in schemas.items())
        task.visible_columns(database)
        if task.kind is Kind.AUTOCOMPLETE:
            return None
        if task.sql is not None:
            sql_labels(task, database, pd.DatetimeIndex([pd.Timestamp(0)]))
        elif folder != before:
            return "its labels are files that name rows by their number, and rows are numbered anew"
    except InputError as error:
        return str(error)
    return None


def manifest_cuts(manifest: Mapping[str, Any]) -> Cuts | None:
    """The cut points that a manifest names, as UTC without zone; None where it lacks one."""
    found = []
    for key in ("val_timestamp", "test_timestamp"):
        value = manifest.get(key)
        if value is None:
            return None
        try:
            stamp = pd.Timestamp(value)
        except (ValueError, TypeError):
            raise InputError(f"the manifest's {key} {value!r} is no time") from None
        found.append(stamp if stamp.tz is None else stamp.tz_convert("UTC").tz_localize(None))
    if not found[0] < found[1]:
        raise InputError(f"the manifest's val_timestamp {found[0]} is not before its test_timestamp {found[1]}")
    return Cuts(*found)


def measured_cuts(cuts: Cuts, times: Mapping[str, str], bench: Workbench) -> CutPoints:
    """Cut points that are decided, with the share of rows before and the longest window that fits."""
    val, test = cuts
    union = " UNION ALL ".join(f"SELECT {quoted(c)} AS t FROM {quoted(n)}" for n, c in times.items())
    total, before = bench.row(f"SELECT count(t), count(*) FILTER (epoch_ns(t) < {val.value}) FROM ({union})")
    horizon = longest_window(val, test, times, bench)
    return CutPoints(val, test, int(before) / max(int(total), 1), horizon)  # type: ignore[call-overload]
