"""Learning curves for trackers: the validation score of each epoch of the run that this process makes.

Invariant: a tracker changes nothing of what a run measures. It works in a thread of its own, and where the method shares this
process, whose memory and processor seconds are the run's, only once the run has ended. A process of its own passes on at most
five epochs a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from relbench_harness.errors import sentence
from relbench_harness.progress import Work, watched
from relbench_harness.protocol.epochs import validated
from relbench_harness.tracking import NoTracker, Tracker

RUN = re.compile(r".+ on .+, seed \d+")
"""What `protocol.run` calls the work on a run: `tracking.run_name`."""


@contextmanager
def followed(tracker: Tracker, isolated: bool) -> Iterator[None]:
    """While the block lasts, `tracker` gets each epoch.

    Args:
        isolated: Whether methods run in processes of their own.
    """
    if isinstance(tracker, NoTracker):
        yield
        return
    with ThreadPoolExecutor(1) as thread, watched(LearningCurves(tracker, thread, isolated)):
        yield


@dataclass
class LearningCurves:
    """Observes progress.

    Attributes:
        thread: Where the tracker works.
        isolated: Whether points are handed over at once.
    """

    tracker: Tracker
    thread: ThreadPoolExecutor
    isolated: bool
    run: str = ""
    _points: list[tuple[int, float]] = field(default_factory=list)
    _handed: list[Future[None]] = field(default_factory=list)

    def started(self, work: Work) -> None:
        if RUN.fullmatch(work.label):
            self.run = work.label

    def moved(self, work: Work) -> None:
        found = validated(work)
        if self.run and found is not None:
            self._points.append(found)
            if self.isolated:
                self._hand_over()

    def ended(self, work: Work) -> None:
        """What is left of a run is handed over, and the tracker waited for. What prevents it is said when the result is logged."""
        if work.label != self.run:
            return
        self._hand_over()
        for one in self._handed:
            error = one.exception()
            if isinstance(error, BaseException) and sentence(error) is None:
                raise error
        self._handed, self.run = [], ""

    def _hand_over(self) -> None:
        points, self._points = self._points, []
        if points:
            self._handed.append(self.thread.submit(self._tell, self.run, points))

    def _tell(self, run: str, points: list[tuple[int, float]]) -> None:
        for epoch, validation in points:
            self.tracker.epoch(run, epoch, validation)
