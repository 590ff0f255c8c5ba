"""Digests of Arrow data that depend on values alone, never on chunks, offsets or unused bits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def digest(what: pa.Table | Iterable[bytes]) -> bytes:
    """BLAKE2b of a table's column names, types and values, or of a sequence of byte strings (length-prefixed)."""
    state = hashlib.blake2b(digest_size=32)
    parts = _table_parts(what) if isinstance(what, pa.Table) else what
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.digest()


def _table_parts(table: pa.Table) -> Iterator[bytes]:
    for field, column in zip(table.schema, table.columns, strict=True):
        yield f"{field.name}:{field.type}:{len(column)}".encode()
        inner = hashlib.blake2b(digest_size=32)
        for chunk in _pieces(column):
            for part in _value_parts(chunk):
                inner.update(part)
        yield inner.digest()


def _pieces(column: pa.ChunkedArray, size: int = 1 << 20) -> Iterator[pa.Array]:
    """The column in equal pieces of `size` rows, whatever its chunks are."""
    for start in range(0, len(column), size):
        piece = column.slice(start, size)
        yield piece.chunk(0) if piece.num_chunks == 1 else pa.concat_arrays(piece.chunks)


def _value_parts(array: pa.Array) -> Iterator[bytes]:
    """Which values are null, then the values: a null is 0 or empty there, whatever bits lie under it."""
    kind = array.type
    yield np.packbits(np.asarray(pc.is_null(array))).tobytes()
    if pa.types.is_dictionary(kind):
        yield from _value_parts(array.dictionary_decode())
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield np.asarray(pc.fill_null(pc.list_value_length(array), -1).cast(pa.int64())).tobytes()
        yield from _value_parts(array.flatten())
    elif pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _value_parts(pc.struct_field(array, index))
    elif _is_text(kind):
        yield from _text_parts(array.cast(pa.large_binary()))
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        yield _number_bytes(array)
    elif pa.types.is_temporal(kind) and kind.bit_width in (32, 64):
        yield _number_bytes(array.cast(pa.int64() if kind.bit_width == 64 else pa.int32()))
    elif not pa.types.is_null(kind):
        # rare kinds (decimals, maps, intervals, …) by the text of each value
        for value in array.to_pylist():
            yield f"{value!r}\0".encode()


def _text_parts(array: pa.Array) -> Iterator[bytes]:
    data = pc.fill_null(array, b"") if array.null_count else array
    yield np.asarray(pc.binary_length(data)).astype(np.int64).tobytes()
    offsets = np.frombuffer(data.buffers()[1], dtype=np.int64)[data.offset : data.offset + len(data) + 1]
    if data.buffers()[2] is not None and len(offsets):
        yield memoryview(data.buffers()[2])[int(offsets[0]) : int(offsets[-1])].tobytes()


def _number_bytes(array: pa.Array) -> bytes:
    filled = pc.fill_null(array, False if pa.types.is_boolean(array.type) else 0) if array.null_count else array
    values = np.ascontiguousarray(filled.to_numpy(zero_copy_only=False))
    if values.dtype.kind == "f":
        # one NaN and one zero, whichever bits an operation left
        values = np.where(np.isnan(values), np.array(np.nan, values.dtype), values + values.dtype.type(0))
    return values.tobytes()


def _is_text(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    )
