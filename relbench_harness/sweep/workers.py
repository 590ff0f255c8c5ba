"""Several runs at the same time on one machine: processes that each walk through the whole work and divide it by marks.

Invariants: no two workers share a core where there are enough of them, and the system lets cores be chosen. The parent says
everything. However the parent ends, no worker and no process of a worker is left behind after a few seconds. A worker that dies
costs the run that it was making at most.
"""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

import psutil

from relbench_harness.errors import ResultWarning
from relbench_harness.protocol.machine import usable_cores
from relbench_harness.protocol.result import Result
from relbench_harness.sweep.carry_out import Listener, Work, carry_out
from relbench_harness.sweep.plan import Planned

GRACE = 2.0
"""Seconds that a worker has to end in before it is killed."""
SAME = 60.0
"""Seconds in which what two workers say alike is about the same thing."""


def shares(cores: Sequence[int], jobs: int) -> list[list[int]]:
    """The cores of each of `jobs` workers: disjoint sets as equal as can be, all of them where there are too few."""
    if jobs > len(cores):
        return [list(cores) for _ in range(jobs)]
    bounds = [len(cores) * job // jobs for job in range(jobs + 1)]
    return [list(cores[first:last]) for first, last in itertools.pairwise(bounds)]


def carry_out_together(work: Work, listener: Listener, jobs: int) -> None:
    """As `carry_out`, by `jobs` processes at a time."""
    cores = usable_cores()
    if jobs > len(cores):
        listener.said(f"{jobs} jobs share {len(cores)} cores, so the seconds of their runs say little")
    with _stopped() as running:
        _Parent(work.together(jobs), listener, shares(cores, jobs), running).all()


@dataclass
class _Running:
    """A worker as its parent sees it.

    Attributes:
        has_reported: Whether it said anything yet.
    """

    process: Any
    reader: Connection
    cores: list[int]
    has_reported: bool = False


@contextmanager
def _stopped() -> Iterator[list[_Running]]:
    """However the block ends, the workers that it listed end with it, and the processes that they began."""
    running: list[_Running] = []
    try:
        yield running
    finally:
        trees = [process for one in running for process in _tree(one.process.pid)]
        for one in running:
            one.process.terminate()
        deadline = time.monotonic() + GRACE
        for one in running:
            one.process.join(max(0.0, deadline - time.monotonic()))
        _kill([*trees, *(process for one in running for process in _tree(one.process.pid))])
        for one in running:
            one.process.join()
            one.reader.close()


def _tree(pid: int | None) -> list[psutil.Process]:
    """A process and all that it began, if it is there."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    return []


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        # a process is known by its start as well, so that a later one of the same number is safe
        with suppress(psutil.Error):
            process.kill()


@dataclass
class _Parent:
    work: Work
    listener: Listener
    cores: list[list[int]]
    running: list[_Running]
    reported: set[int] = field(default_factory=set)
    there: set[int] = field(default_factory=set)
    said: dict[str, float] = field(default_factory=dict)

    def all(self) -> None:
        for share in self.cores:
            self.running.append(_begun(self.work, share))
        while self.running:
            ready = wait([one.reader for one in self.running])
            for one in [one for one in self.running if one.reader in ready]:
                self._hear(one)
        for number, run in enumerate(self.work.runs):
            if number in self.reported:
                continue
            if number in self.there:
                self.listener.there(run)
            else:
                self.listener.fault(run, f"{run.entry.line}: the processes that were to make it ended")

    def _hear(self, one: _Running) -> None:
        try:
            kind, number, what = one.reader.recv()
        except (EOFError, OSError):
            self._ended(one)
            return
        one.has_reported = True
        if kind == "said":
            self._say(str(what))
            return
        if kind == "there":
            # the worker that made it may be about to say so
            self.there.add(number)
            return
        self.reported.add(number)
        run = self.work.runs[number]
        if kind == "ended":
            self.listener.ended(run, what)
        else:
            self.listener.fault(run, what)

    def _say(self, sentence: str) -> None:
        """What several workers find at the same time is said once."""
        before, now = self.said.get(sentence), time.monotonic()
        self.said[sentence] = now
        if before is None or now - before > SAME:
            self.listener.said(sentence)

    def _ended(self, one: _Running) -> None:
        self.running.remove(one)
        one.process.join()
        one.reader.close()
        code = one.process.exitcode
        if code:
            self.listener.said(f"a process of the sweep ended ({_cause(code)}); the run that it was making is interrupted")
        if code and one.has_reported and len(self.reported | self.there) < len(self.work.runs):
            self.running.append(_begun(self.work, one.cores))


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _begun(work: Work, cores: list[int]) -> _Running:
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    level = logging.getLogger("relbench_harness").level
    process = context.Process(target=_work, args=(work, writer, cores, level), name="relbench-harness worker")
    process.start()
    writer.close()
    return _Running(process, reader, cores)


# -- in the worker --------------------------------------------------------------------------------------------------------


class _Ended(KeyboardInterrupt):
    """The parent ends this worker."""


def _work(work: Work, writer: Connection, cores: list[int], level: int) -> None:
    """What a worker does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    logging.basicConfig(level=logging.ERROR, format="%(message)s", stream=sys.stderr)
    logging.getLogger("relbench_harness").setLevel(level)
    teller = _Teller(writer, {id(run): number for number, run in enumerate(work.runs)})
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", ResultWarning)
    warnings.showwarning = lambda message, *_, **__: teller.said(f"warning: {message}")
    try:
        with suppress(BrokenPipeError):
            carry_out(work, teller)
    except _Ended:
        # the claim is given up by now, and an interpreter takes its time to end
        os._exit(1)


def _end(number: int, frame: FrameType | None) -> None:
    raise _Ended


def _end_with_parent() -> None:
    """Ends this worker and all that it began when its parent is gone, however that came."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    own = psutil.Process()
    _kill(own.children(recursive=True))
    os._exit(1)


@dataclass
class _Teller:
    """Sends the parent what becomes of the worker's runs."""

    writer: Connection
    numbers: dict[int, int]

    def ended(self, run: Planned, result: Result) -> None:
        self._tell("ended", run, result)

    def fault(self, run: Planned, sentence: str) -> None:
        self._tell("fault", run, sentence)

    def there(self, run: Planned) -> None:
        self._tell("there", run, "")

    def waits(self, runs: int) -> None:
        """The workers of a sweep wait for each other: nothing that a user needs to know."""

    def said(self, sentence: str) -> None:
        self.writer.send(("said", -1, sentence))

    def _tell(self, kind: str, run: Planned, what: object) -> None:
        self.writer.send((kind, self.numbers[id(run)], what))
