"""Where the workers of a sweep run: processes of this machine, or those that a library starts here or elsewhere.

Workers divide the work among themselves by the marks in the results folder (`claims`), so a launcher only starts them, says
when they have ended, and ends them. Which launchers there are is said by `configs/launcher`; one that needs a library has a
module of its own, which loads it when it is used. Invariant: when `carry_out` of a launcher returns or raises, no worker that
it began is left, and for each run the listener knows what became of it.
"""

from __future__ import annotations

import importlib
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from relbench_harness.board.store import LAUNCHED
from relbench_harness.errors import InputError
from relbench_harness.sweep.carry_out import MOST_DEATHS, Listener, Work, carry_out
from relbench_harness.sweep.claims import is_gone, this_process
from relbench_harness.sweep.elsewhere import Walk
from relbench_harness.sweep.ledger import THERE, Ledger
from relbench_harness.sweep.reports import Reader
from relbench_harness.sweep.room import when_there_is_room
from relbench_harness.sweep.scan import files_of
from relbench_harness.sweep.workers import GRACE, carry_out_together, kill_all, tree_of

PAUSE = 0.2
"""Seconds between two looks at what workers report."""
MOST_STARTS = MOST_DEATHS + 2
"""How often workers are started that end before any of them has anything to report."""


class Launcher(Protocol):
    """Where the workers of a sweep run."""

    def check(self) -> None:
        """Raises `InputError` where it cannot be used."""

    def carry_out(self, work: Work, listener: Listener, jobs: int) -> None:
        """Makes every run of `work` with `jobs` workers at a time, as `carry_out.carry_out` does."""


@dataclass(frozen=True)
class Local:
    """Processes of this machine."""

    def check(self) -> None:
        """It needs nothing."""

    def carry_out(self, work: Work, listener: Listener, jobs: int) -> None:
        if jobs > 1:
            carry_out_together(work, listener, jobs)
        else:
            carry_out(work, listener)


class Workers(Protocol):
    """Workers that a library has started, as seen from the process that ordered it to."""

    def failures(self) -> Sequence[str] | None:
        """None while any of them may be at work; else why those that did not end by themselves ended."""


Start = Callable[[Walk, int, Callable[[str], None]], AbstractContextManager[Workers]]
"""Starts as many workers, which are ended when the block ends, given what they do and how to say something to the user."""


def carry_out_elsewhere(work: Work, listener: Listener, jobs: int, start: Start) -> None:
    """As `carry_out`, by workers that `start` starts."""
    folder = work.runs[0].folder.resolve() / LAUNCHED / secrets.token_hex(6)
    when_there_is_room(lambda: folder.mkdir(parents=True, exist_ok=True), listener.said)
    ledger = Ledger(work, listener)
    try:
        why = _followed(ledger, folder, jobs, start)
    except BaseException:
        _clear(folder)
        raise
    for number, run in enumerate(work.runs):
        # a report can be lost, a result cannot
        before = work.before.get(run.entry.identity, frozenset())
        if files_of(run.entry.identity, run.entry.task, run.entry.method, run.folder) - before:
            ledger.take(THERE, number, "")
    if ledger.is_complete:
        _clear(folder)
    ledger.close(f"the workers that were to make it ended{f' ({why})' if why else ''}; what they left lies in {folder}")


def _clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        folder.parent.rmdir()


def _followed(ledger: Ledger, folder: Path, jobs: int, start: Start) -> str:
    """Starts workers, and again those that ended too early, until nothing is left or nothing helps; returns why they ended."""
    reader = Reader(folder)
    in_vain = 0
    while True:
        known = ledger.known
        with start(Walk.of(ledger.work, folder), jobs, ledger.say) as workers, _stopped(reader, workers):
            while (failures := workers.failures()) is None:
                _take(ledger, reader)
                time.sleep(PAUSE)
        _take(ledger, reader)
        why = "; ".join(dict.fromkeys(failures))
        in_vain = 0 if ledger.known > known else in_vain + 1
        if ledger.is_complete or not failures or in_vain >= MOST_STARTS:
            return why
        ledger.say(f"workers of the sweep ended ({why}); the runs that they were making are interrupted and made again")


def _take(ledger: Ledger, reader: Reader) -> None:
    for kind, number, what in reader.new():
        ledger.take(kind, number, what)


@contextmanager
def _stopped(reader: Reader, workers: Workers) -> Iterator[None]:
    """Where the block raises, the workers end: by themselves, or else those that can be seen from here by force."""
    try:
        yield
    except BaseException:
        reader.stop()
        deadline = time.monotonic() + GRACE
        while workers.failures() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if workers.failures() is None:
            for _ in reader.new():
                """What they report now comes too late; which processes they are is read on the way."""
            seen = [owner.pid for owner in reader.owners if owner.host == this_process().host and not is_gone(owner)]
            kill_all([process for pid in seen for process in tree_of(pid)])
        raise


def package(name: str, launcher: str, extra: str) -> Any:
    """A package that a launcher needs. Raises `InputError` with what to install where it is missing."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise InputError(
            f"launcher={launcher} needs the package {name}; install it with: pip install 'relbench-harness[{extra}]'"
        ) from None
