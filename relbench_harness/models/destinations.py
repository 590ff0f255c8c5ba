"""Where predictions go: a file, or a table of a database.

Invariant: what is written is there whole or not at all, and never more than one chunk of predictions is in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from relbench_harness.data.query import free
from relbench_harness.models.answers import check_ending, write_answers


class Stamp(NamedTuple):
    """What predictions in a table are known by.

    Attributes:
        run: The same for the same model, rows, entities and times, else another.
        model: The model's fingerprint.
    """

    run: str
    model: str


RUN, MODEL = "run_id", "model_id"
"""The columns of `Stamp` in a table."""


class Destination(Protocol):
    """A place that takes predictions.

    Attributes:
        label: What messages call it; never a credential.
    """

    @property
    def label(self) -> str: ...

    def check(self) -> None:
        """Raises `InputError` where nothing could be written there, before anything is predicted."""
        ...

    def write(self, tables: Iterable[pa.Table], stamp: Stamp) -> int:
        """Writes `tables`, of one schema; returns how many rows they have."""
        ...


class File(NamedTuple):
    """A Parquet or CSV file."""

    path: Path

    @property
    def label(self) -> str:
        return str(self.path)

    def check(self) -> None:
        check_ending(self.path)

    def write(self, tables: Iterable[pa.Table], stamp: Stamp) -> int:
        return write_answers(tables, self.path)


def stamped(tables: Iterable[pa.Table], stamp: Stamp) -> Iterator[pa.Table]:
    """`tables` with the run's and the model's columns, under names that no other column has."""
    for table in tables:
        for name, value in ((RUN, stamp.run), (MODEL, stamp.model)):
            values = pa.array(np.full(table.num_rows, value, dtype=object), pa.string())
            table = table.append_column(free(name, table.column_names), values)
        yield table


def run_column(names: Sequence[str]) -> str:
    """The name of the run's column in what `stamped` has made."""
    return names[-2]


class Spool:
    """Predictions on their way to a database: all of them on disk before the first is sent, so that its transaction is short."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="relbench-harness-predictions-")
        self._path = Path(self._folder.name) / "predictions.parquet"

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def fill(self, tables: Iterable[pa.Table]) -> int:
        """Takes all of `tables`; returns how many rows they have."""
        return write_answers(tables, self._path)

    def batches(self, rows: int = 50_000) -> Iterator[pa.RecordBatch]:
        """The rows in the order in which they came, at most `rows` at a time."""
        with pq.ParquetFile(self._path) as file:
            yield from file.iter_batches(batch_size=rows)
