"""The cycles of the calendar as sine and cosine, so that the end of a year is next to its beginning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

DAY = 86_400e9
CYCLES: Mapping[str, float] = MappingProxyType({"year": 365.2425 * DAY, "week": 7 * DAY, "day": DAY})
"""Nanoseconds of each cycle."""


def waves(instants: NDArray[np.float64] | NDArray[np.int64], lengths: Sequence[float]) -> NDArray[np.float64]:
    """(n, 2 · cycles) sine and cosine of where `instants` lie in cycles of the given lengths, all in nanoseconds."""
    out = np.empty((len(instants), 2 * len(lengths)))
    for place, length in enumerate(lengths):
        phase = 2 * np.pi * (instants % length) / length
        out[:, 2 * place], out[:, 2 * place + 1] = np.sin(phase), np.cos(phase)
    return out
