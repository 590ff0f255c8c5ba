"""Whether a run had the machine to itself, for seconds that were measured beside other work say less.

What counts are the cores that the run may use: what they did meanwhile, less what the run's own processes did. The system's
load stands beside it. Invariant: looking never fails; what the system does not tell is None.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psutil

from relbench_harness.protocol.energy import drawn, energy
from relbench_harness.protocol.machine import usable_cores
from relbench_harness.protocol.processor_time import OfChildren

MOST_OTHERS = 0.1
"""The share of a run's cores that others may use before its seconds count as measured on a shared machine."""
WORKING = ("user", "nice", "system", "irq", "softirq")
"""What a core does when it works, as the system counts it. Guests of a virtual machine are among `user`."""


@dataclass(frozen=True)
class Instant:
    """The machine at one time.

    Attributes:
        at: Seconds of a clock.
        cores: How many cores this process may use.
        busy: Seconds that these cores have worked since the system began, for whomever; None where it does not tell.
        load: Processes that want a core, on average over the last minute.
        own: Processor seconds of this process and of those below it.
    """

    at: float
    own: float
    cores: int
    busy: float | None
    load: float | None


def instant() -> Instant:
    """The machine now."""
    cores = usable_cores()
    load = None
    with suppress(OSError, AttributeError):
        load = os.getloadavg()[0]
    own = time.process_time() + OfChildren().seconds(now=True)
    return Instant(time.perf_counter(), own, len(cores), _busy(cores), load)


def _busy(cores: list[int]) -> float | None:
    with suppress(Exception):
        times = psutil.cpu_times(percpu=True)
        return float(sum(getattr(times[core], name, 0.0) for core in cores for name in WORKING))
    return None


def sharing(begin: Instant, end: Instant, jobs: int) -> Mapping[str, Any]:
    """What else the machine did between two instants, as a result has it.

    `others` is how many cores' work other programs had on the cores of this process, `load` the system's load at both ends,
    at the second less the run's own. With other jobs of a sweep beside it a run shares memory and caches in any case.

    Args:
        jobs: How many jobs of the sweep ran at a time.
    """
    spent = max(end.at - begin.at, 1e-3)
    own = (end.own - begin.own) / spent
    load = [begin.load, None if end.load is None else max(end.load - own, 0.0)]
    others = load[1]
    if begin.busy is not None and end.busy is not None and end.busy > begin.busy:
        others = max((end.busy - begin.busy) / spent - own, 0.0)
    return {
        "is_shared": jobs > 1 or (others is not None and others > MOST_OTHERS * end.cores),
        "jobs": jobs,
        "others": None if others is None else round(others, 2),
        "cores": end.cores,
        "load": [None if one is None else round(one, 2) for one in load],
    }


@dataclass(frozen=True)
class Surroundings:
    """What is around a run, from its beginning on.

    Attributes:
        device: The GPU whose energy counts, as in a budget.
    """

    device: str
    begin: Instant = field(default_factory=instant)
    _energy: list[float | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._energy.append(energy(self.device))

    def until_now(self, jobs: int) -> dict[str, Any]:
        """`energy_joules` and `shared`, as a result has them."""
        joules = drawn(self._energy[0], energy(self.device))
        return {"energy_joules": joules, "shared": sharing(self.begin, instant(), jobs)}
