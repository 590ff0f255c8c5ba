"""Tables streamed to disk column by column, then joined to one Arrow file each through memory maps.

A file holds a single record batch, so that every column is one contiguous array when it is mapped again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

PIECE = 1 << 20


class Stream:
    """One growing table.

    Args:
        folder: Where the table's file and, until it is finished, its columns lie.
        words: Column → the words that its codes stand for.
        missing: Column → the value that stands for null.
        times: Columns that are instants.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        words: Mapping[str, tuple[str, ...]] | None = None,
        missing: Mapping[str, int] | None = None,
        times: tuple[str, ...] = (),
    ) -> None:
        self._folder, self._name = folder, name
        self._words, self._missing, self._times = dict(words or {}), dict(missing or {}), times
        self._types: dict[str, np.dtype[np.generic]] = {}
        self.rows = 0

    def append(self, columns: Mapping[str, NDArray[np.generic]]) -> None:
        for name, values in columns.items():
            kind = self._types.setdefault(name, values.dtype)
            with self._path(name).open("ab") as file:
                np.ascontiguousarray(values, dtype=kind).tofile(file)
        self.rows += len(next(iter(columns.values())))

    def _path(self, column: str) -> Path:
        return self._folder / f"{self._name}.{column}.column"

    def finish(self) -> Path:
        """Write the Arrow file and remove the columns."""
        arrays = [self._array(column) for column in self._types]
        schema = pa.schema([pa.field(c, a.type) for c, a in zip(self._types, arrays, strict=True)])
        path = self._folder / f"{self._name}.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(pa.record_batch(arrays, schema=schema))
        del arrays
        for column in self._types:
            self._path(column).unlink()
        return path

    def _array(self, column: str) -> pa.Array:
        kind = self._types[column]
        values = np.memmap(self._path(column), dtype=kind, mode="r") if self.rows else np.empty(0, kind)
        if column in self._words:
            return pa.array(self._words[column]).take(pa.array(np.asarray(values, dtype=np.int32)))
        if kind == np.bool_:
            return pa.array(np.asarray(values))
        validity = self._validity(values, self._missing[column]) if column in self._missing else None
        arrow = pa.timestamp("ns") if column in self._times else pa.from_numpy_dtype(kind)
        return pa.Array.from_buffers(arrow, self.rows, [validity, pa.py_buffer(values)])

    def _validity(self, values: NDArray[np.generic], missing: int) -> pa.Buffer:
        bits = [np.packbits(values[at : at + PIECE] != missing, bitorder="little") for at in range(0, self.rows, PIECE)]
        return pa.py_buffer(np.concatenate(bits) if bits else np.empty(0, np.uint8))


def write(table: pa.Table, path: Path) -> Path:
    """A table that fits in memory, as one record batch."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return path
