"""What the cache holds, and removing what nothing used lately.

Invariant: all that is removed can be made again from its source. A file is gone only if it, and for a database every file of
it, was neither read nor written for the stated time; folders of runs are left to the runs, which clear them.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from relbench_harness.data.cache import cache_home

DAY = 86_400.0
ROWS = "rows"
"""The folder of rows that imports from sources are appended to."""
KINDS = {
    "databases": "built databases",
    ROWS: "rows of sources",
    "views": "cut tables",
    "lines": "counted lines",
    "kernels": "compiled kernels",
}
"""Folder of the cache → what it holds."""


@dataclass(frozen=True)
class Cached:
    """A thing in the cache.

    Attributes:
        size: Bytes on the disk.
        used: When it was last read or written, in seconds since 1970. Where the file system keeps no times of
            reading, when it was written.
    """

    kind: str
    path: Path
    size: int
    used: float

    def unused(self, days: float, now: float) -> bool:
        """Whether it was not used for `days` before `now` (seconds since 1970)."""
        return now - self.used >= days * DAY


def contents() -> list[Cached]:
    """Everything in the cache, by kind and name."""
    return [one for folder, kind in KINDS.items() for one in _of_kind(cache_home() / folder, kind)]


def remove_unused(things: Iterable[Cached], days: float) -> list[Cached]:
    """Removes those of `things` that were not used for `days`; returns them."""
    now = time.time()
    gone = []
    for one in things:
        if not one.unused(days, now):
            continue
        if one.path.is_dir():
            shutil.rmtree(one.path, ignore_errors=True)
        else:
            one.path.unlink(missing_ok=True)
        if not one.path.exists():
            gone.append(one)
    return gone


def _of_kind(folder: Path, kind: str) -> Iterator[Cached]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        files = [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]
        states = [file.stat() for file in files] or [path.stat()]
        size = sum(state.st_size for state in states) if files else 0
        yield Cached(kind, path, size, max(max(state.st_atime, state.st_mtime) for state in states))
