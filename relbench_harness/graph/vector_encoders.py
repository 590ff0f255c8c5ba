"""Encoders of columns that become vectors: texts and given embeddings."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.columns import in_one_piece
from relbench_harness.data.stypes import plain, spread
from relbench_harness.graph.encoder import Part, as_lists
from relbench_harness.graph.text import TextEncoder


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
        """The encoder for a column with the known rows `values`; None where it says nothing."""
        lists = as_lists(in_one_piece(spread(values))).drop_null()
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
        return np.clip(self._rows(as_lists(values)) / self.scale, -1e4, 1e4).astype(np.float16)
