"""A worker of a sweep in a process that a library started, on this machine or another: it walks through the whole work.

What it gets is one object that travels by pickle. The work in it is read once the worker finds the same code and data as the
process that began it. Invariant: a worker ends within a second of the sweep that began it where it is ordered to, or where that
process is gone and can be seen from here; with it end the processes that it began.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import cloudpickle
import psutil

from relbench_harness.ending import noted, own_signals
from relbench_harness.errors import ResultWarning
from relbench_harness.protocol.servers import close_all, module_path
from relbench_harness.sweep.carry_out import Work, carry_out
from relbench_harness.sweep.claims import Owner, is_gone, this_process
from relbench_harness.sweep.reports import Writer
from relbench_harness.sweep.workers import GRACE, Ended, kill_all

LOOK = 0.3
"""Seconds between two looks at whether to end."""
OURS = "RELBENCH_HARNESS_"
"""How variables of the environment begin that say where data and caches lie."""


@dataclass(frozen=True)
class Surroundings:
    """What a worker needs to find the same code and data.

    Attributes:
        folder: In which relative names are meant.
        path: Where modules are looked for.
        variables: Of the environment.
        level: Of the log.
    """

    folder: str
    path: tuple[str, ...]
    variables: tuple[tuple[str, str], ...]
    level: int

    @classmethod
    def here(cls) -> Surroundings:
        """Those of this process."""
        ours = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith(OURS)))
        level = logging.getLogger("relbench_harness").level
        return cls(str(Path.cwd()), tuple(module_path()), ours, level)

    def enter(self) -> None:
        """Makes them those of this process; what it has set itself stays."""
        with suppress(OSError):
            os.chdir(self.folder)
        sys.path.extend(entry for entry in self.path if entry not in sys.path)
        for name, value in self.variables:
            os.environ.setdefault(name, value)
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        logging.basicConfig(level=logging.ERROR, format="%(message)s", stream=sys.stderr)
        logging.getLogger("relbench_harness").setLevel(self.level)


@dataclass(frozen=True)
class Walk:
    """What each worker does; called with the worker's number.

    Attributes:
        pickled: The work.
        reports: The folder of reports.
        parent: With which process the worker ends; None where it goes on without.
        cores: The cores of each worker; empty where they are not this sweep's to share out.
    """

    pickled: bytes
    reports: Path
    parent: Owner | None = None
    cores: Sequence[Sequence[int]] = ()
    surroundings: Surroundings = field(default_factory=Surroundings.here)

    @classmethod
    def of(cls, work: Work, reports: Path) -> Walk:
        """The walk through `work`, which ends with this process."""
        return cls(cloudpickle.dumps(work), reports, this_process())

    def __call__(self, number: int) -> bool:
        """Whether the worker came to the end of the work, and was not ended before."""
        self.surroundings.enter()
        if self.cores and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self.cores[number])
        work: Work = pickle.loads(self.pickled)
        writer = Writer(self.reports, {id(run): place for place, run in enumerate(work.runs)})
        writer.begun()
        try:
            with _ended_with_sweep(writer, self.parent), _warnings_to(writer):
                carry_out(work, writer)
        except Ended:
            # the claim is given up by now
            return False
        finally:
            close_all()
        return True


@contextmanager
def _warnings_to(writer: Writer) -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ResultWarning)
        warnings.showwarning = lambda message, *_, **__: writer.said(f"warning: {message}")
        yield


@contextmanager
def _ended_with_sweep(writer: Writer, parent: Owner | None) -> Iterator[None]:
    """`Ended` is raised in the block when the sweep ends it; a block that does not end then ends with its process.

    Ctrl-C at a terminal reaches workers as well and is left to the process that began them. A signal that the library
    which started the worker handles stays with it.
    """
    in_main = threading.current_thread() is threading.main_thread()
    before = {}
    if in_main:
        before = {signal.SIGHUP: signal.signal(signal.SIGHUP, _end)}
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            before[signal.SIGTERM] = signal.signal(signal.SIGTERM, _end)
    over = threading.Event()
    threading.Thread(target=_look, args=(writer, parent, over), name="end of the sweep", daemon=True).start()
    try:
        with own_signals():
            yield
    finally:
        over.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    raise noted(Ended())


def _look(writer: Writer, parent: Owner | None, over: threading.Event) -> None:
    while not over.wait(LOOK):
        gone = parent is not None and is_gone(parent)
        if not gone and not writer.is_stopped:
            continue
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGHUP)
        if not over.wait(GRACE) or gone:
            time.sleep(0.1)
            kill_all(psutil.Process().children(recursive=True))
            os._exit(1)
        return
