"""One method on one task, for the commands that take no sweep: `audit`, `explain` and `backtest`.

Invariant: what is wrong with names and options is said before Hydra is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from relbench_harness.errors import InputError
from relbench_harness.presets import check_choices

if TYPE_CHECKING:
    from relbench_harness.compose import Composed


def check_alone(overrides: Sequence[str], command: str) -> None:
    """Raises `InputError` where `overrides` are those of a sweep."""
    if {"-m", "--multirun"} & set(overrides):
        raise InputError(f"{command} takes one task and one method at a time; -m belongs to run")


def composed_alone(overrides: Sequence[str], command: str) -> Composed:
    """What `overrides`, as `run` takes them, compose.

    Raises:
        InputError: They are those of a sweep, name what is not there, or cannot be composed.
    """
    check_alone(overrides, command)
    check_choices(overrides)
    from relbench_harness.compose import composed

    (found,) = composed(overrides)
    if isinstance(found, InputError):
        raise found
    return found
