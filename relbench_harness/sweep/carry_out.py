"""Makes the runs of a plan in order, in one process, beside any number of others that work on the same folder.

Invariants: a run is made only by the process that has its mark, and only if no result of it came since the folder was looked
through; its result is written before the mark goes. A run that another process has is left for the end, and taken over if
that process dies. One run that cannot be made costs no other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from relbench_harness.board import store
from relbench_harness.ending import end_if_signalled
from relbench_harness.errors import explained
from relbench_harness.protocol.result import Result
from relbench_harness.sweep.claims import Claim, Claims
from relbench_harness.sweep.leftovers import clear
from relbench_harness.sweep.plan import Planned
from relbench_harness.sweep.room import patient_store, when_there_is_room
from relbench_harness.sweep.scan import Found, files_of

PAUSE = 1.0
"""Seconds between two looks at runs that others have."""
MOST_DEATHS = 3
"""How often a run may end its process before the sweep leaves it."""
log = logging.getLogger(__name__)


class Listener(Protocol):
    """What is called as a sweep goes on; for each run of the plan one of `ended`, `fault` and `there` is called."""

    def ended(self, run: Planned, result: Result) -> None:
        """The run was made and its result is stored."""

    def fault(self, run: Planned, sentence: str) -> None:
        """The run cannot begin, or its result not be stored."""

    def there(self, run: Planned) -> None:
        """Another process made the run meanwhile."""

    def waits(self, runs: int) -> None:
        """Nothing is left but so many runs that other processes make."""

    def said(self, sentence: str) -> None:
        """Something that a user ought to know."""


@dataclass(frozen=True)
class Work:
    """What is to be done.

    Attributes:
        runs: Those that are left, in order.
        before: Identity → names of the results that were there when the folder was looked through.
        attempts: Identity → the highest attempt that was there then.
        sweeps: Whether the runs are a sweep, which waits for others and for room on the disk; a single run does neither.
    """

    runs: Sequence[Planned]
    before: Mapping[str, frozenset[str]] = field(default_factory=dict)
    attempts: Mapping[str, int] = field(default_factory=dict)
    sweeps: bool = True

    def together(self, jobs: int) -> Work:
        """The same work, done by `jobs` processes at a time, which stands in its results."""
        return replace(self, runs=[replace(run, request=run.request.together(jobs)) for run in self.runs])


def work_on(runs: Sequence[Planned], found: Mapping[Path, Found], sweeps: bool = True) -> Work:
    """The work of making those of `runs` that have no standing result, given what their folders held.

    Marks that processes left when they were killed between a result and the end of its mark go here.
    """
    folders = {folder: Claims(folder) for folder in found}
    marks = {folder: claims.marks() for folder, claims in folders.items()}
    left, before, attempts = [], {}, {}
    for run in runs:
        identity, mark = run.entry.identity, marks[run.folder].get(run.entry.identity)
        if run.standing(found[run.folder]) is None:
            left.append(run)
            before[identity] = frozenset(one.file for one in found[run.folder].get(identity, ()))
            attempts[identity] = mark.attempt if mark is not None else 0
        elif mark is not None and not folders[run.folder].is_live(mark):
            Claim(folders[run.folder], mark).give_up()
    return Work(left, before, attempts, sweeps)


def carry_out(work: Work, listener: Listener, pause: Callable[[float], None] = time.sleep) -> None:
    """Makes every run of `work` that no other process makes; returns when each of them has a result or a fault."""
    _Worker(work, listener).all(pause)


@dataclass
class _Worker:
    work: Work
    listener: Listener
    _claims: dict[Path, Claims] = field(default_factory=dict)

    def all(self, pause: Callable[[float], None]) -> None:
        waiting = [run for run in self.work.runs if not self.made(run)]
        if waiting:
            self.listener.waits(len(waiting))
        while waiting:
            pause(PAUSE)
            waiting = [run for run in waiting if not self.made(run)]

    def made(self, run: Planned) -> bool:
        """Whether nothing is left to do for `run`; False where another process has it."""
        try:
            return self._made(run)
        except Exception as error:
            end_if_signalled()
            self.listener.fault(run, explained(error))
            return True

    def _made(self, run: Planned) -> bool:
        if self._came(run):
            return True
        identity, claims = run.entry.identity, self._claims.setdefault(run.folder, Claims(run.folder))
        marks = claims.marks_of(identity)
        if marks and claims.is_live(marks[-1]):
            return False
        if marks and marks[-1].attempt >= self.work.attempts.get(identity, 0) + MOST_DEATHS:
            self.listener.fault(run, f"{run.entry.line}: ended its process {MOST_DEATHS} times; the next start tries again")
            return True
        claim = self._claim(run, claims)
        if claim is None:
            return False
        with claim:
            if marks:
                clear(run.entry, run.folder, marks)
            # another sweep may have made it since, and given its mark up
            result = None if self._came(run) else self._result(run)
        if result is not None:
            self.listener.ended(run, result)
        return True

    def _claim(self, run: Planned, claims: Claims) -> AbstractContextManager[None] | None:
        """What holds the run for this process; None where another has it."""
        entry = run.entry
        about = {"task": entry.task, "method": entry.method, "seed": entry.seed, "regime": entry.regime}
        try:
            if self.work.sweeps:
                claim = when_there_is_room(lambda: claims.attempt(entry.identity, about), self.listener.said)
            else:
                claim = claims.attempt(entry.identity, about)
        except OSError:
            if self.work.sweeps:
                raise
            # without a mark a single run can still be made, and its result be kept elsewhere
            return nullcontext()
        return None if claim is None else claim.held()

    def _came(self, run: Planned) -> bool:
        """Whether a result of `run` came since the folder was looked through, which is then said."""
        entry = run.entry
        now = files_of(entry.identity, entry.task, entry.method, run.folder)
        if now <= self.work.before.get(entry.identity, frozenset()):
            return False
        self.listener.there(run)
        return True

    def _result(self, run: Planned) -> Result:
        log.info("run: %s", " ".join(run.given))
        keep = patient_store(self.listener.said) if self.work.sweeps else store.write
        return run.request.execute(keep).result
