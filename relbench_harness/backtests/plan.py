"""What a backtest is to do, as the shell reads it. Loads no package for data, so that a wrong word is refused at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relbench_harness.errors import InputError, nearest

STEPS = ("span", "horizon")
"""How far origins lie apart: the time from validation to test of the dataset, or the task's horizon."""
LASTS = ("val", "test")
"""The split in whose time the examples of the last origin lie."""
REFRESH = ("never", "every", "warm")
"""When a model learns again: never, at every origin anew, at every origin with what was chosen kept."""
MOST = 100


@dataclass(frozen=True)
class Plan:
    """How many origins there are, how far apart, where they end, and the policies that are compared.

    Raises:
        InputError: A value that is none of the valid ones.
    """

    number: int = 6
    step: str = "span"
    last: str = "val"
    refresh: Sequence[str] = ("never", "every")

    def __post_init__(self) -> None:
        if not 2 <= self.number <= MOST:
            raise InputError(f"origins is {self.number}; it is a whole number from 2 to {MOST}")
        for what, given, known in (("step", self.step, STEPS), ("last", self.last, LASTS)):
            if given not in known:
                raise InputError(f"no {what} {given!r}; {nearest(given, known)}")
        for name in self.refresh:
            if name not in REFRESH:
                raise InputError(f"no refresh {name!r}; {nearest(name, REFRESH)}")


def plan_of(origins: str, step: str, last: str, refresh: str) -> Plan:
    """The plan that words of the shell describe; `refresh` is a comma list.

    Raises:
        InputError: A word that means nothing.
    """
    try:
        number = int(origins)
    except ValueError:
        raise InputError(f"origins is {origins!r}; it is a whole number from 2, such as origins=6") from None
    return Plan(number, step, last, tuple(dict.fromkeys(name.strip() for name in refresh.split(","))))
