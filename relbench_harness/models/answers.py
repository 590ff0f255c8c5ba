"""Predictions as tables in the words of the source, and the files that they are written to, chunk by chunk.

Invariant: a file of predictions is there whole or not at all, and never more than one chunk of it is in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType
from relbench_harness.data.writing import whole
from relbench_harness.errors import InputError, nearest
from relbench_harness.protocol.intervals import Intervals
from relbench_harness.protocol.method import Examples

ENDINGS = (".parquet", ".csv")


def answer_table(
    examples: Examples,
    predictions: NDArray[np.generic],
    keys: tuple[pa.Table, pa.Table | None],
    intervals: Intervals | None = None,
) -> pa.Table:
    """Original keys, time and prediction of each example; of a recommendation one row per item, the best first.

    A class is given by name, with the probability of each class beside it; a number with its quantiles, where they are known.

    Args:
        keys: The original keys of the rows of the entities' table, and of the items'.
        intervals: Of a regression.
    """
    task, (entities, items) = examples.task, keys
    time = pa.array(examples.time).cast(pa.timestamp("ns"))
    if items is not None:
        return _items(examples, predictions.astype(np.int64), entities, items)
    columns = _taken(entities, examples.entity) | {task.time_col: time}
    if task.type is TaskType.MULTICLASS:
        names = [str(name) for name in examples.classes]
        best = predictions.argmax(axis=1) if len(predictions) else np.zeros(0, np.int64)
        columns["prediction"] = pa.array([examples.classes[code] for code in best], pa.array(list(examples.classes)).type)
        columns |= {
            f"probability of {n}": pa.array(v.astype(np.float64)) for n, v in zip(names, predictions.T, strict=True)
        }
    elif task.type is TaskType.MULTILABEL:
        columns |= {f"prediction {n}": pa.array(v.astype(np.float64)) for n, v in enumerate(predictions.T)}
    else:
        columns["prediction"] = pa.array(predictions.astype(np.float64))
        if intervals is not None:
            quantiles = intervals.around(predictions)
            columns |= {name: pa.array(values) for name, values in zip(intervals.names, quantiles.T, strict=True)}
    return pa.table(columns)


def _items(examples: Examples, predictions: NDArray[np.int64], entities: pa.Table, items: pa.Table) -> pa.Table:
    named = predictions >= 0
    example, place = np.nonzero(named)
    columns = _taken(entities, examples.entity[example])
    columns[examples.task.time_col] = pa.array(examples.time[example]).cast(pa.timestamp("ns"))
    columns["rank"] = pa.array((np.cumsum(named, axis=1)[example, place]).astype(np.int64))
    for name, values in _taken(items, predictions[named]).items():
        columns[name if name not in columns else f"item {name}"] = values
    return pa.table(columns)


def _taken(keys: pa.Table, rows: NDArray[np.int64]) -> dict[str, pa.ChunkedArray | pa.Array]:
    taken = keys.take(pa.array(rows))
    return {name: taken.column(name) for name in taken.column_names}


def check_ending(path: Path) -> None:
    """Raises `InputError` for a name that says neither Parquet nor CSV."""
    if path.suffix not in ENDINGS:
        raise InputError(f"predictions cannot be written to {path}; {nearest(path.suffix, ENDINGS)}")


def write_answers(tables: Iterable[pa.Table], path: Path) -> int:
    """Writes `tables`, which have the same columns, to one file; returns how many rows they have."""
    check_ending(path)
    rows, writer = 0, None
    with whole(path) as file:
        try:
            for table in tables:
                if writer is None:
                    make = pq.ParquetWriter if path.suffix == ".parquet" else pacsv.CSVWriter
                    writer = make(file, table.schema)
                writer.write_table(table)
                rows += table.num_rows
        finally:
            # a writer that is left open closes itself later, when the file is gone, and complains
            if writer is not None:
                writer.close()
    return rows
