"""Encoders of columns that become codes: single values and lists of values."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.columns import by_frequency, in_one_piece
from relbench_harness.data.stypes import plain, spread
from relbench_harness.graph.encoder import Part, as_lists

MISSING, UNSEEN, FIRST = 0, 1, 2
"""Codes of a null, of a value that fitting did not see (or saw too rarely), and of the most frequent value."""


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
        """The encoder for a column with the known rows `values`; None where it says nothing."""
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
        """The encoder for a column with the known rows `values`; None where it says nothing."""
        lists = as_lists(in_one_piece(values))
        lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0))
        width = int(min(16, np.quantile(lengths, 0.95, method="higher"))) if len(lengths) else 0
        frequent = _frequent(pa.chunked_array([lists.flatten()]), most)
        return cls(column, frequent, width) if width and len(frequent) else None

    def encode(self, values: pa.Array) -> NDArray[np.int32]:
        lists = as_lists(values)
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


def _frequent(values: pa.ChunkedArray, most: int) -> pa.Array:
    """The distinct values, the most frequent first; those that occur once only where there are few."""
    table = by_frequency(spread(values, 5_000_000))
    if len(table) > 20:
        repeated = table.filter(pc.greater(table["count"], 1))
        table = repeated if len(repeated) > 1 else table
    return in_one_piece(table.slice(0, most)["value"])


def _codes(values: pa.Array, known: pa.Array) -> NDArray[np.int32]:
    """(n,) the code of each value; `known` has the values of the codes from `FIRST` on."""
    if values.type != known.type:
        values = values.cast(known.type, safe=False)
    place = pc.index_in(values, value_set=known)
    codes = np.asarray(pc.fill_null(pc.add(place, FIRST), UNSEEN).to_numpy(zero_copy_only=False)).astype(np.int32)
    if values.null_count:
        codes[np.asarray(pc.is_null(values).to_numpy(zero_copy_only=False))] = MISSING
    return codes
