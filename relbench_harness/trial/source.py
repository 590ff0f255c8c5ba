"""From what a user names to a dataset: one that exists, the import of before, or a new import.

Invariant: the same source with the same options is one dataset. It is read again only where the source changed, or cannot say that it
did not; what the user wrote into its manifest since then holds.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from relbench_harness.authoring.credentials import cleansed
from relbench_harness.authoring.new_dataset import Imported, new_dataset
from relbench_harness.authoring.source_choice import open_source, place_of
from relbench_harness.authoring.staging import Progress
from relbench_harness.authoring.wanted import Wanted, recorded
from relbench_harness.data.names import HUB, PATH_VARIABLE, dataset_folder, dataset_names, hosted, parse_address
from relbench_harness.data.writing import write_whole
from relbench_harness.errors import InputError, nearest
from relbench_harness.trial.source_state import State, state_of

RECORD = "source.json"
"""The file in an imported dataset's folder that says where it came from and how the source was then."""
How = Literal["there", "found", "imported", "imported again"]


@dataclass(frozen=True)
class Found:
    """A dataset to try methods on.

    Attributes:
        address: What opens it.
        how: `there`: it was named itself; `found`: the import of before, whose source has not changed.
        notes: What the import says of what it left out, changed, or could not decide.
        searched: The folder in which this process looks for datasets since then; other processes do not know of it.
    """

    address: str
    how: How
    source: str = ""
    notes: tuple[str, ...] = ()
    searched: Path | None = None


def dataset_of(named: str, out: Path, wanted: Wanted, name: str | None = None, progress: Progress | None = None) -> Found:
    """The dataset that `named` is, or that is imported from it.

    Args:
        named: A dataset, or a source as `dataset new` takes it.
        out: Where imports go.
        name: What the import is called; after its source where None.

    Raises:
        InputError: There is no such dataset and no such source, it cannot be imported, or the name belongs to another dataset.
    """
    there = existing(named)
    if there is not None:
        if name is not None:
            raise InputError(f"--name is for an import, but {named!r} is a dataset that is there already; leave it out")
        return Found(there, "there") if isinstance(there, str) else _found(there, "there")
    if "://" not in named and not Path(named).expanduser().exists():
        known = [*dataset_names(), *hosted()]
        raise InputError(f"no dataset, file or folder {named!r}; {nearest(named, known)}; a database is named by its URI")
    source = open_source(named)
    state = state_of(source)
    identity = _identity(named, wanted)
    chosen = _free_name(_given(name, out, identity) if name is not None else _slug(named), out, identity)
    folder = out / chosen
    before = read_record(folder)
    if before is not None and state is not None and before.get("state") == _plain(state):
        return _found(folder, "found", source.label)
    again = before is not None
    imported = new_dataset(chosen, named, out, replace(wanted, again=again), progress or (lambda table, rows: None))
    _write_record(folder, named, identity, state)
    return _found(folder, "imported again" if again else "imported", source.label, tuple(_notes(imported)))


def _found(folder: Path, how: How, source: str = "", notes: tuple[str, ...] = ()) -> Found:
    address, searched = _opened_by(folder)
    return Found(address, how, source, notes, searched)


def existing(named: str) -> str | Path | None:
    """The dataset that `named` is: its address, or its folder; None where it is none."""
    if named.startswith(HUB):
        return named
    if "://" in named:
        return None
    name = parse_address(named)[0] if "@" in named else named
    if name in dataset_names() or name in hosted():
        return named
    folder = Path(name).expanduser()
    if (folder / "manifest.yaml").is_file():
        return folder if name == named else str(folder.resolve()) + named[len(name) :]
    return None


def read_record(folder: Path) -> dict[str, Any] | None:
    """Where the dataset in `folder` was imported from, None where that is not known."""
    try:
        loaded = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return loaded if isinstance(loaded, dict) and (folder / "manifest.yaml").is_file() else None


def _write_record(folder: Path, named: str, identity: str, state: State | None) -> None:
    record = {"source": cleansed(named, named), "identity": identity, "state": state}
    write_whole(folder / RECORD, json.dumps(record) + "\n")


def _plain(state: State) -> Any:
    return json.loads(json.dumps(state))


def _notes(imported: Imported) -> list[str]:
    open_ = [f"undecided: {proposal.said}" for proposal in imported.open]
    return [*imported.notes, *open_]


def _identity(named: str, wanted: Wanted) -> str:
    """A hash of the source, without credentials, and of the options."""
    where = place_of(named)
    late = {table: list(columns) if columns is not None else None for table, columns in wanted.late.items()}
    options = [recorded(wanted), late, wanted.none_late, wanted.take_all]
    return hashlib.blake2b(json.dumps([where, options], sort_keys=True).encode(), digest_size=8).hexdigest()


def _slug(named: str) -> str:
    """A name for the dataset, after the file, folder or database that it comes from."""
    rest = named.partition("://")[2] or str(Path(named).expanduser().resolve())
    path, _, query = rest.partition("?")
    stem = path.rstrip("/").rpartition("/")[2]
    stem = re.sub(r"\.(db|sqlite3?|duckdb)$", "", stem, flags=re.IGNORECASE)
    schema = re.search(r"(?:^|&)schema=([^&]+)", query)
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{stem}-{schema[1]}" if schema else stem).strip("-._")
    return words[:40] or "database"


def _given(name: str, out: Path, identity: str) -> str:
    record = read_record(out / name)
    if (out / name).exists() and (record is None or record.get("identity") != identity):
        raise InputError(
            f"dataset {name!r} is there already and was imported from another source or with other options; choose another --name"
        )
    return name


def _free_name(name: str, out: Path, identity: str) -> str:
    """`name`, or with a part of the hash behind it where another dataset is called so."""
    record = read_record(out / name)
    if record is not None and record.get("identity") == identity:
        return name
    taken = (out / name).exists() or name in dataset_names() or name in hosted()
    return f"{name}-{identity[:6]}" if taken else name


def _opened_by(folder: Path) -> tuple[str, Path | None]:
    """What opens the dataset in `folder`, and the folder that this process looks for datasets in from now on, if that is new.

    Results name their dataset by its name alone, so the name must lead to this folder; its path opens it where another dataset has
    the name.
    """
    folder = folder.resolve()
    if _leads_to(folder):
        return folder.name, None
    before = os.environ.get(PATH_VARIABLE)
    os.environ[PATH_VARIABLE] = os.pathsep.join(filter(None, (before, str(folder.parent))))
    if _leads_to(folder):
        return folder.name, folder.parent
    if before is None:
        del os.environ[PATH_VARIABLE]
    else:
        os.environ[PATH_VARIABLE] = before
    return str(folder), None


def _leads_to(folder: Path) -> bool:
    try:
        return dataset_folder(folder.name) == folder
    except InputError:
        return False
