"""What an isolated run may use at most, and the one place where the defaults of that are written.

A budget is what a method plans with; limits are where the harness ends it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from relbench_harness.errors import InputError
from relbench_harness.protocol.budget import Budget

OVERTIME = 1.5
"""How many times the seconds of its budget a run may take, beside `GRACE`."""
GRACE = 60.0
"""Seconds that a run may take beyond that."""
OVER_MEMORY = 1.25
"""How many times the memory of its budget a run may take."""
SHARE = 0.9
"""The share of the machine's memory that a run may take without a budget."""


@dataclass(frozen=True)
class Limits:
    """Where an isolated run is ended.

    Attributes:
        seconds: Wall seconds of the method's side. None: 1.5 times the budget's seconds and a minute, or no limit without a budget.
        memory_mb: Memory of the process tree. None: 1.25 times the budget's memory, or 90 % of the machine's.
        processes: Processes at a time.
        open_files: Open files of each process.
        disk_mb: What may lie in the run's own folder, temporary files included.
    """

    seconds: float | None = None
    memory_mb: int | None = None
    processes: int = 512
    open_files: int = 4096
    disk_mb: int = 10_000

    def check(self) -> None:
        """Raises `InputError` for a value of another type, or one with which nothing can run."""
        for name, value in asdict(self).items():
            if value is None and name in ("seconds", "memory_mb"):
                continue
            kinds, kind = ((int, float), "a number") if name == "seconds" else (int, "a whole number")
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise InputError(f"limits: {name} is {value!r}, not {kind}")
            least = {"open_files": 64, "processes": 1}.get(name, 0)
            if not least <= value < math.inf or value == 0:
                said = f"at least {least}" if least else "more than 0"
                null = ", or null for the default" if name in ("seconds", "memory_mb") else ""
                raise InputError(f"limits: {name} is {value}; it is {said}{null}")

    def of_run(self, budget: Budget) -> Limits:
        """The limits with those filled in that follow from the budget and the machine."""
        import psutil

        seconds, memory = self.seconds, self.memory_mb
        if seconds is None and budget.seconds is not None:
            seconds = budget.seconds * OVERTIME + GRACE
        if memory is None:
            whole = psutil.virtual_memory().total // 2**20
            memory = int(budget.memory_mb * OVER_MEMORY) if budget.memory_mb is not None else int(whole * SHARE)
        return replace(self, seconds=seconds, memory_mb=memory)

    def in_force(self, means: Mapping[str, str]) -> dict[str, Any]:
        """Each limit as it stands in a result: its value and the means that keep it."""
        return {name: {"value": value, "by": means[name]} for name, value in asdict(self).items() if value is not None}
