"""DuckDB as the engine's backend: reads Arrow tables where they lie and spills to disk when memory is short."""

from __future__ import annotations

import itertools
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.features.dfs.backend import Source
from relbench_harness.features.encode import MISSING, ColumnKind, instants, numbers, physical

BATCH = 65_536
"""Rows that the result is handed out in."""


class DuckDB:
    """One in-memory DuckDB database over the tables that features read.

    Args:
        kinds: Table → attribute → how it is read; other attributes are left out.
        threads: Processor threads, None for all.
        memory_mb: Memory beyond which DuckDB writes to disk, None for its own default.
    """

    dialect = "duckdb"

    def __init__(
        self,
        database: Database,
        kinds: Mapping[str, Mapping[str, ColumnKind]],
        threads: int | None = None,
        memory_mb: int | None = None,
    ) -> None:
        self._database, self._kinds = database, kinds
        self._spill = tempfile.TemporaryDirectory(prefix="relbench-harness-")
        self._connection = duckdb.connect(":memory:", config={"temp_directory": self._spill.name})
        self._connection.execute("SET TimeZone = 'UTC'")
        if threads is not None:
            self._connection.execute(f"SET threads = {int(threads)}")
        if memory_mb is not None:
            self._connection.execute(f"SET memory_limit = '{int(memory_mb)}MB'")
        self._connection.execute("SET preserve_insertion_order = false")
        self._names = (f"r{i}" for i in itertools.count())
        self._sources: dict[str, Source] = {}
        self.vocabularies: dict[tuple[str, str], pa.Array] = {}
        self._stopped = False

    def __enter__(self) -> DuckDB:
        return self

    @contextmanager
    def limited(self, seconds: float | None) -> Iterator[None]:
        """Within this, queries end after so many seconds in all; what is asked for later raises `TimeoutError`."""
        if seconds is None:
            yield
            return
        self._stopped = seconds <= 0
        timer = threading.Timer(max(seconds, 0.0), self._stop)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _stop(self) -> None:
        self._stopped = True
        self._connection.interrupt()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()
        self._spill.cleanup()

    def source(self, table: str) -> Source:
        if table not in self._sources:
            self._sources[table] = self._register(self._database[table], self._kinds.get(table, {}))
        return self._sources[table]

    def _register(self, table: Table, kinds: Mapping[str, ColumnKind]) -> Source:
        stored: dict[str, pa.Array | pa.ChunkedArray] = {"row": pa.array(np.arange(len(table), dtype=np.int64))}
        if table.times is not None:
            stored["at"] = pa.array(table.times)
        keys = {key: f"k{i}" for i, key in enumerate(table.references)}
        stored.update({name: table.rows.column(key).cast(pa.int64()) for key, name in keys.items()})
        columns, codes = {}, {}
        for index, (column, kind) in enumerate(kinds.items()):
            columns[column] = f"c{index}"
            values = table.rows.column(column)
            if kind is ColumnKind.CATEGORY:
                coded, vocabulary = ordered_codes(values)
                stored[f"c{index}"] = coded
                codes[column] = len(vocabulary)
                self.vocabularies[table.name, column] = vocabulary
            elif kind is ColumnKind.TEXT:
                stored[f"c{index}"] = physical(values).cast(pa.large_string())
            elif kind is ColumnKind.INSTANT:
                moments = instants(values)
                stored[f"c{index}"] = pa.array(moments, mask=moments == MISSING)
            else:
                floats = numbers(values)
                stored[f"c{index}"] = pa.array(floats, mask=np.isnan(floats))
        name = next(self._names)
        self._connection.register(name, pa.table(stored))
        return Source(name, keys, columns, codes, len(table))

    def seeds(self, rows: NDArray[np.int64], times: NDArray[np.int64]) -> str:
        """A relation of (row, t)."""
        name = next(self._names)
        self._connection.register(name, pa.table({"row": rows, "t": times}))
        return name

    def store(self, query: str) -> str:
        name = next(self._names)
        self._run(f"CREATE TEMP TABLE {name} AS {query}")
        return name

    def count(self, query: str) -> int:
        return int(self._run(query)[0][0])

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        """The result of `query` in any order, never whole in memory."""
        with self._explained():
            yield from self._connection.sql(query).to_arrow_reader(BATCH)

    def _run(self, text: str) -> list[Any]:
        with self._explained():
            return self._connection.execute(text).fetchall()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        if self._stopped:
            raise TimeoutError("there was no time for all features")
        try:
            yield
        # an error while rows are handed out comes as Arrow's; a database in memory writes to disk only to spill
        except (duckdb.Error, OSError) as error:
            if self._stopped:
                raise TimeoutError("there was no time for all features") from None
            if str(error).startswith(("Out of Memory Error", "IO Error")):
                raise MemoryError(_first_line(error)) from None
            raise


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def ordered_codes(values: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """(rows,) int32 codes, null for null, and the distinct strings in the order of the codes."""
    texts = physical(values).cast(pa.large_string())
    encoded = texts.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0) if encoded.num_chunks else pa.array([], pa.dictionary(pa.int32(), pa.large_string()))
    order = pc.sort_indices(encoded.dictionary)
    rank = np.empty(len(order), dtype=np.int32)
    rank[np.asarray(order)] = np.arange(len(order), dtype=np.int32)
    codes = pc.take(pa.array(rank), encoded.indices)
    return codes, encoded.dictionary.take(order)
