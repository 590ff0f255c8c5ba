"""How far the sweeps of a results folder have come, and how long the rest may take.

Invariant: what is said follows from the plans, the results and the marks that lie there; looking changes nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from relbench_harness.errors import InputError
from relbench_harness.sweep.claims import HEARTBEAT, Claims, Mark
from relbench_harness.sweep.plan import Entry, plan_named, plans
from relbench_harness.sweep.scan import Found, Stored, scan

Seconds = tuple[float, ...]


@dataclass(frozen=True)
class Expected:
    """How long runs take, from those that are there: by task and method, else by method, else what the budget allows."""

    alike: Mapping[tuple[str, str], Seconds]
    method: Mapping[str, Seconds]

    @classmethod
    def of(cls, found: Found) -> Expected:
        alike: dict[tuple[str, str], Seconds] = {}
        method: dict[str, Seconds] = {}
        for one in (stored for several in found.values() for stored in several if stored.ok):
            alike[one.task, one.method] = (*alike.get((one.task, one.method), ()), one.seconds)
            method[one.method] = (*method.get(one.method, ()), one.seconds)
        return cls(alike, method)

    def seconds(self, run: Entry) -> float | None:
        """What `run` is expected to take; None where nothing is known."""
        known = self.alike.get((run.task, run.method)) or self.method.get(run.method)
        return sum(known) / len(known) if known else run.budget_seconds


@dataclass(frozen=True)
class Status:
    """The runs of one or more plans, each counted once.

    Attributes:
        running: Runs that a live process makes, and their marks.
        failed: Kind of failure → how many runs have nothing but failures, the last of this kind.
        interrupted: Runs whose process is gone.
        left: Runs that nobody began.
        seconds: What is left of all that is to be done, by one process; None where something is not known.
    """

    done: int
    running: Sequence[tuple[Entry, Mark]]
    failed: Mapping[str, int]
    interrupted: Sequence[Entry]
    left: Sequence[Entry]
    seconds: float | None

    @property
    def total(self) -> int:
        return self.done + len(self.running) + sum(self.failed.values()) + len(self.interrupted) + len(self.left)

    def lines(self) -> Iterator[str]:
        """The status as the shell says it."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.failed.items()))
        yield f"done         {self.done} of {self.total}"
        yield f"running      {len(self.running)}"
        yield f"failed       {sum(self.failed.values())}{f'  ({kinds})' if kinds else ''}"
        yield f"interrupted  {len(self.interrupted)}"
        yield f"left         {len(self.left)}"
        yield f"time to go   {self.time_to_go}"
        for run, mark in self.running:
            yield f"running: {run.line}  since {mark.about.get('started', '?')} on {str(mark.about.get('host', '?')).split()[0]}"
        for run in self.interrupted:
            yield f"interrupted: {run.line}"

    @property
    def time_to_go(self) -> str:
        """In words, with as many processes as are at work now."""
        if self.seconds is None:
            return "not known"
        several = len(self.running)
        shared = f", {several} runs at a time" if several > 1 else ""
        return duration(self.seconds / max(1, several)) + (shared if self.seconds else "")


def status(entries: Sequence[Entry], found: Found, marks: Mapping[str, Mark], live: Callable[[Mark], bool]) -> Status:
    """What became of `entries`, given the results and the marks of their folder."""
    expected = Expected.of(found)
    done, failed = 0, Counter[str]()
    running: list[tuple[Entry, Mark]] = []
    interrupted: list[Entry] = []
    left: list[Entry] = []
    seconds: list[float | None] = []
    for run in {entry.identity: entry for entry in entries}.values():
        results, mark = found.get(run.identity, ()), marks.get(run.identity)
        took = expected.seconds(run)
        if mark is not None and live(mark):
            running.append((run, mark))
            seconds.append(None if took is None else max(0.0, took - _since(mark)))
        elif any(one.ok for one in results):
            done += 1
        elif mark is not None or not results:
            (left if mark is None else interrupted).append(run)
            seconds.append(took)
        else:
            failed[results[-1].status] += 1
    whole = None if None in seconds else sum(one for one in seconds if one is not None)
    return Status(done, running, failed, interrupted, left, whole)


def status_of(folder: Path, sweep: str | None = None) -> Status:
    """The status of one sweep, or of all whose plans lie in the results folder.

    Raises:
        InputError: There is no such folder, sweep or plan.
    """
    if not folder.is_dir():
        raise InputError(f"no results folder {folder}")
    chosen = plans(folder) if sweep is None else [plan_named(sweep, folder)]
    if not chosen:
        raise InputError(f"no sweep has left its plan in {folder}; run -m leaves one")
    claims = Claims(folder)
    marks = claims.marks()
    living = Observed.of(claims, marks.values())
    found = scan(folder)
    return status([run for plan in chosen for run in plan.runs], found, marks, living)


@dataclass(frozen=True)
class Observed:
    """Which marks are live, after a look as long as it takes."""

    living: frozenset[Path] = field(default_factory=frozenset)

    @classmethod
    def of(cls, claims: Claims, marks: Iterable[Mark], pause: Callable[[float], None] = time.sleep) -> Observed:
        """Marks of this host are seen at once; those of others that were not renewed lately are watched for two renewals."""
        given: list[Mark] = list(marks)
        now = time.time()
        live = {mark.path for mark in given if claims.is_live(mark)}
        foreign = {mark.path: _modified(mark.path) for mark in given if not claims.is_own_host(mark)}
        old = {path: at for path, at in foreign.items() if abs(now - at) > 3 * HEARTBEAT}
        if old:
            pause(2.5 * HEARTBEAT)
        return cls(frozenset(live - {path for path, at in old.items() if _modified(path) == at}))

    def __call__(self, mark: Mark) -> bool:
        return mark.path in self.living


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _since(mark: Mark) -> float:
    """Seconds since a run began, by clocks that may differ; at least 0."""
    try:
        begun = datetime.fromisoformat(str(mark.about["started"]))
        return max(0.0, (datetime.now(UTC) - begun).total_seconds())
    except (KeyError, ValueError, TypeError):
        return 0.0


def duration(seconds: float) -> str:
    """Seconds in words of the right size."""
    if seconds < 90:
        return f"about {seconds:.0f} s"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"about {seconds / 86400:.1f} days"


def standing_line(run: Entry, stored: Stored | None, seconds: float | None, live: bool) -> str:
    """What a dry run says of `run`."""
    if live:
        return f"{run.line}  under way elsewhere"
    if stored is not None:
        return f"{run.line}  is there" + ("" if stored.ok else f" (failed: {stored.status})")
    return f"{run.line}  would run, " + ("for a time that is not known" if seconds is None else duration(seconds))
