"""What a results folder already holds of each run, read from the names of files; only results that matter are opened.

Invariant: nothing is written here. A file that is no whole result counts as nothing, so the run that it names is made again.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from relbench_harness.board.store import LAUNCHED, OWN, STARTED, SWEEPS, home_of


@dataclass(frozen=True)
class Stored:
    """A result by what a sweep needs of it.

    Attributes:
        file: Its name, which no other result of the run has.
        identity: Empty where the result does not say it.
        task, method, seconds: What was run, and what it took as it was measured; left out where only the status was looked for.
    """

    file: str
    identity: str
    status: str
    task: str = ""
    method: str = ""
    seconds: float = math.nan

    @property
    def ok(self) -> bool:
        return self.status == "ok"


Found = Mapping[str, tuple[Stored, ...]]
"""Identity → its results, the oldest first."""


def scan(folder: Path, wanted: Collection[str] | None = None) -> Found:
    """The results in and below `folder`, by the identities in their names; those without one are under the empty text.

    Args:
        wanted: Identities; results of others are not opened, and of these only the status is looked for. None: all are read.
    """
    found: dict[str, list[Stored]] = {}
    for path, identity in _own_files(folder):
        if wanted is None or identity in wanted:
            stored = _read(path, identity) if wanted is None else _status_of(path, identity)
            if stored is not None:
                found.setdefault(identity, []).append(stored)
    return {identity: tuple(sorted(several, key=lambda one: _time(one.file))) for identity, several in found.items()}


def files_of(identity: str, task: str, method: str, folder: Path) -> frozenset[str]:
    """The names of the results that one run has now where this sweep would store them."""
    try:
        with os.scandir(home_of(task, method, folder)) as entries:
            names = [entry.name for entry in entries if identity in entry.name]
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    return frozenset(name for name in names if name.endswith(".json"))


def _own_files(folder: Path) -> Iterator[tuple[str, str]]:
    """(path, identity) of every file whose name says that it is a result."""
    for home, inner, names in os.walk(folder):
        if home == str(folder):
            inner[:] = [name for name in inner if name not in (STARTED, SWEEPS, LAUNCHED)]
        for name in names:
            match = OWN.fullmatch(name) if name.endswith(".json") else None
            if match is not None:
                yield os.path.join(home, name), match["identity"] or ""


def _read(path: str, identity: str) -> Stored | None:
    try:
        with open(path, "rb") as file:
            line = json.loads(file.read())
        seconds = line.get("seconds_warm") or line.get("seconds") or {}
        total = float(seconds.get("total") or 0.0)
        return Stored(os.path.basename(path), identity, line["status"], line["task"], line["method"], total)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


STATUS = b', "status": "'
"""What stands before the status in a result line; its keys are sorted, and none of those behind it is of this name."""


def _status_of(path: str, identity: str) -> Stored | None:
    """As `_read`, without a parse of the whole line: a folder of thousands is looked through before anything is run."""
    try:
        with open(path, "rb", buffering=0) as file:
            line = file.read()
    except OSError:
        return None
    at = line.rfind(STATUS) + len(STATUS)
    if at < len(STATUS) or not line.endswith(b"}\n"):
        return _read(path, identity)
    return Stored(os.path.basename(path), identity, line[at : line.index(b'"', at)].decode())


def _time(name: str) -> str:
    """The part of a file's name that says when it was written."""
    return name.removesuffix(".json").rsplit("-", 2)[1]
