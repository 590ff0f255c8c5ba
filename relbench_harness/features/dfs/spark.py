"""Spark as the engine's backend: the same queries where the data lies, in Parquet or Delta, without as-of joins.

Tables are in canonical order: a primary key is the row number, a foreign key the row number of its parent (as our cache
and `write_tables` keep them). Spark keeps instants to the microsecond.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.spark_tables import table_on_spark
from relbench_harness.data.stypes import is_list
from relbench_harness.data.table import Table
from relbench_harness.errors import InputError
from relbench_harness.features.dfs.backend import Source
from relbench_harness.features.encode import ColumnKind

PYTHON = "PYSPARK_PYTHON"
"""The variable that names the Python of Spark's workers."""


def session(threads: int | None = None, memory_mb: int | None = None) -> Any:
    """A local Spark session (or the one that runs), for machines without a cluster.

    Raises:
        InputError: PySpark or Java is missing.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise InputError("engine=spark needs PySpark: pip install 'relbench-harness[spark]'") from None
    if not os.environ.get("JAVA_HOME") and shutil.which("java") is None:
        raise InputError("engine=spark needs Java 17 on the path or JAVA_HOME")
    builder = SparkSession.builder.master(f"local[{threads or '*'}]").appName("relbench-harness")
    builder = builder.config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
    builder = builder.config("spark.sql.shuffle.partitions", str(2 * (threads or 4)))
    builder = builder.config("spark.driver.memory", f"{memory_mb or 4096}m").config("spark.driver.bindAddress", "127.0.0.1")
    builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.log.level", "ERROR")
    with _workers_python():
        return builder.getOrCreate()


@contextlib.contextmanager
def _workers_python() -> Iterator[None]:
    """Workers of a session that begins here are processes of the Python that runs here, with its packages."""
    before = os.environ.get(PYTHON)
    os.environ[PYTHON] = before or sys.executable
    try:
        yield
    finally:
        if before is None:
            del os.environ[PYTHON]


def write_tables(database: Database, folder: Path) -> None:
    """Every table as `folder/<table>.parquet`, instants in microseconds, as Spark reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in database.items():
        rows = table.rows
        for index, column in enumerate(rows.schema):
            if pa.types.is_timestamp(column.type) and column.type.unit != "us":
                wider = pa.timestamp("us", tz=column.type.tz)
                rows = rows.set_column(index, column.name, rows.column(index).cast(wider, safe=False))
            elif pa.types.is_dictionary(column.type):
                rows = rows.set_column(index, column.name, rows.column(index).cast(column.type.value_type))
        pq.write_table(rows, folder / f"{name}.parquet")


class Spark:
    """The tables of a folder, or of the paths given, in a Spark session.

    Args:
        tables: Structure of the tables (keys, times, references); their rows are not read.
        paths: Table → what `table_on_spark` opens.
        form: `parquet` or `delta`.
        kinds: Table → attribute → how it is read.
    """

    dialect = "spark"

    def __init__(
        self,
        tables: Mapping[str, Table],
        paths: Mapping[str, str],
        kinds: Mapping[str, Mapping[str, ColumnKind]],
        form: str = "parquet",
        spark: Any = None,
    ) -> None:
        self._tables, self._paths, self._kinds, self._form = tables, paths, kinds, form
        self._spark = spark or session()
        self._names = (f"r{i}" for i in itertools.count())
        self._sources: dict[str, Source] = {}
        self._kept: list[Any] = []
        self._scratch = tempfile.TemporaryDirectory(prefix="relbench-harness-")
        self._settings = {"spark.sql.ansi.enabled": "false", "spark.sql.session.timeZone": "UTC"}
        self._before = {key: self._spark.conf.get(key, None) for key in self._settings}
        for key, value in self._settings.items():
            # division by 0 is null in the other dialect, and dates are UTC
            self._spark.conf.set(key, value)
        self.vocabularies: dict[tuple[str, str], pa.Array] = {}

    def __enter__(self) -> Spark:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for frame in self._kept:
            frame.unpersist()
        for key, value in self._before.items():
            if value is not None:
                self._spark.conf.set(key, value)
        self._scratch.cleanup()

    def source(self, table: str) -> Source:
        if table not in self._sources:
            self._sources[table] = self._read(self._tables[table])
        return self._sources[table]

    def _read(self, table: Table) -> Source:
        frame = table_on_spark(self._spark, self._paths[table.name], self._form)
        raw = self._view(frame)
        row = f"CAST({_quoted(table.key)} AS BIGINT)" if table.key else "monotonically_increasing_id()"
        outputs = [f"{row} AS row"]
        if table.time is not None:
            outputs.append(f"unix_micros(CAST({_quoted(table.time)} AS TIMESTAMP)) * 1000 AS at")
        keys = {key: f"k{i}" for i, key in enumerate(table.references)}
        outputs += [f"CAST({_quoted(key)} AS BIGINT) AS {name}" for key, name in keys.items()]
        columns, codes, joins = {}, {}, []
        for index, (column, kind) in enumerate(self._kinds.get(table.name, {}).items()):
            name = f"c{index}"
            columns[column] = name
            if kind is ColumnKind.CATEGORY:
                view, codes[column] = self._categories(raw, table.name, column)
                joins.append(f"LEFT JOIN {view} AS v{index} ON x.{_quoted(column)} = v{index}.value")
                outputs.append(f"v{index}.code AS {name}")
            else:
                outputs.append(f"{_value(table.rows.schema.field(column).type, kind, column)} AS {name}")
        prepared = self._spark.sql(f"SELECT {', '.join(outputs)} FROM {raw} AS x {' '.join(joins)}")
        return Source(self._view(self._keep(prepared)), keys, columns, codes, frame.count())

    def _categories(self, raw: str, table: str, column: str) -> tuple[str, int]:
        """A view of the codes of a column's values, in their order, and how many there are."""
        found = self._spark.sql(f"SELECT DISTINCT {_quoted(column)} AS value FROM {raw} ORDER BY value")
        values = sorted(str(row[0]) for row in found.collect() if row[0] is not None)
        self.vocabularies[table, column] = pa.array(values, pa.large_string())
        coded = self._arrow(pa.table({"value": pa.array(values, pa.string()), "code": np.arange(len(values))}))
        return coded, len(values)

    def _arrow(self, rows: pa.Table) -> str:
        path = Path(self._scratch.name) / f"{next(self._names)}.parquet"
        pq.write_table(rows, path)
        return self._view(self._spark.read.parquet(str(path)))

    def seeds(self, rows: NDArray[np.int64], times: NDArray[np.int64]) -> str:
        """A relation of (row, t)."""
        return self._arrow(pa.table({"row": rows, "t": times}))

    def store(self, query: str) -> str:
        with _explained():
            # computed now and cut off from what it came from: Spark would optimise each later query with all before it
            return self._view(self._sql(query).localCheckpoint())

    def count(self, query: str) -> int:
        with _explained():
            return int(self._sql(query).collect()[0][0])

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        """The result of `query` in any order, through Parquet."""
        folder = Path(self._scratch.name) / next(self._names)
        self.write(query, folder)
        for file in sorted(folder.glob("*.parquet")):
            yield from pq.ParquetFile(file).iter_batches()

    def write(self, query: str, folder: Path) -> None:
        """The result of `query` as Parquet files in `folder`."""
        with _explained():
            self._sql(query).write.mode("overwrite").parquet(str(folder))

    def _sql(self, query: str) -> Any:
        return self._spark.sql(query)

    def _keep(self, frame: Any) -> Any:
        kept = frame.persist()
        self._kept.append(kept)
        return kept

    def _view(self, frame: Any) -> str:
        name = next(self._names)
        frame.createOrReplaceTempView(name)
        return name


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if "OutOfMemoryError" in str(error):
            raise MemoryError("Spark's driver and executors need more") from None
        raise


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _value(kind: pa.DataType, read: ColumnKind, name: str) -> str:
    """A column as the engine's double, nanoseconds or text."""
    column = "x." + _quoted(name)
    if read is ColumnKind.INSTANT:
        return f"unix_micros(CAST({column} AS TIMESTAMP)) * 1000"
    if read is ColumnKind.TEXT:
        return column
    if is_list(kind):
        return f"CAST(CASE WHEN {column} IS NOT NULL THEN size({column}) END AS DOUBLE)"
    if pa.types.is_boolean(kind):
        return f"CAST(CAST({column} AS INT) AS DOUBLE)"
    double = f"CAST({column} AS DOUBLE)"
    return (
        f"CASE WHEN ABS({double}) < CAST('Infinity' AS DOUBLE) THEN {double} END" if pa.types.is_floating(kind) else double
    )
