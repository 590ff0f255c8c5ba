"""How the record of a row is laid out: numbers, moments, codes, sets of codes and vectors side by side, in 32-bit words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from relbench_harness.data.table import Table
from relbench_harness.graph.code_encoders import Categories, Category
from relbench_harness.graph.encoder import Encoder, Part
from relbench_harness.graph.number_encoders import Number

Packed = NDArray[np.int32]
PARTS: tuple[Part, ...] = ("numbers", "moments", "codes", "sets", "vectors")


class Records(NamedTuple):
    """Unpacked records.

    Attributes:
        numbers: (n, numbers) float32, standardised; NaN for null.
        moments: (n, moments) float32, days from the end of training to an instant in the row; NaN for null.
        codes: (n, codes) int32, 0 null, 1 unseen.
        sets: (n, total width of the sets) int32, 0 beyond the end of a list.
        vectors: (n, total width of the vectors) float16.
    """

    numbers: torch.Tensor
    moments: torch.Tensor
    codes: torch.Tensor
    sets: torch.Tensor
    vectors: torch.Tensor


@dataclass(frozen=True)
class Layout:
    """What a record of one table holds, part by part in the order of `PARTS`."""

    encoders: tuple[Encoder, ...]

    def part(self, part: Part) -> tuple[Encoder, ...]:
        """The encoders that fill a part, in order."""
        return tuple(e for e in self.encoders if e.part == part)

    def names(self, part: Part) -> tuple[str, ...]:
        """The features of a part, in order."""
        return tuple(name for e in self.part(part) for name in e.names)

    @cached_property
    def plain_numbers(self) -> Mapping[str, tuple[int, Number]]:
        """Column → its place among `numbers` and its encoder, for columns that are numbers themselves."""
        names = self.names("numbers")
        return {e.column: (names.index(e.column), e) for e in self.part("numbers") if isinstance(e, Number)}

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """How many codes each of `codes` has."""
        return tuple(e.cardinality for e in self.encoders if isinstance(e, Category))

    @property
    def sets(self) -> tuple[tuple[int, int], ...]:
        """(width, number of codes) of each set."""
        return tuple((e.width, e.cardinality) for e in self.encoders if isinstance(e, Categories))

    @cached_property
    def slices(self) -> Mapping[Part, slice]:
        """Which words of a record each part takes."""
        result, at = {}, 0
        for part in PARTS:
            width = len(self.names(part))
            words = (width + 1) // 2 if part == "vectors" else width
            result[part] = slice(at, at + words)
            at += words
        return MappingProxyType(result)

    @property
    def words(self) -> int:
        """32-bit words of a record; 0 for a table without attributes."""
        return int(self.slices["vectors"].stop)

    def pack(self, table: Table, first: int, last: int, out: Packed) -> None:
        """Write the records of rows `first` … `last − 1` to `out` (rows, words)."""
        piece = table.rows.slice(first, last - first)
        for part in PARTS:
            encoded = [e.encode(piece.column(e.column).combine_chunks()) for e in self.part(part)]
            if not encoded:
                continue
            block = np.concatenate(encoded, axis=1)
            if part == "vectors" and block.shape[1] % 2:
                block = np.concatenate([block, np.zeros((len(block), 1), np.float16)], axis=1)
            out[:, self.slices[part]] = np.ascontiguousarray(block).view(np.int32)

    def unpack(self, packed: torch.Tensor) -> Records:
        """The parts of packed records (n, words), as views of the same memory on the same device."""
        parts = {part: packed[:, where] for part, where in self.slices.items()}
        vectors = parts["vectors"].view(torch.float16)[:, : len(self.names("vectors"))]
        numbers, moments = parts["numbers"].view(torch.float32), parts["moments"].view(torch.float32)
        return Records(numbers, moments, parts["codes"], parts["sets"], vectors)
