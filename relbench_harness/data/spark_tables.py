"""A table of a lake as a Spark data frame, where it lies.

Invariant: of a Delta table the rows of its newest version, and no others. A session that brings Delta's reader along reads it by that;
any other reads as Parquet the files that the table's log names, since files that were deleted or overwritten lie beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from relbench_harness.errors import InputError

FORMS = ("parquet", "delta")
NO_READER = "DATA_SOURCE_NOT_FOUND"
"""What Spark's error says where the session has no reader of a form."""
PLAIN = frozenset({"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"})
"""What a Delta table may need of its reader so that the rows of its files are its rows."""
NULL = "__HIVE_DEFAULT_PARTITION__"
"""How a folder of rows without a value is called."""
REMEDY = "give the session Delta's own reader (io.delta:delta-spark)"


def delta_table(uri: str) -> Any:
    """The Delta table at a path or URI, at its newest version.

    Raises:
        InputError: The package deltalake is missing.
    """
    try:
        from deltalake import DeltaTable
    except ImportError:
        raise InputError(
            "Delta tables need the package deltalake; install it with: pip install 'relbench-harness[delta]'"
        ) from None
    return DeltaTable(uri)


def table_on_spark(spark: Any, path: str, form: str = "parquet") -> Any:
    """A Spark data frame of the table at `path`.

    Args:
        path: What Spark's reader of `form` opens.
        form: `parquet` or `delta`.

    Raises:
        InputError: There is no such form, or the session has no reader of Delta and the table's files do not say all of its rows.
    """
    if form not in FORMS:
        raise InputError(f"no form {form!r} of tables on Spark; known: {', '.join(FORMS)}")
    try:
        return spark.read.format(form).load(path)
    except Exception as error:
        if form != "delta" or NO_READER not in str(error):
            raise
    return _listed(spark, path)


def _listed(spark: Any, path: str) -> Any:
    """The files that the newest version of a Delta table names, as one data frame."""
    from pyspark.sql.types import StructType

    table = _opened(path)
    needed = set(table.protocol().reader_features or ()) - PLAIN
    mapping = table.metadata().configuration.get("delta.columnMapping.mode", "none")
    if needed or mapping != "none":
        needs = sorted(needed) or [f"column mapping by {mapping}"]
        raise InputError(f"the Delta table {path} needs a reader of {', '.join(needs)}; {REMEDY}")
    schema, root = StructType.fromJson(json.loads(table.schema().to_json())), path.rstrip("/")
    files = list(_files(path, pa.table(table.get_add_actions(flatten=False)).to_pylist()))
    if not files:
        return spark.createDataFrame([], schema)
    return spark.read.schema(schema).option("basePath", root).parquet(*(f"{root}/{file}" for file in files))


def _opened(path: str) -> Any:
    try:
        return delta_table(path)
    except InputError:
        raise
    except Exception as error:  # those of deltalake are of many kinds
        raise InputError(f"there is no Delta table to read at {path}: {' '.join(str(error).split())[:300]}") from None


def _files(path: str, actions: list[dict[str, Any]]) -> Iterator[str]:
    """The files of a table, below its folder; Spark finds the values of partitions in their folders' names."""
    for action in actions:
        file = unquote(action["path"])  # a log writes paths as parts of URIs
        if "://" in file:
            raise InputError(f"the Delta table {path} has files elsewhere, such as {file}; {REMEDY}")
        folders = dict(part.partition("=")[::2] for part in file.split("/")[:-1])
        for column, value in (action.get("partition") or {}).items():
            found = folders.get(column)
            if found is None or not _says(found, value):
                raise InputError(f"the Delta table {path}: the folder of {file} does not say its {column!r}; {REMEDY}")
        yield file


def _says(folder: str, value: object) -> bool:
    """Whether Spark reads the value of a partition in the name of its folder."""
    if value is None or folder == NULL:
        return value is None and folder == NULL
    return not isinstance(value, str) or unquote(folder, "latin-1") == value
