"""Turns columns into numbers, codes and vectors; what an encoder knows it learned from the rows it was fitted on.

Nothing here can fail on later data: a value never seen has a code of its own, a null is NaN or code 0, an outlier is
clipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.cycles import CYCLES, waves
from relbench_harness.data.stypes import Stype, is_text, parsed, parsed_days, plain, spread
from relbench_harness.graph.text import TextEncoder

Part = Literal["numbers", "moments", "codes", "sets", "vectors"]
MISSING, UNSEEN, FIRST = 0, 1, 2
"""Codes of a null, of a value that fitting did not see (or saw too rarely), and of the most frequent value."""
CLIP = 10.0
SMALL = 32
"""An integer column with no more distinct values is encoded both as a number and as a category."""
DAY = 86_400e9


class Encoder(Protocol):
    """One column's encoder. `part` says which part of a row it fills, `names` its features there."""

    @property
    def column(self) -> str: ...

    @property
    def part(self) -> Part: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def encode(self, values: pa.Array) -> NDArray[Any]:
        """(n, len(names)) float32 for numbers and moments, int32 for codes and sets, float16 for vectors."""
        ...


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
class Category:
    """Codes by frequency: 0 null, 1 unseen or rare, 2 the most frequent value, …"""

    column: str
    values: pa.Array = field(repr=False)
    part: Part = field(default="codes", init=False)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def cardinality(self) -> int:
        return len(self.values) + FIRST

    @classmethod
    def fit(cls, column: str, values: pa.ChunkedArray, most: int = 10_000) -> Category | None:
        frequent = _frequent(plain(values), most)
        informs = len(frequent) > 1 or (len(frequent) == 1 and values.null_count > 0)
        return cls(column, frequent) if informs else None

    def encode(self, values: pa.Array) -> NDArray[np.int32]:
        return _codes(plain(values), self.values)[:, None]

    def __repr__(self) -> str:
        return f"Category({self.column!r}, {self.values.to_pylist()!r})"


@dataclass(frozen=True)
class Categories:
    """The codes of a list's values, the first `width` of them, padded with 0."""

    column: str
    values: pa.Array = field(repr=False)
    width: int
    part: Part = field(default="sets", init=False)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.column}[{i}]" for i in range(self.width))

    @property
    def cardinality(self) -> int:
        return len(self.values) + FIRST

    @classmethod
    def fit(cls, column: str, values: pa.ChunkedArray, most: int = 10_000) -> Categories | None:
        lists = _lists(_single(values))
        lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0))
        width = int(min(16, np.quantile(lengths, 0.95, method="higher"))) if len(lengths) else 0
        frequent = _frequent(pa.chunked_array([lists.flatten()]), most)
        return cls(column, frequent, width) if width and len(frequent) else None

    def encode(self, values: pa.Array) -> NDArray[np.int32]:
        lists = _lists(values)
        lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0))
        codes = _codes(lists.flatten(), self.values)
        begins = np.cumsum(lengths) - lengths
        place = np.arange(self.width)[None, :]
        inside = place < lengths[:, None]
        out = np.zeros(inside.shape, np.int32)
        out[inside] = codes[(begins[:, None] + place)[inside]]
        return out

    def __repr__(self) -> str:
        return f"Categories({self.column!r}, {self.values.to_pylist()!r}, {self.width})"


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
        x = _instants(_single(spread(values)))
        x = x[np.isfinite(x)]
        varying = tuple(c for c, length in CYCLES.items() if len(x) and np.ptp(x % length) > 0.01 * length)
        return cls(column, varying) if varying else None

    def returns(self, values: pa.Array, rounds: int) -> NDArray[np.bool_]:
        """(len(names),) whether `values` span so many rounds of each cycle; times of day always come back."""
        x = _instants(values)
        x = x[np.isfinite(x)]
        span = np.inf if pa.types.is_time(values.type) else np.ptp(x) if len(x) else 0.0
        return np.repeat([span >= rounds * CYCLES[c] for c in self.cycles], 2)

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


@dataclass(frozen=True)
class Text:
    """A text's vector."""

    column: str
    encoder: TextEncoder
    part: Part = field(default="vectors", init=False)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.column}[{i}]" for i in range(self.encoder.width))

    def encode(self, values: pa.Array) -> NDArray[np.float16]:
        return self.encoder.encode(plain(values).cast(pa.large_string()))


@dataclass(frozen=True)
class Vector:
    """A given embedding divided by its typical length; zeros where null or of another length."""

    column: str
    width: int
    scale: float
    part: Part = field(default="vectors", init=False)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.column}[{i}]" for i in range(self.width))

    @classmethod
    def fit(cls, column: str, values: pa.ChunkedArray) -> Vector | None:
        lists = _lists(_single(spread(values))).drop_null()
        lengths = np.asarray(pc.list_value_length(lists))
        width = int(np.median(lengths)) if len(lengths) else 0
        if not width:
            return None
        x = cls(column, width, 1.0)._rows(lists)
        scale = float(np.sqrt(np.nanmean((x**2).sum(1))))
        return cls(column, width, scale) if np.isfinite(scale) and scale > 0 else None

    def _rows(self, lists: pa.Array) -> NDArray[np.float64]:
        lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0))
        flat = np.nan_to_num(np.asarray(lists.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False)))
        out = np.zeros((len(lengths), self.width))
        fits = lengths == self.width
        begins = (np.cumsum(lengths) - lengths)[fits]
        out[fits] = flat[begins[:, None] + np.arange(self.width)[None, :]]
        return out

    def encode(self, values: pa.Array) -> NDArray[np.float16]:
        return np.clip(self._rows(_lists(values)) / self.scale, -1e4, 1e4).astype(np.float16)


def fit_encoders(column: str, stype: Stype, values: pa.ChunkedArray, origin: int, text: TextEncoder) -> list[Encoder]:
    """The encoders of one column, none where it says nothing (all rows equal or null).

    Args:
        values: The rows visible at the end of training.
        origin: Nanoseconds; the end of training, from which moments are counted.
    """
    found: list[Encoder | None]
    if stype is Stype.numerical:
        found = [Number.fit(column, values), *_both_ways(column, values, Category)]
    elif stype is Stype.categorical:
        found = [Category.fit(column, values), *_both_ways(column, values, Number)]
    elif stype is Stype.multicategorical:
        found = [Categories.fit(column, values)]
    elif stype is Stype.timestamp:
        found = [Calendar.fit(column, values), Moment(column, origin)]
    elif stype is Stype.embedding:
        found = [Vector.fit(column, values)]
    else:
        found = [Text(column, text)]
    return [encoder for encoder in found if encoder is not None]


def _both_ways(column: str, values: pa.ChunkedArray, other: type[Number] | type[Category]) -> list[Encoder | None]:
    """Integers of few values are counts or grades as much as categories: the other reading of such a column."""
    if not pa.types.is_integer(values.type) or pc.count_distinct(spread(values)).as_py() > SMALL:
        return []
    return [other.fit(column, values)]


def _single(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _floats(values: Any) -> NDArray[np.float64]:
    values = plain(values)
    if pa.types.is_temporal(values.type):
        values = values.cast(pa.int64() if values.type.bit_width == 64 else pa.int32())
    elif is_text(values.type):
        values = parsed(values)
    x = np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    return np.where(np.isfinite(x), x, np.nan)


def _signed_log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sign(x) * np.log1p(np.abs(x)))


def _instants(values: Any) -> NDArray[np.float64]:
    """Nanoseconds since 1970 (of the day, for times of day); NaN for null."""
    values = plain(values)
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s"))
    if pa.types.is_time(values.type):
        unit = values.type.unit
        values = values.cast(pa.int32() if values.type.bit_width == 32 else pa.int64())
    elif pa.types.is_timestamp(values.type):
        unit = values.type.unit
        values = values.cast(pa.int64())
    elif pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        unit = "s"
    else:
        values, unit = parsed_days(values).cast(pa.int64()), "s"
    x = np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    return x * {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}[unit]


def _lists(values: pa.Array) -> pa.Array:
    """Lists of any kind as large lists; texts declared multi-categorical are split at commas, bars and semicolons."""
    values = plain(values)
    kind = values.type
    if is_text(kind):
        return pc.split_pattern_regex(values, r"\s*[,;|]\s*").cast(pa.large_list(pa.large_string()))
    return values.cast(pa.large_list(kind.value_type))


def _frequent(values: Any, most: int) -> pa.Array:
    """The distinct values, the most frequent first, ties in order of value; single ones only where there are few."""
    counts = pc.value_counts(_single(spread(values, 5_000_000)).drop_null())
    table = pa.table({"value": counts.field("values"), "count": counts.field("counts")})
    if len(table) > 20:
        repeated = table.filter(pc.greater(table["count"], 1))
        table = repeated if len(repeated) > 1 else table
    if pa.types.is_boolean(table["value"].type):
        table = table.sort_by([("count", "descending")])
    else:
        table = table.sort_by([("count", "descending"), ("value", "ascending")])
    return _single(table.slice(0, most)["value"])


def _codes(values: pa.Array, known: pa.Array) -> NDArray[np.int32]:
    if values.type != known.type:
        values = values.cast(known.type, safe=False)
    place = pc.index_in(values, value_set=known)
    codes = np.asarray(pc.fill_null(pc.add(place, FIRST), UNSEEN).to_numpy(zero_copy_only=False)).astype(np.int32)
    if values.null_count:
        codes[np.asarray(pc.is_null(values).to_numpy(zero_copy_only=False))] = MISSING
    return codes
