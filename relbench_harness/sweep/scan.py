"""What a results folder already holds of each run, read from the names of files; only results that matter are opened.

Invariant: nothing is written here. A file that is no whole result counts as nothing, so the run that it names is made again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from relbench_harness.board.store import OWN, STARTED, SWEEPS, home_of


@dataclass(frozen=True)
class Stored:
    """A result by what a sweep needs of it.

    Attributes:
        file: Its name, which no other result of the run has.
        identity: Empty where the result does not say it.
        seconds: What the run took as it was measured.
    """

    file: str
    identity: str
    task: str
    method: str
    status: str
    seconds: float

    @property
    def ok(self) -> bool:
        return self.status == "ok"


Found = Mapping[str, tuple[Stored, ...]]
"""Identity → its results, the oldest first."""


def scan(folder: Path, wanted: Collection[str] | None = None) -> Found:
    """The results in and below `folder`, by the identities in their names; those without one are under the empty text.

    Args:
        wanted: Identities; results of others are not opened. None: all are.
    """
    found: dict[str, list[Stored]] = {}
    for path in _own_files(folder):
        match = OWN.fullmatch(os.path.basename(path))
        identity = (match and match["identity"]) or ""
        if wanted is None or identity in wanted:
            stored = _read(path, identity)
            if stored is not None:
                found.setdefault(identity, []).append(stored)
    return {identity: tuple(sorted(several, key=lambda one: _time(one.file))) for identity, several in found.items()}


def files_of(identity: str, task: str, method: str, folder: Path) -> frozenset[str]:
    """The names of the results that one run has now where this sweep would store them."""
    try:
        with os.scandir(home_of(task, method, folder)) as entries:
            names = [entry.name for entry in entries if identity in entry.name]
    except FileNotFoundError:
        return frozenset()
    return frozenset(name for name in names if name.endswith(".json"))


def _own_files(folder: Path) -> Iterator[str]:
    for home, inner, names in os.walk(folder):
        if home == str(folder):
            inner[:] = [name for name in inner if name not in (STARTED, SWEEPS)]
        for name in names:
            if name.endswith(".json") and OWN.fullmatch(name):
                yield os.path.join(home, name)


def _read(path: str, identity: str) -> Stored | None:
    try:
        with open(path, "rb") as file:
            line = json.loads(file.read())
        seconds = line.get("seconds_warm") or line.get("seconds") or {}
        total = float(seconds.get("total") or 0.0)
        return Stored(os.path.basename(path), identity, line["task"], line["method"], line["status"], total)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _time(name: str) -> str:
    """The part of a file's name that says when it was written."""
    return name.removesuffix(".json").rsplit("-", 2)[1]
