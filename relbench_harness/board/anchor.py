"""Seconds relative to those of one method, the anchor, on the same machine and task: what machines of different speed share.

Invariant: a run is compared with runs of its own task, regime, version of the data and machine alone; where the anchor did not
run there is no figure.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from relbench_harness.errors import InputError, nearest
from relbench_harness.protocol.result import Result

MACHINE = ("cpu", "gpu", "memory_mb", "system")
"""What makes two machines the same. How many cores a run may use is none of it: the jobs of a sweep divide them."""


@dataclass(frozen=True)
class Anchor:
    """The anchor's seconds.

    Attributes:
        name: The method's name, or that of one row where the method has several; empty without an anchor.
        seconds: (What is ranked together, machine) → mean seconds of the anchor's runs that scored.
    """

    name: str = ""
    seconds: Mapping[tuple[Hashable, Hashable], float] = field(default_factory=dict)

    def ratio(self, group: Hashable, results: Iterable[Result]) -> float:
        """The seconds of `results` in multiples of the anchor's, on average over those with an anchor; NaN without any."""
        found = []
        for result in results:
            own = self.seconds.get((group, machine_of(result)), math.nan)
            ratio = result.seconds.get("total", math.nan) / own if own > 0 else math.nan
            if not math.isnan(ratio):
                found.append(ratio)
        return float(np.mean(found)) if found else math.nan


def anchor_of(name: str, rows: Iterable[tuple[Hashable, str, list[Result]]]) -> Anchor:
    """The anchor called `name`.

    Args:
        rows: What is ranked together, the name on the board, and the results that scored.

    Raises:
        InputError: Nothing is called so, or several rows of one ranking are.
    """
    known = list(rows)
    labels = {label for _, label, _ in known}
    methods = {result.method for _, _, results in known for result in results}
    if name not in labels | methods:
        raise InputError(f"no anchor {name!r} among the results that scored; {nearest(name, sorted(labels | methods))}")
    exact = name in labels
    totals: dict[tuple[Hashable, Hashable], list[float]] = {}
    taken: dict[Hashable, str] = {}
    for group, label, results in known:
        if label != name and (exact or all(result.method != name for result in results)):
            continue
        if taken.setdefault(group, label) != label:
            raise InputError(f"anchor {name!r} has several rows; name one of them, such as {label!r}")
        for result in results:
            if (machine := machine_of(result)) is not None:
                totals.setdefault((group, machine), []).append(result.seconds.get("total", math.nan))
    return Anchor(name, {key: float(np.mean(seconds)) for key, seconds in totals.items()})


def machine_of(result: Result) -> Hashable | None:
    """What says on which machine a result was made; None where it does not say."""
    known = tuple(str(result.machine.get(name) or "") for name in MACHINE)
    return known if any(known) else None
