"""Predictions in the words of the source: row numbers replaced by the keys that rows had where they were imported from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from relbench_harness.data.dataset import Dataset
from relbench_harness.data.key_match import is_bytes
from relbench_harness.data.task import Task
from relbench_harness.data.writing import whole
from relbench_harness.errors import InputError


def original_keys(dataset: Dataset, table: str) -> pa.Table:
    """The original key of each row of `table`, a column per key column, in the order of rows.

    From `keys/<table>.parquet` of an imported dataset, else the key that the dataset's own table had, else the row number.
    """
    rows = dataset.database[table]
    path = dataset.folder / "keys" / f"{table}.parquet"
    if path.is_file():
        keys = pq.read_table(path)
        if keys.num_rows != len(rows):
            raise InputError(f"{path} has {keys.num_rows:,} keys, table {table!r} has {len(rows):,} rows; import it again")
        return keys
    name = rows.key or f"{table}_row"
    return pa.table({name: rows.origin if rows.origin is not None else pa.array(np.arange(len(rows)))})


def with_original_keys(dataset: Dataset, task: Task, predictions: pa.Table) -> pa.Table:
    """`predictions` (columns entity, prediction and others) with keys of the source in place of row numbers.

    The entity's key columns stand where `entity` stood. Recommended items become their key, or a struct of it where it
    has several columns.
    """
    for needed in ("entity", "prediction"):
        if needed not in predictions.column_names:
            raise InputError(f"the predictions have no column {needed!r}")
    keys = original_keys(dataset, task.entity_table)
    entity = _checked(predictions.column("entity"), keys.num_rows, task.entity_table)
    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    for name in predictions.column_names:
        if name == "entity":
            taken = keys.take(entity)
            columns.update({_free(key, predictions): taken.column(key) for key in taken.column_names})
        elif name == "prediction" and task.item_table is not None:
            columns[name] = _items(predictions.column(name), original_keys(dataset, task.item_table), task.item_table)
        else:
            columns[name] = predictions.column(name)
    return pa.table(columns)


def _free(name: str, predictions: pa.Table) -> str:
    return name if name not in predictions.column_names or name == "entity" else f"{name}_key"


def _checked(rows: pa.ChunkedArray, count: int, table: str) -> pa.Array:
    numbers = rows.combine_chunks().cast(pa.int64())
    outside = pc.or_(pc.less(numbers, 0), pc.greater_equal(numbers, count))
    if pc.any(outside).as_py():
        first = numbers.filter(outside)[0].as_py()
        raise InputError(f"the predictions name row {first} of table {table!r}, which has {count:,} rows")
    return numbers


def _items(lists: pa.ChunkedArray, keys: pa.Table, table: str) -> pa.Array:
    combined = lists.combine_chunks()
    flat = _checked(pa.chunked_array([combined.flatten()]), keys.num_rows, table)
    lengths = np.asarray(pc.fill_null(pc.list_value_length(combined), 0)).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    taken = keys.take(flat)
    alone = taken.num_columns == 1
    values = taken.column(0).combine_chunks() if alone else taken.to_struct_array().combine_chunks()
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def read_predictions(path: Path, what: str = "predictions") -> pa.Table:
    """A file of predictions, or of what is named in their place, Parquet or CSV."""
    if not path.is_file():
        raise InputError(f"no file of {what} {path}")
    try:
        return pacsv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path} cannot be read: {' '.join(str(error).split())}") from None


def write_predictions(predictions: pa.Table, path: Path) -> None:
    """Write Parquet, or CSV by the file's name (lists as text, separated by spaces, bytes as hexadecimal digits)."""
    if path.suffix != ".csv":
        with whole(path) as file:
            pq.write_table(predictions, file)
        return
    flat = {name: _flat(column) for name, column in zip(predictions.column_names, predictions.columns, strict=True)}
    with whole(path) as file:
        pacsv.write_csv(pa.table(flat), file)


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """A column as CSV can hold it."""
    if pa.types.is_list(column.type):
        return pa.array([None if v is None else " ".join(map(_shown, v)) for v in column.to_pylist()], pa.string())
    if is_bytes(column.type):
        return pa.array([None if v is None else _shown(v) for v in column.to_pylist()], pa.string())
    return column


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
