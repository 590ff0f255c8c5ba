"""Where the seconds go: phases of a run, each counted once, in wall and processor time.

Invariant: phases are exclusive. A phase opened inside another takes its seconds from the outer one, so the phases of a
run add up to its total. Work that was restored from a cache is charged with what it cost when it was first done.
What other threads of a run spend on something that has a phase of its own, compiling, is moved there from the phase that
waits for them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import RLock

from relbench_harness.progress import work

log = logging.getLogger(__name__)
Clock = Callable[[bool], float]
"""Processor seconds of other processes; where it is given `True`, as they are at this moment."""


@dataclass
class Stopwatch:
    """Seconds by phase: `wall` and `cpu` as measured here, `restored` as earlier measured for cached artefacts."""

    wall: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    restored: dict[str, float] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    _since: tuple[float, float] = (0.0, 0.0)

    _lock: RLock = field(default_factory=RLock, repr=False)
    _others: Clock | None = field(default=None, repr=False)

    def _settle(self, exactly: bool = False) -> None:
        others = 0.0 if self._others is None else self._others(exactly)
        now = (time.perf_counter(), time.process_time() + others)
        if self._open:
            name = self._open[-1]
            self.wall[name] = self.wall.get(name, 0.0) + now[0] - self._since[0]
            self.cpu[name] = self.cpu.get(name, 0.0) + now[1] - self._since[1]
        self._since = now

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        with self._lock:
            self._settle(exactly=not self._open)
            self._open.append(name)
        try:
            yield
        finally:
            with self._lock:
                self._settle(exactly=len(self._open) == 1)
                self._open.pop()

    @contextmanager
    def with_processes(self, clock: Clock) -> Iterator[None]:
        """Counts, inside the block, the processor seconds that `clock` says of other processes as well."""
        self._set(clock)
        try:
            yield
        finally:
            self._set(None)

    def _set(self, clock: Clock | None) -> None:
        with self._lock:
            self._settle(exactly=True)
            self._others = clock
            # a clock begins where it stands
            self._since = (self._since[0], time.process_time() + (0.0 if clock is None else clock(True)))

    def move(self, name: str, seconds: float) -> None:
        """Takes `seconds` of work from the phase that is open, as far as it has so many, to phase `name`."""
        with self._lock:
            self._settle()
            if not self._open or self._open[-1] == name:
                return
            for spent in (self.wall, self.cpu):
                taken = min(seconds, spent.get(self._open[-1], 0.0))
                spent[self._open[-1]] = spent.get(self._open[-1], 0.0) - taken
                spent[name] = spent.get(name, 0.0) + taken


@contextmanager
def with_processes(clock: Clock) -> Iterator[None]:
    """Processor seconds of other processes, by `clock`, count in the phases of the run in progress."""
    watch = _current.get()
    if watch is None:
        yield
        return
    with watch.with_processes(clock):
        yield


_current: ContextVar[Stopwatch | None] = ContextVar("stopwatch", default=None)
_running: list[Stopwatch] = []
"""The stopwatches of all threads, the latest last: a thread that a run starts has no context of its own."""


@contextmanager
def timed() -> Iterator[Stopwatch]:
    """Collect the phases of everything called inside the block."""
    watch = Stopwatch()
    token = _current.set(watch)
    _running.append(watch)
    try:
        yield watch
    finally:
        _running.remove(watch)
        _current.reset(token)


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Attribute the block to phase `name` of the run in progress; does nothing outside a run."""
    watch = _current.get()
    if watch is None:
        yield
        return
    with watch.phase(name), work(f"phase {name}") as one:
        yield
    log.info("phase %s: %.1f s", name, one.seconds)


def moved(name: str, seconds: float) -> None:
    """Charge phase `name` with `seconds` that any thread of the run in progress has just spent on it."""
    if _running:
        _running[-1].move(name, seconds)


def restored(name: str, seconds: float) -> None:
    """Charge phase `name` with `seconds` that a cached artefact cost when it was built."""
    watch = _current.get()
    if watch is not None:
        watch.restored[name] = watch.restored.get(name, 0.0) + seconds
