"""What the workers of a sweep report, put together: the process that began them says it, and says each thing once.

Invariant: whatever workers report, in whatever order and however they end, for each run of the work exactly one of `ended`,
`fault` and `there` of the listener is called.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from relbench_harness.sweep.carry_out import Listener, Work

SAME = 60.0
"""Seconds in which what two workers say alike is about the same thing."""
ENDED, FAULT, THERE, SAID = "ended", "fault", "there", "said"
"""Kinds of reports."""


@dataclass
class Ledger:
    """The reports of workers that all walk through `work`."""

    work: Work
    listener: Listener
    _reported: set[int] = field(default_factory=set)
    _there: set[int] = field(default_factory=set)
    _said: dict[str, float] = field(default_factory=dict)

    def take(self, kind: str, number: int, what: Any) -> None:
        """Takes in one report about the run of this number; `what` is a result or a sentence."""
        if kind == SAID:
            self.say(str(what))
        elif kind == THERE:
            # the worker that made it may be about to say so
            self._there.add(number)
        elif number not in self._reported:
            self._reported.add(number)
            run = self.work.runs[number]
            if kind == ENDED:
                self.listener.ended(run, what)
            else:
                self.listener.fault(run, str(what))

    def say(self, sentence: str) -> None:
        """What several workers find at the same time is said once."""
        before, now = self._said.get(sentence), time.monotonic()
        self._said[sentence] = now
        if before is None or now - before > SAME:
            self.listener.said(sentence)

    @property
    def known(self) -> int:
        """Of how many runs it is known what became of them."""
        return len(self._reported | self._there)

    @property
    def is_complete(self) -> bool:
        return self.known == len(self.work.runs)

    def close(self, why: str) -> None:
        """No report will come; `why` says what became of the workers."""
        for number, run in enumerate(self.work.runs):
            if number in self._reported:
                continue
            if number in self._there:
                self.listener.there(run)
            else:
                self.listener.fault(run, f"{run.entry.line}: {why}")
