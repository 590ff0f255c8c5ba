"""Progress bars on a terminal: one line for each piece of work under way, the outer ones first, gone when it ends.

Invariant: nothing is drawn unless standard error is a terminal, and what goes to standard output reaches it unchanged where
that is none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock, Timer

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from relbench_harness.progress import Work, watched

PATIENCE = 1.0
"""Seconds before anything is drawn."""


class Bars:
    """An observer that draws; work that ends within `PATIENCE` is never seen."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._under_way: list[Work] = []
        self._tasks: dict[int, TaskID] = {}
        self._progress: Progress | None = None
        self._timer: Timer | None = None

    def started(self, work: Work) -> None:
        with self._lock:
            self._under_way.append(work)
            if self._progress is not None:
                self._add(work)
            elif self._timer is None:
                self._timer = Timer(PATIENCE, self._start)
                self._timer.daemon = True
                self._timer.start()

    def moved(self, work: Work) -> None:
        with self._lock:
            if self._progress is not None and id(work) in self._tasks:
                self._progress.update(self._tasks[id(work)], completed=work.done, total=work.total, said=_said(work))

    def ended(self, work: Work) -> None:
        with self._lock:
            self._under_way.remove(work)
            task = self._tasks.pop(id(work), None)
            if self._progress is not None and task is not None:
                self._progress.remove_task(task)
            if not self._under_way:
                # what is printed between two pieces of work is not the bars' to move
                self._stop()

    def close(self) -> None:
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._progress is not None:
            self._progress.stop()
        self._timer = self._progress = None

    def _start(self) -> None:
        with self._lock:
            if not self._under_way or self._progress is not None:
                return
            # lines that are printed meanwhile go above the bars, but not into them what is meant for a file
            together = sys.stdout.isatty()
            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[said]}", markup=False),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
                redirect_stdout=together,
            )
            self._progress.start()
            for work in self._under_way:
                self._add(work)

    def _add(self, work: Work) -> None:
        assert self._progress is not None
        self._tasks[id(work)] = self._progress.add_task(
            work.label, total=work.total, completed=int(work.done), said=_said(work)
        )


def _said(work: Work) -> str:
    of = "" if work.total is None else f"/{work.total:,.0f}"
    count = f"{work.done:,.0f}{of}" if work.done or work.total is not None else ""
    return " ".join(filter(None, [count, work.note]))


@contextmanager
def drawn() -> Iterator[None]:
    """Draw what the block does."""
    bars = Bars()
    try:
        with watched(bars):
            yield
    finally:
        bars.close()
