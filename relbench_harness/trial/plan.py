"""How the minutes of a trial are divided among its methods.

Invariant: `seconds_of_next` is a function of the seconds that are left and of who waits. A method that took less than its part leaves the
rest to those after it, so that what is left at the end is what the last method did not want.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from relbench_harness.presets import check_method


class Turn(NamedTuple):
    """A method of a trial.

    Attributes:
        weight: Its part of the time left, beside the weights of those that wait after it.
        needed: Whether it runs even where the time is over: without it there is nothing to compare with.
    """

    method: str
    weight: float
    needed: bool = False


REFERENCE = "lightgbm_simple"
"""The plain reference that all others are compared with."""
RULES = ("constant", "label_history")
"""Methods without a model: what anybody can do by a rule."""
TURNS: tuple[Turn, ...] = (
    Turn("constant", 0.1, needed=True),
    Turn("label_history", 0.5, needed=True),
    Turn(REFERENCE, 2.0, needed=True),
    Turn("xgboost_dfs", 1.0),
    Turn("gnn", 1.2),
    Turn("auto", 1.6),
)
"""In the order in which they run: cheap ones first, the mixture of the others last. Cheap ones may take more than they mostly need: what
they leave goes to the others. A reference that has no time for all of its features would flatter those."""
OTHER_WEIGHT = 1.2
"""Of methods that are not among these."""
LEAST_SECONDS = 3.0
"""What a needed method is given in any case."""
FEWEST_SECONDS = 8.0
"""With less time than this no other method is begun."""
OVERHEAD = 3.0
"""Seconds that a run takes beside its budget, until one has been measured: its process starts, its result is stored."""
LATENESS = 4.0
"""Seconds that any other method may take beyond its budget before it is ended: packages are loaded, a step is finished. They are kept for
each that waits, so that a budget is never so long that its run cannot end in time."""
GRACE = 20.0
"""Seconds that a needed run may take beyond its budget where the time is over."""
SLACK = 0.05
"""The part of all seconds by which the last run may be late."""


def turns_of(methods: Sequence[str] = ()) -> tuple[Turn, ...]:
    """The turns of `methods`, all of `TURNS` where empty, in their order; others come after those.

    Raises:
        InputError: There is no such method.
    """
    for name in methods:
        check_method(name)
    if not methods:
        return TURNS
    known = tuple(turn for turn in TURNS if turn.method in methods)
    own = {turn.method for turn in TURNS}
    return known + tuple(Turn(name, OTHER_WEIGHT) for name in dict.fromkeys(methods) if name not in own)


def seconds_of_next(left: float, waiting: Sequence[Turn], overhead: float = OVERHEAD) -> float | None:
    """The budget of the first of `waiting`; None where too little is left to begin.

    Where not all find time, those at the end go without.

    Args:
        left: Seconds until the last method must have ended.
        overhead: What each run takes beside its budget.
    """
    first = waiting[0]
    if first.needed:
        return max(_part(left, waiting, overhead), LEAST_SECONDS)
    for several in range(len(waiting), 0, -1):
        part = _part(left, waiting[:several], overhead)
        if part >= FEWEST_SECONDS:
            return part
    return None


def _part(left: float, waiting: Sequence[Turn], overhead: float) -> float:
    """The first one's part where all of `waiting` have a turn."""
    kept = sum(overhead + (0.0 if turn.needed else LATENESS) for turn in waiting)
    return max(left - kept, 0.0) * waiting[0].weight / sum(turn.weight for turn in waiting)


def most_seconds(budget: float, left: float, waiting: Sequence[Turn], overhead: float = OVERHEAD) -> float:
    """After how many seconds the first of `waiting` is ended: it may be late as long as each of those after it keeps the least.

    Loading packages, and compiling kernels once on a machine, may take longer than a method can plan for.

    Args:
        budget: The seconds that it was given.
        left: Seconds until the last method is ended, at the latest.
        overhead: As for `seconds_of_next`.
    """
    room = left - (len(waiting) - 1) * (overhead + LATENESS + FEWEST_SECONDS)
    return max(room, budget + (GRACE if waiting[0].needed else LATENESS))


def for_report(seconds: float) -> float:
    """Of `seconds` in all, how many are kept for intervals, drawings and files."""
    return min(max(0.05 * seconds, 5.0), 25.0)
