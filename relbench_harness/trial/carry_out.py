"""The runs of a trial, one after another, each within its part of the minutes.

Invariant: whatever a method does, those after it have their turn, and each has a row: a result, or the sentence why there is none.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relbench_harness.compose import make_guarded
from relbench_harness.errors import InputError, ResultWarning
from relbench_harness.models.keep import Keeping
from relbench_harness.protocol.limits import Limits
from relbench_harness.protocol.method import Budget, Regime
from relbench_harness.protocol.result import Result
from relbench_harness.request import RunRequest
from relbench_harness.trial.plan import OVERHEAD, Turn, most_seconds, seconds_of_next

REGIME: Regime = "rolling"
"""Every example sees all rows before its own time, as predictions in daily use do."""


ISOLATION = "process" if sys.platform == "linux" else "none"
"""A method that crashes or takes all memory ends its own run alone, where the system allows that."""


@dataclass(frozen=True)
class Attempt:
    """What came of a method's turn.

    Attributes:
        seconds: Its budget; None where it had no turn.
        result: None where it had no turn, or could not begin.
        why: Why there is no score; empty where there is one.
        doubts: What the harness warned of.
        keeping: The fitted method, where it can be kept.
    """

    method: str
    seconds: float | None
    result: Result | None
    why: str = ""
    doubts: tuple[str, ...] = ()
    keeping: Keeping | None = field(default=None, repr=False, compare=False)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The parts of the method for which there was no time."""
        return () if self.result is None else tuple(_left_out(self.result.notes))

    @property
    def scored(self) -> bool:
        return self.result is not None and self.result.ok


def _left_out(notes: Mapping[str, Any]) -> Iterator[str]:
    """What a method and its members say that they left out."""
    own = notes.get("left_out")
    yield from map(str, own if isinstance(own, list | tuple) else ())
    members = notes.get("members")
    for name, inner in members.items() if isinstance(members, Mapping) else ():
        if isinstance(inner, Mapping):
            yield from (f"{part} of {name}" for part in _left_out(inner))


@dataclass(frozen=True)
class Bounds:
    """Within what the runs of a trial stay.

    Attributes:
        end: `time.monotonic()` by which the last of them should have ended.
        slack: Seconds after that at which the last is ended.
    """

    end: float
    slack: float
    results: Path
    seed: int = 0
    isolation: str = ISOLATION


def attempts(task: str, turns: Sequence[Turn], bounds: Bounds, began: Callable[[str, float], None]) -> Iterator[Attempt]:
    """Every method's turn, in order.

    Args:
        began: Is called with each method that begins, and its seconds.
    """
    overhead = OVERHEAD
    for place, turn in enumerate(turns):
        start = time.monotonic()
        seconds = seconds_of_next(bounds.end - start, turns[place:], overhead)
        if seconds is None:
            yield Attempt(turn.method, None, None, "no time was left for it; more --minutes give it a turn")
            continue
        began(turn.method, seconds)
        limit = most_seconds(seconds, bounds.end + bounds.slack - start, turns[place:], overhead)
        attempt = _attempt(task, turn.method, (round(seconds, 1), limit), bounds)
        yield attempt
        if attempt.result is not None and attempt.scored:
            took = time.monotonic() - start
            overhead = max(min(took - attempt.result.seconds_warm.get("total", took), 15.0), 0.5 * overhead)


def _attempt(task: str, method: str, time_given: tuple[float, float], bounds: Bounds) -> Attempt:
    """One run.

    Args:
        time_given: The seconds of its budget, and those after which it is ended.
    """
    seconds, limit = time_given
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ResultWarning)
        try:
            made, config = make_guarded(method)
            request = RunRequest(
                task=task,
                method=made,
                name=method,
                config=config,
                regime=REGIME,
                budget=Budget(seed=bounds.seed, seconds=seconds),
                results_dir=bounds.results,
                isolation=bounds.isolation,
                limits=Limits(seconds=limit),
            )
            keeping = Keeping()
            result = request.execute(keeping=keeping).result
        except InputError as error:
            return Attempt(method, seconds, None, str(error))
    doubts = tuple(str(one.message) for one in caught)
    return Attempt(method, seconds, result, "" if result.ok else f"{result.status}: {result.error}", doubts, keeping)
