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
        nulls = hashlib.blake2b(digest_size=32)
        for chunk in _pieces(column):
            for part in _value_parts(chunk):
                inner.update(part)
            nulls.update(np.packbits(np.asarray(pc.is_null(chunk))).tobytes())
        yield inner.digest()
        yield nulls.digest()


def _pieces(column: pa.ChunkedArray, size: int = 1 << 20) -> Iterator[pa.Array]:
    """The column in equal pieces of `size` rows, whatever its chunks are."""
    for start in range(0, len(column), size):
        piece = column.slice(start, size)
        yield piece.chunk(0) if piece.num_chunks == 1 else pa.concat_arrays(piece.chunks)


def _value_parts(array: pa.Array) -> Iterator[bytes]:
    kind = array.type
    if pa.types.is_dictionary(kind):
        yield from _value_parts(array.dictionary_decode())
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = pc.fill_null(pc.list_value_length(array), -1)
        yield np.asarray(lengths.cast(pa.int64())).tobytes()
        values = array.flatten()
        yield from _value_parts(values)
        yield np.asarray(pc.is_null(values)).tobytes()
    elif pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _value_parts(pc.struct_field(array, index))
    elif _is_text(kind):
        data = array.cast(pa.large_binary()) if array.null_count == 0 else pc.fill_null(array.cast(pa.large_binary()), b"")
        yield np.asarray(pc.binary_length(data)).astype(np.int64).tobytes()
        offsets = np.frombuffer(data.buffers()[1], dtype=np.int64)[data.offset : data.offset + len(data) + 1]
        if data.buffers()[2] is not None and len(offsets):
            yield memoryview(data.buffers()[2])[int(offsets[0]) : int(offsets[-1])].tobytes()
    elif pa.types.is_null(kind):
        return
    elif pa.types.is_decimal(kind):
        yield from _value_parts(array.cast(pa.string()))
    else:
        if pa.types.is_temporal(kind):
            array = array.cast(pa.int64() if kind.bit_width == 64 else pa.int32())
        filled = pc.fill_null(array, False if pa.types.is_boolean(kind) else 0) if array.null_count else array
        yield np.ascontiguousarray(filled.to_numpy(zero_copy_only=False)).tobytes()


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
