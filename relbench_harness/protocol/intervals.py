"""Quantiles of a regression's labels, as a function of the prediction alone: what stands beside a prediction, never in its place.

A method that knows intervals says so in its notes, and the harness measures them by the labels that it keeps. Since quantiles follow from
stored predictions and stored notes, they are stored nowhere else. Invariant: quantiles of a prediction ascend with their levels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from relbench_harness.errors import InputError

NOTE = "intervals"
"""The key of a method's notes under which its intervals stand, and what they came to."""


@dataclass(frozen=True)
class Intervals:
    """Quantile of a label = prediction + offset. Offsets differ by how large the prediction is.

    Attributes:
        levels: Ascending, between 0 and 1.
        edges: (k − 1,) ascending; a prediction belongs to group g if g of them are at or below it.
        offsets: (k, levels), ascending along the levels.
        lowest: No quantile is below this: 0 where no known label is negative, else −inf.
    """

    levels: tuple[float, ...]
    edges: tuple[float, ...]
    offsets: tuple[tuple[float, ...], ...]
    lowest: float = -math.inf

    def around(self, predictions: NDArray[np.generic]) -> NDArray[np.float64]:
        """(n, levels) quantiles for (n,) predictions."""
        given = np.asarray(predictions, dtype=np.float64)
        group = np.searchsorted(np.asarray(self.edges), given, side="right")
        return np.asarray(np.maximum(given[:, None] + np.asarray(self.offsets)[group], self.lowest))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of columns, `q10` for the level 0.1."""
        return tuple(f"q{100 * level:g}" for level in self.levels)

    def noted(self) -> dict[str, Any]:
        """As it stands in notes."""
        lowest = self.lowest if math.isfinite(self.lowest) else None
        return {
            "levels": list(self.levels),
            "edges": list(self.edges),
            "offsets": list(map(list, self.offsets)),
            "lowest": lowest,
        }

    def measured(self, labels: NDArray[np.float64], predictions: NDArray[np.generic]) -> dict[str, float]:
        """How the intervals did: `coverage`, the share of labels from the lowest quantile to the highest, beside the `intended` one, the
        mean `width`, and for each level the share of labels at or below its quantile."""
        found = self.around(predictions)
        inside = (labels >= found[:, 0]) & (labels <= found[:, -1])
        below = (labels[:, None] <= found).mean(axis=0)
        return {
            "coverage": round(float(inside.mean()), 4),
            "intended": round(self.levels[-1] - self.levels[0], 4),
            "width": float((found[:, -1] - found[:, 0]).mean()),
            **{f"at or below {name}": round(float(share), 4) for name, share in zip(self.names, below, strict=True)},
        }


@runtime_checkable
class WithIntervals(Protocol):
    """A fitted method that knows how far labels lie from its predictions."""

    @property
    def intervals(self) -> Intervals | None:
        """None where too few labels were there to tell."""
        ...


def intervals_of(predictor: object) -> Intervals | None:
    """Those that `predictor` knows, if any."""
    return predictor.intervals if isinstance(predictor, WithIntervals) else None


def noted_intervals(notes: Mapping[str, Any]) -> Intervals | None:
    """The intervals that the notes of a result hold, if any. Notes are a method's own: what is not well formed is none."""
    note = notes.get(NOTE)
    if not isinstance(note, Mapping):
        return None
    try:
        levels, edges = tuple(map(float, note["levels"])), tuple(map(float, note["edges"]))
        offsets = tuple(tuple(map(float, group)) for group in note["offsets"])
        lowest = -math.inf if note["lowest"] is None else float(note["lowest"])
        check_levels(levels)
    except (KeyError, TypeError, ValueError, InputError):
        return None
    numbers = np.asarray([*edges, *(offset for group in offsets for offset in group)])
    fits = len(offsets) == len(edges) + 1 and all(len(group) == len(levels) for group in offsets)
    return Intervals(levels, edges, offsets, lowest) if fits and np.isfinite(numbers).all() else None


def check_levels(levels: Sequence[float]) -> None:
    """Raises `InputError` for levels that do not ascend between 0 and 1."""
    ascends = all(one < other for one, other in pairwise(levels))
    if not levels or not ascends or not all(0 < level < 1 for level in levels):
        raise InputError(f"quantiles ascend and lie between 0 and 1, such as [0.1, 0.5, 0.9], not {list(levels)}")
