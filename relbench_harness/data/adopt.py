"""Takes over tables that a `build.py` streamed to disk, checked piece by piece, never held in memory whole.

Invariant: an adopted file is in canonical order already, as the script that wrote it promised; what is not is an
`InputError` that names the table, the column and the first row at fault. The checks read each key column once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.errors import InputError, nearest

if TYPE_CHECKING:
    from relbench.manifest import TableSpec

PIECE = 1 << 20


def adopt(files: Mapping[str, Path], specs: Mapping[str, TableSpec], where: str) -> Database:
    """The database whose tables lie in Arrow IPC `files`, memory-mapped.

    Raises:
        InputError: A missing table or column, or a file that is not in canonical order.
    """
    for name in specs:
        if name not in files:
            raise InputError(f"{where}: the manifest declares table {name!r}, which is missing; {nearest(name, files)}")
    rows = {name: mapped(files[name], f"{where}: table {name!r}") for name in specs}
    lengths = {name: table.num_rows for name, table in rows.items()}
    for name, spec in specs.items():
        _check(rows[name], spec, lengths, f"{where}: {name}")
    return Database(
        Table(
            name=name,
            rows=rows[name],
            key=spec.pkey,
            time=spec.time_col,
            references=MappingProxyType(dict(spec.fkeys)),
        )
        for name, spec in specs.items()
    )


def mapped(path: Path, what: str) -> pa.Table:
    """The Arrow IPC file at `path`, memory-mapped."""
    try:
        with pa.memory_map(str(path), "r") as source:
            return pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{what} is no Arrow file: {' '.join(str(error).split())}") from None


def _check(rows: pa.Table, spec: TableSpec, lengths: Mapping[str, int], what: str) -> None:
    if spec.time_col is not None:
        _check_time(_pieces(rows, spec.time_col, pa.timestamp("ns"), what), f"{what}.{spec.time_col}")
    if spec.pkey is not None:
        for start, piece in _pieces(rows, spec.pkey, pa.int64(), what):
            number = np.arange(start, start + len(piece))
            _refuse(piece.null_count > 0 or _values(piece) != number, start, f"{what}.{spec.pkey}", "is no row number")
    for column, parent in spec.fkeys.items():
        if parent not in lengths:
            raise InputError(f"{what}.{column} refers to unknown table {parent!r}; {nearest(parent, lengths)}")
        for start, piece in _pieces(rows, column, pa.int64(), what):
            values = _values(piece.fill_null(0) if piece.null_count else piece)
            # an empty parent has no row 0, so there every key must be null
            outside = (values < 0) | (values >= max(lengths[parent], piece.null_count > 0))
            _refuse(outside, start, f"{what}.{column}", f"names no row of table {parent!r}")


def _check_time(pieces: Iterator[tuple[int, pa.Array]], what: str) -> None:
    last = np.iinfo(np.int64).min
    for start, piece in pieces:
        if piece.null_count:
            raise InputError(f"{what} is null in a table that was streamed to disk")
        at = _values(piece.cast(pa.int64()))
        before = np.concatenate([[last], at[:-1]])
        _refuse(at < before, start, what, "goes back in time")
        last = int(at[-1]) if len(at) else last


def _pieces(rows: pa.Table, column: str, wanted: pa.DataType, what: str) -> Iterator[tuple[int, pa.Array]]:
    """(first row, values) of consecutive pieces of `column`."""
    if column not in rows.column_names:
        raise InputError(f"{what} has no column {column!r}; {nearest(column, rows.column_names)}")
    values = rows.column(column)
    if values.type != wanted:
        raise InputError(f"{what}.{column} has type {values.type}, in canonical order it is {wanted}")
    start = 0
    for chunk in values.chunks:
        for first in range(0, len(chunk), PIECE):
            piece = chunk.slice(first, PIECE)
            yield start, piece
            start += len(piece)


def _values(piece: pa.Array) -> NDArray[np.int64]:
    return np.asarray(piece.to_numpy(zero_copy_only=False), dtype=np.int64)


def _refuse(bad: NDArray[np.bool_] | bool, start: int, what: str, why: str) -> None:
    if np.any(bad):
        raise InputError(f"{what} {why} in row {start + int(np.argmax(np.atleast_1d(bad)))}")
