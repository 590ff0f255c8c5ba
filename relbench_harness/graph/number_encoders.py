"""Encoders of columns that become numbers: amounts, places in the calendar, and instants that a model takes ages from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.columns import in_one_piece, ticks
from relbench_harness.data.cycles import CYCLES, DAY, waves
from relbench_harness.data.stypes import is_instant, is_text, parsed, parsed_days, plain, spread
from relbench_harness.graph.encoder import Part

CLIP = 10.0
"""The greatest standardised number."""


@dataclass(frozen=True)
class Number:
    """(x − mean) / deviation, clipped; through a signed logarithm first where the tails are heavy. NaN for null."""

    column: str
    centre: float
    spread: float
    mean: float
    deviation: float
    logarithmic: bool
    part: Part = field(default="numbers", init=False)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.column,)

    @classmethod
    def fit(cls, column: str, values: pa.ChunkedArray) -> Number | None:
        """The encoder for a column with the known rows `values`; None where it says nothing."""
        x = _floats(spread(values))
        x = x[np.isfinite(x)]
        if len(x) == 0 or x.min() == x.max():
            return None
        low, centre, high = np.quantile(x, [0.25, 0.5, 0.75])
        scale = float(high - low) or float(np.abs(x - centre).mean())
        plain = (x - x.mean()) / x.std()
        logarithmic = bool(np.mean(plain**4) > 10.0)
        y = _signed_log((x - centre) / scale) if logarithmic else x
        return cls(column, float(centre), scale, float(y.mean()), float(y.std()), logarithmic)

    def encode(self, values: pa.Array) -> NDArray[np.float32]:
        x = _floats(values)
        y = _signed_log((x - self.centre) / self.spread) if self.logarithmic else x
        return np.clip((y - self.mean) / self.deviation, -CLIP, CLIP).astype(np.float32)[:, None]

    def decode(self, encoded: NDArray[np.floating]) -> NDArray[np.float64]:
        """The numbers that were encoded, at the edge where they were clipped."""
        y = encoded.astype(np.float64) * self.deviation + self.mean
        return self.centre + self.spread * np.sign(y) * np.expm1(np.abs(y)) if self.logarithmic else y


@dataclass(frozen=True)
class Calendar:
    """Where in the year, week and day an instant lies, as sines and cosines; those that vary. NaN for null."""

    column: str
    cycles: tuple[str, ...]
    part: Part = field(default="numbers", init=False)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.column}.{cycle}.{f}" for cycle in self.cycles for f in ("sin", "cos"))

    @classmethod
    def fit(cls, column: str, values: pa.ChunkedArray) -> Calendar | None:
        """The encoder for a column with the known rows `values`; None where it says nothing."""
        x = _instants(in_one_piece(spread(values)))
        x = x[np.isfinite(x)]
        varying = tuple(c for c, length in CYCLES.items() if len(x) and np.ptp(x % length) > 0.01 * length)
        return cls(column, varying) if varying else None

    def encode(self, values: pa.Array) -> NDArray[np.float32]:
        return waves(_instants(values), [CYCLES[c] for c in self.cycles]).astype(np.float32)


@dataclass(frozen=True)
class Moment:
    """Days from `origin` (nanoseconds) to an instant, from which a model takes its age at a cut-off. NaN for null."""

    column: str
    origin: int
    part: Part = field(default="moments", init=False)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.column,)

    def encode(self, values: pa.Array) -> NDArray[np.float32]:
        return ((_instants(values) - self.origin) / DAY).astype(np.float32)[:, None]


def _floats(values: Any) -> NDArray[np.float64]:
    """The values as numbers, instants in their own unit, texts as parsed; NaN for null and infinity."""
    values = plain(values)
    if pa.types.is_temporal(values.type):
        values = ticks(values)
    elif is_text(values.type):
        values = parsed(values)
    x = np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    return np.where(np.isfinite(x), x, np.nan)


def _signed_log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sign(x) * np.log1p(np.abs(x)))


def _instants(values: Any) -> NDArray[np.float64]:
    """Nanoseconds since 1970 (of the day, for times of day); NaN for null. Numbers are seconds, texts are days."""
    values = plain(values)
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s"))
    if is_text(values.type):
        values = parsed_days(values)
    unit = "s"
    if is_instant(values.type):
        unit, values = values.type.unit, ticks(values)
    x = np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    return x * {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}[unit]
