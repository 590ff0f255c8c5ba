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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

import psutil

from relbench_harness.ending import noted
from relbench_harness.errors import ResultWarning
from relbench_harness.protocol.machine import usable_cores
from relbench_harness.protocol.result import Result
from relbench_harness.sweep.carry_out import Listener, Work, carry_out
from relbench_harness.sweep.ledger import ENDED, FAULT, SAID, THERE, Ledger
from relbench_harness.sweep.plan import Planned

GRACE = 2.0
"""Seconds that a worker has to end in before it is killed."""


def shares(cores: Sequence[int], jobs: int) -> list[list[int]]:
    """The cores of each of `jobs` workers: disjoint sets as equal as can be, all of them where there are too few."""
    if jobs > len(cores):
        return [list(cores) for _ in range(jobs)]
    bounds = [len(cores) * job // jobs for job in range(jobs + 1)]
    return [list(cores[first:last]) for first, last in itertools.pairwise(bounds)]


def carry_out_together(work: Work, listener: Listener, jobs: int) -> None:
    """As `carry_out`, by `jobs` processes at a time."""
    cores = shares_of_machine(jobs, listener.said)
    with _stopped() as running:
        _Parent(Ledger(work.together(jobs), listener), cores, running).all()


def shares_of_machine(jobs: int, say: Callable[[str], None]) -> list[list[int]]:
    """The cores of each of `jobs` workers of this machine; says where they are too few."""
    cores = usable_cores()
    if jobs > len(cores):
        say(f"{jobs} jobs share {len(cores)} core{'' if len(cores) == 1 else 's'}, so the seconds of their runs say little")
    return shares(cores, jobs)


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
        trees = [process for one in running for process in tree_of(one.process.pid)]
        for one in running:
            one.process.terminate()
        deadline = time.monotonic() + GRACE
        for one in running:
            one.process.join(max(0.0, deadline - time.monotonic()))
        kill_all([*trees, *(process for one in running for process in tree_of(one.process.pid))])
        for one in running:
            one.process.join()
            one.reader.close()


def tree_of(pid: int | None) -> list[psutil.Process]:
    """A process and all that it began, if it is there."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    return []


def kill_all(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        # a process is known by its start as well, so that a later one of the same number is safe
        with suppress(psutil.Error):
            process.kill()


@dataclass
class _Parent:
    ledger: Ledger
    cores: list[list[int]]
    running: list[_Running]

    def all(self) -> None:
        for share in self.cores:
            self.running.append(_begun(self.ledger.work, share))
        while self.running:
            ready = wait([one.reader for one in self.running])
            for one in [one for one in self.running if one.reader in ready]:
                self._hear(one)
        self.ledger.close("the processes that were to make it ended")

    def _hear(self, one: _Running) -> None:
        try:
            kind, number, what = one.reader.recv()
        except (EOFError, OSError):
            self._ended(one)
            return
        one.has_reported = True
        self.ledger.take(kind, number, what)

    def _ended(self, one: _Running) -> None:
        self.running.remove(one)
        one.process.join()
        one.reader.close()
        code = one.process.exitcode
        if code:
            self.ledger.listener.said(
                f"a process of the sweep ended ({_cause(code)}); the run that it was making is interrupted"
            )
        if code and one.has_reported and not self.ledger.is_complete:
            self.running.append(_begun(self.ledger.work, one.cores))


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


class Ended(KeyboardInterrupt):
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
    except Ended:
        # the claim is given up by now, and an interpreter takes its time to end
        os._exit(1)


def _end(number: int, frame: FrameType | None) -> None:
    raise noted(Ended())


def _end_with_parent() -> None:
    """Ends this worker and all that it began when its parent is gone, however that came."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    own = psutil.Process()
    kill_all(own.children(recursive=True))
    os._exit(1)


@dataclass
class _Teller:
    """Sends the parent what becomes of the worker's runs."""

    writer: Connection
    numbers: dict[int, int]

    def ended(self, run: Planned, result: Result) -> None:
        self._tell(ENDED, run, result)

    def fault(self, run: Planned, sentence: str) -> None:
        self._tell(FAULT, run, sentence)

    def there(self, run: Planned) -> None:
        self._tell(THERE, run, "")

    def waits(self, runs: int) -> None:
        """The workers of a sweep wait for each other: nothing that a user needs to know."""

    def said(self, sentence: str) -> None:
        self.writer.send((SAID, -1, sentence))

    def _tell(self, kind: str, run: Planned, what: object) -> None:
        self.writer.send((kind, self.numbers[id(run)], what))
