"""What a run may use, and the one place where the defaults of that are written."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, field, replace

import psutil

from relbench_harness.errors import InputError

DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
LEAST_SECONDS = 0.001
"""What is left where the time is over: a budget of no seconds would be none."""
PREDICTIONS = 2.5
"""What a method keeps of its time for predictions, in multiples of what those of validation cost: that of validation, that of
test, and a half for what a larger database costs."""
MEMORY_SHARE = 0.25
"""Share of the machine's memory that a method should stay within where the budget names none."""
LARGEST_SEED = 2**31 - 1
"""What every package's generator takes."""


@dataclass(frozen=True)
class Budget:
    """What a run may use; `seed` fixes every random choice of a method.

    Attributes:
        seed: From 0 to `LARGEST_SEED`.
        seconds: Wall seconds of a run, from reading to the last prediction; a method is given what reading left. None without limit.
        memory_mb: Memory that a method should stay within; None for a share of the machine's, see `memory`.
        threads: Processor threads.
        trials: How many configurations a tuned method may try.
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or one of several, `cuda:1`.
    """

    seed: int = 0
    seconds: float | None = None
    memory_mb: int | None = None
    threads: int = 2
    trials: int = 20
    device: str = "auto"

    @property
    def memory(self) -> int:
        """Megabytes that a method should stay within: `memory_mb`, or `MEMORY_SHARE` of what the machine has."""
        return self.memory_mb or int(MEMORY_SHARE * psutil.virtual_memory().total / 2**20)

    def check(self) -> None:
        """Raises `InputError` for a value of another type, or one that no run can keep.

        Called where a run begins: the shares of a budget that methods give to their parts may be what is left of it.
        """
        for name in ("seed", "threads", "trials", "memory_mb", "seconds"):
            value = getattr(self, name)
            if value is None and name in ("seconds", "memory_mb"):
                continue
            kinds, kind = ((int, float), "a number") if name == "seconds" else (int, "int")
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise InputError(f"budget: {name} is {value!r}, not {kind}")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise InputError(f"seed is {self.seed}; it is a whole number from 0 to {LARGEST_SEED}")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise InputError(f"budget: seconds is {self.seconds}; it is more than 0, or null for no limit")
        for name in ("threads", "trials", "memory_mb"):
            if (getattr(self, name) or 0) < 1 and getattr(self, name) is not None:
                raise InputError(f"budget: {name} is {getattr(self, name)}; it is at least 1")
        if not isinstance(self.device, str) or not DEVICE.fullmatch(self.device):
            raise InputError(f"budget: unknown device {self.device!r}; known: auto, cpu, cuda")


@dataclass(frozen=True)
class Countdown:
    """The seconds of a budget, counted from now on.

    Attributes:
        budget: What is divided among the parts of a method.
        begin: `time.monotonic()` at the start.
    """

    budget: Budget
    begin: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds, at least a thousandth; infinite without limit."""
        if self.budget.seconds is None:
            return math.inf
        return max(self.budget.seconds - (time.monotonic() - self.begin), LEAST_SECONDS)

    @property
    def is_over(self) -> bool:
        return self.left <= LEAST_SECONDS

    def part(self, share: float = 1.0, reserve: float = 0.0) -> Budget:
        """The budget with `share` of the seconds that are left once `reserve` of them are kept."""
        if self.budget.seconds is None:
            return self.budget
        return replace(self.budget, seconds=max(share * (self.left - reserve), LEAST_SECONDS))
