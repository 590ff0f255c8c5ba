"""Parquet files of one table: parts may differ in the order of columns and in widths of numbers, never in what they hold.

What the folders between say (`year=2024/part.parquet`) is a column, as the engines that write so read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from relbench_harness.errors import InputError, nearest

BATCH = 100_000
_NONE = "__HIVE_DEFAULT_PARTITION__"


def metadata(path: Path) -> pq.FileMetaData:
    """What a file says of itself. Raises `InputError` for one that is not Parquet."""
    try:
        return pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a parquet file: {' '.join(str(error).split())}") from None


def parquet_batches(folder: Path, table: str, paths: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    """The rows of `table`, whose parts `paths` lie in or below `folder`/`table`; an empty batch first.

    Raises:
        InputError: A part that cannot be read, or holds other columns or types than the others.
    """
    schema = _schema(table, paths)
    said = {path: _folders(folder, path) for path in paths}
    keys = list(dict.fromkeys(key for found in said.values() for key in found if key not in schema.names))
    kinds = [_kind([found.get(key) for found in said.values()]) for key in keys]
    whole = pa.schema([*schema, *(pa.field(key, kind) for key, kind in zip(keys, kinds, strict=True))])
    yield pa.RecordBatch.from_pylist([], schema=whole)
    for path in paths:
        try:
            for batch in pq.ParquetFile(path).iter_batches(BATCH):
                columns = [batch.column(f.name).cast(f.type) for f in schema]
                for key, kind in zip(keys, kinds, strict=True):
                    value = said[path].get(key)
                    columns.append(pa.repeat(pa.scalar(value, pa.string()).cast(kind), batch.num_rows))
                yield pa.RecordBatch.from_arrays(columns, schema=whole)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path} cannot be read: {' '.join(str(error).split())[:300]}") from None


def _schema(table: str, paths: Sequence[Path]) -> pa.Schema:
    """The schema that all parts fit, columns in the order of the first."""
    first = metadata(paths[0]).schema.to_arrow_schema()
    schemas = [first]
    for path in paths[1:]:
        found = metadata(path).schema.to_arrow_schema()
        for name in sorted(set(found.names) ^ set(first.names)):
            lacking = paths[0] if name in found.names else path
            names = first.names if name in found.names else found.names
            raise InputError(f"table {table!r}: {lacking.name} lacks the column {name!r}; {nearest(name, names)}")
        schemas.append(pa.schema([found.field(name) for name in first.names]))
    try:
        return pa.unify_schemas([s.remove_metadata() for s in schemas], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(f"table {table!r}: its parts differ in type: {' '.join(str(error).split())[:200]}") from None


def _folders(folder: Path, path: Path) -> dict[str, str | None]:
    """`key=value` in the names of the folders between `folder` and a part."""
    parts = [part.partition("=") for part in path.relative_to(folder).parts[:-1]]
    return {key: None if value == _NONE else unquote(value) for key, equals, value in parts if equals and key}


def _kind(values: Sequence[str | None]) -> pa.DataType:
    present = [value for value in values if value is not None]
    whole = bool(present) and all(v.isdecimal() and str(int(v)) == v and len(v) < 19 for v in present)
    return pa.int64() if whole else pa.string()
