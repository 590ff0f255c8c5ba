"""Who makes a run now: a "started" mark for each, by which sweeps into one folder divide the work among themselves.

A mark is the file `<results>/.started/<identity>.<attempt>.json`, made exclusively: of all that try one attempt, one succeeds,
with no locks, on network file systems as well. Its time of change is renewed every few seconds. A mark is dead if its process
is gone, or, where it belongs to another host, if its time of change did not move for a minute of this observer's clock: clocks
of two hosts are never compared. A dead mark of attempt k is taken over by making that of k + 1.

Invariants: a live mark has one holder, and a holder whose attempt is not the highest gives way. Marks of an identity go only
when the run has a result, was left by its own process, or is found to be there; a killed process leaves its mark.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from relbench_harness.board.store import STARTED
from relbench_harness.data.writing import partial_name

HEARTBEAT = 5.0
"""Seconds between two renewals of a mark."""
PATIENCE = 60.0
"""Seconds without a renewal after which a mark of another host is dead."""


@dataclass(frozen=True)
class Owner:
    """A process as its marks name it; another that is given its number later has another `born`."""

    host: str
    pid: int
    born: str


def this_process() -> Owner:
    """The process that calls."""
    return Owner(_host(), os.getpid(), _born(os.getpid()) or "")


def is_gone(owner: Owner) -> bool:
    """Whether a process is known to be gone: it was of this host, where it can be seen."""
    return owner.host == _host() and owner.born != _born(owner.pid)


@cache
def _host() -> str:
    """The name of a set of processes that see each other's numbers: the machine since it started, and its namespace."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _born(pid: int) -> str | None:
    """When the process `pid` of this host began, in a form that does not change while it lives; None where it is gone."""
    try:
        # fields behind the name, which may hold spaces and brackets: state is the first, the start the twentieth
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return None if text[0] in ("Z", "X") else text[19]
    except (OSError, IndexError):
        if Path("/proc/self/stat").exists():
            return None
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.Error:
        return None


@dataclass(frozen=True)
class Mark:
    """A started mark as it lies there.

    Attributes:
        owner: None where the mark does not say it yet, or cannot be read.
        about: All that it says.
    """

    path: Path
    identity: str
    attempt: int
    owner: Owner | None
    about: Mapping[str, Any]


@dataclass
class Claims:
    """The marks of one results folder, seen and made by one process.

    Attributes:
        results: The results folder.
        owner: In whose name marks are made.
        clock: This observer's own clock, in seconds.
    """

    results: Path
    owner: Owner = field(default_factory=this_process)
    clock: Callable[[], float] = time.monotonic
    _seen: dict[Path, tuple[int, float]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.results / STARTED

    def marks(self) -> dict[str, Mark]:
        """Identity → its mark of the highest attempt."""
        highest: dict[str, tuple[int, str]] = {}
        for identity, attempt, name in self._names():
            highest[identity] = max(highest.get(identity, (0, "")), (attempt, name))
        return {identity: _mark(self.folder / name, identity, k) for identity, (k, name) in highest.items()}

    def _names(self) -> Iterator[tuple[str, int, str]]:
        try:
            names = os.listdir(self.folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            identity, _, rest = name.partition(".")
            attempt = rest.removesuffix(".json")
            if identity and rest.endswith(".json") and attempt.isdigit():
                yield identity, int(attempt), name

    def is_live(self, mark: Mark) -> bool:
        """Whether the process that made `mark` is at work, as far as can be seen from here and now."""
        if mark.owner is not None and self.is_own_host(mark):
            return mark.owner.born == _born(mark.owner.pid)
        changed = _changed(mark.path)
        if changed is None:
            return False
        before, since = self._seen.get(mark.path, (None, 0.0))
        if changed != before:
            self._seen[mark.path] = changed, self.clock()
            return True
        return self.clock() - since < PATIENCE

    def is_own_host(self, mark: Mark) -> bool:
        """Whether the process of `mark` can be seen from here."""
        return mark.owner is not None and mark.owner.host == self.owner.host

    def attempt(self, identity: str, about: Mapping[str, Any]) -> Claim | None:
        """A claim on the run `identity`; None where another process has it.

        Raises:
            OSError: A mark cannot be made.
        """
        before = self.marks_of(identity)
        if before and self.is_live(before[-1]):
            return None
        number = before[-1].attempt + 1 if before else 1
        path = self.folder / f"{identity}.{number}.json"
        said = {**about, "host": self.owner.host, "pid": self.owner.pid, "process_started": self.owner.born,
                "started": datetime.now(UTC).isoformat(timespec="seconds")}  # fmt: skip
        if not _made(path, json.dumps(said, sort_keys=True, default=str)):
            return None
        claim = Claim(self, _mark(path, identity, number))
        # who made a lower attempt than the highest saw the folder before a process that died was replaced
        if any(mark.attempt > number for mark in self.marks_of(identity)):
            path.unlink(missing_ok=True)
            return None
        return claim

    def marks_of(self, identity: str) -> list[Mark]:
        """The marks of one run, the highest attempt last."""
        found = sorted((attempt, name) for one, attempt, name in self._names() if one == identity)
        return [_mark(self.folder / name, identity, attempt) for attempt, name in found]


@dataclass
class Claim:
    """A run that this process has for itself."""

    claims: Claims
    mark: Mark

    @contextmanager
    def held(self) -> Iterator[None]:
        """The mark is renewed while the block runs; where it ends by an error or Ctrl-C too, the claim is given up."""
        over = threading.Event()
        renewal = threading.Thread(target=self._renew, args=(over,), name="heartbeat", daemon=True)
        renewal.start()
        try:
            yield
        finally:
            over.set()
            renewal.join()
            self.give_up()

    def _renew(self, over: threading.Event) -> None:
        while not over.wait(HEARTBEAT):
            with suppress(OSError):
                os.utime(self.mark.path)

    def give_up(self) -> None:
        """Takes away the run's marks, this one last, so that nobody finds an older one alone."""
        for mark in self.claims.marks_of(self.mark.identity):
            if mark.attempt < self.mark.attempt:
                mark.path.unlink(missing_ok=True)
        self.mark.path.unlink(missing_ok=True)


def _mark(path: Path, identity: str, attempt: int) -> Mark:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        owner = Owner(str(about["host"]), int(about["pid"]), str(about["process_started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Mark(path, identity, attempt, None, {})
    return Mark(path, identity, attempt, owner, about)


def _changed(path: Path) -> int | None:
    """The time of change of a file; None where it is gone. It is read from an open file, for names are cached on network folders."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None


def _made(path: Path, text: str) -> bool:
    """Whether this call made the file `path`: whole where the file system has links, else empty first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / partial_name()
    try:
        partial.write_text(text, encoding="utf-8")
        try:
            os.link(partial, path)
        except FileExistsError:
            # over a network the answer to a link that was made can be lost, and the second request refused
            return partial.stat().st_nlink > 1
        except OSError:
            return _made_directly(path, text)
        return True
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _made_directly(path: Path, text: str) -> bool:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True
