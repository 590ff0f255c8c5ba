"""What is under way and how far it has come: said to the log, and to whoever watches.

Deep code reports here and knows neither terminals nor packages for drawing; where nobody watches, a report costs next to
nothing. The shell watches on a terminal (`bars.py`). The log has one line for each phase and each epoch, at level INFO.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(eq=False)
class Work:
    """Something under way.

    Attributes:
        label: What it is.
        total: How many parts it has, None where nobody knows.
        done: How many of them are done.
        note: What there is to say of the latest.
        logged: Whether each part is a line of the log.
    """

    label: str
    total: float | None = None
    done: float = 0.0
    note: str = ""
    logged: bool = False
    begun: float = field(default_factory=time.perf_counter)

    def advance(self, note: str = "") -> None:
        """One more part is done."""
        self.at(self.done + 1, note)

    def at(self, done: float, note: str = "") -> None:
        """`done` parts are done in all."""
        self.done, self.note = done, note
        if self.logged:
            of = "" if self.total is None else f" of {self.total:,.0f}"
            log.info("%s: %s%s%s", self.label, f"{done:,.0f}", of, f", {note}" if note else "")
        for observer in _observers.get():
            observer.moved(self)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.begun


class Observer(Protocol):
    """An observer; it is called from the thread that does the work."""

    def started(self, work: Work) -> None: ...

    def moved(self, work: Work) -> None: ...

    def ended(self, work: Work) -> None: ...


_observers: ContextVar[tuple[Observer, ...]] = ContextVar("observers", default=())


def is_watched() -> bool:
    """Whether anybody watches."""
    return bool(_observers.get())


@contextmanager
def watched(observer: Observer) -> Iterator[None]:
    """Tell `observer` of everything that the block does."""
    token = _observers.set((*_observers.get(), observer))
    try:
        yield
    finally:
        _observers.reset(token)


@contextmanager
def work(label: str, total: float | None = None, logged: bool = False) -> Iterator[Work]:
    """The block is a piece of work, which reports on itself by what is yielded."""
    one = Work(label, total, logged=logged)
    for observer in _observers.get():
        observer.started(one)
    try:
        yield one
    finally:
        for observer in _observers.get():
            observer.ended(one)


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """`items` as they are, each a part of a piece of work."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with work(label, total) as one:
        for item in items:
            yield item
            one.advance()
