"""What the rows of a database say, ready for a model: one packed record per row, in memory or mapped from disk.

Encoders are fitted once, on the rows visible at the end of training, and then encode any cut of the same database. A record
is a few 32-bit words: numbers, moments, codes, sets of codes and half-precision vectors side by side, so that fetching a row
is one read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from relbench_harness.data.array_store import opened, spacious, writing
from relbench_harness.data.database import Database
from relbench_harness.data.stypes import stypes
from relbench_harness.data.table import Instant, nanoseconds
from relbench_harness.errors import InputError, nearest
from relbench_harness.graph.encoders import fit_encoders
from relbench_harness.graph.layout import Layout, Packed, Records
from relbench_harness.graph.number_encoders import Calendar
from relbench_harness.graph.text import TextEncoder, text_encoder

PIECE = 1 << 18
"""Rows encoded at a time."""


@dataclass(frozen=True)
class Encoders:
    """Fitted encoders of every table.

    Attributes:
        layouts: Table → layout; a table without attributes has an empty one.
        fit_end: Nanoseconds; the end of training.
    """

    layouts: Mapping[str, Layout]
    fit_end: int

    @classmethod
    def fit(cls, known: Database, fit_end: Instant, text: TextEncoder | str | None = None) -> Encoders:
        """Learn statistics and vocabularies.

        Args:
            known: The rows visible at the end of training (`Examples.known`).
            fit_end: When that is (`Examples.fit_end`).
            text: How texts are encoded: None for hashed character n-grams, or the name of a sentence-transformer.
        """
        encoder = text_encoder(text) if text is None or isinstance(text, str) else text
        origin = nanoseconds(fit_end)
        layouts = {}
        for name, table in known.items():
            found = [
                e
                for column, stype in stypes(table).items()
                for e in fit_encoders(column, stype, table.rows.column(column), origin, encoder)
            ]
            calendar = None if table.time is None else Calendar.fit(table.time, table.rows.column(table.time))
            layouts[name] = Layout((*found, calendar) if calendar is not None else tuple(found))
        return cls(MappingProxyType(layouts), origin)

    @cached_property
    def digest(self) -> str:
        """Differs where anything learned differs."""
        state = hashlib.blake2b(digest_size=16)
        for name in sorted(self.layouts):
            state.update(repr((name, self.layouts[name].encoders, self.fit_end)).encode())
        return state.hexdigest()

    def encode(self, database: Database, folder: Path | None = None) -> Attributes:
        """The records of every row of `database`.

        Args:
            folder: Where to keep them on disk, mapped into memory; what lies there is used if it is whole and the same,
                else written again. None keeps them in memory while there is room.
        """
        for name, layout in self.layouts.items():
            for e in layout.encoders:
                if e.column not in database[name].rows.column_names:
                    raise InputError(f"the encoders know column {name}.{e.column}, which the database lacks")
        if folder is None:
            arrays = {name: spacious((len(t), self.layouts[name].words), np.int32) for name, t in database.items()}
            self._fill(database, arrays)
            return Attributes(self, MappingProxyType(arrays))
        identity = f"{self.digest} {[(name, len(table)) for name, table in database.items()]}"
        mapped = opened(folder, identity)
        if mapped is None:
            with writing(folder, identity) as draft:
                shapes = {name: (len(t), self.layouts[name].words) for name, t in database.items()}
                self._fill(database, {name: draft.array(name, np.int32, shape) for name, shape in shapes.items()})
            mapped = opened(folder, identity)
            if mapped is None:
                raise InputError(
                    f"the attribute store {folder} cannot be read back after it was written; is the disk full?"
                )
        return Attributes(self, MappingProxyType(dict(mapped)))

    def _fill(self, database: Database, arrays: Mapping[str, NDArray[Any]]) -> None:
        for name, array in arrays.items():
            for first in range(0, len(array) if array.shape[1] else 0, PIECE):
                last = min(first + PIECE, len(array))
                self.layouts[name].pack(database[name], first, last, array[first:last])


@dataclass(frozen=True, eq=False)
class Attributes:
    """The packed records of a database's rows.

    Attributes:
        packed: Table → (rows, words).
    """

    encoders: Encoders
    packed: Mapping[str, Packed]

    def layout(self, table: str) -> Layout:
        """How the records of `table` are laid out.

        Raises:
            InputError: There is no such table.
        """
        if table not in self.packed:
            raise InputError(f"no table {table!r} in the attributes; {nearest(table, self.packed)}")
        return self.encoders.layouts[table]

    def take(self, table: str, rows: NDArray[Any], out: torch.Tensor | None = None) -> torch.Tensor:
        """(n, words) int32 packed records of `rows`; read with `layout(table).unpack`.

        Args:
            out: (n, words) memory to write to, such as pinned memory.
        """
        if out is None:
            out = torch.empty((len(rows), self.layout(table).words), dtype=torch.int32)
        if out.shape[1] and len(rows):
            np.take(self.packed[table], rows, axis=0, out=out.numpy(), mode="clip")
        return out

    def of_copies(self, sources: Mapping[str, NDArray[np.int64]]) -> Attributes:
        """The records of copies of rows. `sources`: table → (m,) the row that each is a copy of."""
        return Attributes(
            self.encoders, MappingProxyType({name: self.packed[name][rows] for name, rows in sources.items()})
        )

    def rows(self, table: str, rows: NDArray[Any]) -> Records:
        """The unpacked records of `rows`."""
        return self.layout(table).unpack(self.take(table, rows))

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.packed.values())
