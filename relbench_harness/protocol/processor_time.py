"""Processor seconds of the processes that this one starts, those that still run and those that have ended.

Invariant: the figure never falls, and no second counts twice: one that is waited for goes from the first sum to the second.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass

from relbench_harness.protocol.process_tree import descendants

EVERY = 0.1
"""Seconds between two looks at processes that run; a phase's share of them is right to that."""


@dataclass
class OfChildren:
    """Processor seconds of the processes below this one."""

    known: float = 0.0
    _next: float = 0.0

    def seconds(self, now: bool = False) -> float:
        """The sum up to the last look, which is `now` or a moment ago."""
        if now or time.monotonic() >= self._next:
            ended = os.times()
            running = sum(map(_seconds_of, descendants(os.getpid())))
            self.known = max(self.known, ended.children_user + ended.children_system + running)
            self._next = time.monotonic() + EVERY
        return self.known


def _seconds_of(pid: int) -> float:
    """Those of a process and of the ones that it waited for; 0 where it has ended or the system does not say."""
    with suppress(OSError, ValueError, IndexError):
        with open(f"/proc/{pid}/stat", "rb") as file:
            # the name, in brackets, may hold anything
            after = file.read().rpartition(b")")[2].split()
        return sum(map(int, after[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0
