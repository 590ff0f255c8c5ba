"""The validation score of each epoch of a run's networks, as their training reports it: learning curves.

Training says of each epoch how it did (`progress`), in this process or from one of its own, which passes on at most five reports
a second. Invariant: what is kept of a run is bounded, and nothing of what the run measures waits for it.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from relbench_harness.progress import Work

EPOCH = "epoch"
"""The work on a network's epochs, as `graph.training` reports it."""
VALIDATED = re.compile(r"validation (-?\d+\.\d+)")
MOST_POINTS = 1000


class Point(NamedTuple):
    """An epoch: seconds since the run began, its number from 1, and the validation score, of which more is better."""

    seconds: float
    epoch: int
    validation: float


def validated(work: Work) -> tuple[int, float] | None:
    """(epoch, validation score) where `work` has come to the end of an epoch."""
    found = VALIDATED.fullmatch(work.note) if work.label == EPOCH else None
    return None if found is None else (int(work.done), float(found[1]))


@dataclass
class Epochs:
    """Observes progress and keeps a curve for each network that is trained."""

    begun: float = field(default_factory=time.perf_counter)
    curves: list[list[Point]] = field(default_factory=list)
    _open: dict[int, list[Point]] = field(default_factory=dict)

    def started(self, work: Work) -> None: ...

    def moved(self, work: Work) -> None:
        found = validated(work)
        if found is None or sum(map(len, self.curves)) >= MOST_POINTS:
            return
        if id(work) not in self._open:
            self._open[id(work)] = []
            self.curves.append(self._open[id(work)])
        self._open[id(work)].append(Point(round(time.perf_counter() - self.begun, 2), *found))

    def ended(self, work: Work) -> None:
        self._open.pop(id(work), None)  # another piece of work may get the same id

    def stored(self) -> dict[str, list[list[float]]]:
        """Field of a point → its values by curve, as a result holds them; empty where no network was validated."""
        fields = enumerate(Point._fields)
        return {name: [[point[i] for point in one] for one in self.curves] for i, name in fields} if self.curves else {}


def curves_of(stored: Mapping[str, Any]) -> list[list[Point]]:
    """The curves that a result holds; those that are not what `Epochs.stored` writes are left out."""
    columns = [stored.get(name) for name in Point._fields]
    if not all(isinstance(column, list) for column in columns):
        return []
    found = []
    for parts in zip(*columns, strict=False):
        if all(_numbers(part) for part in parts) and len({len(part) for part in parts}) == 1:
            found.append([Point(float(s), int(e), float(v)) for s, e, v in zip(*parts, strict=True)])
    return [one for one in found if one]


def _numbers(values: object) -> bool:
    return isinstance(values, Sequence) and all(
        isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in values
    )
