"""Labels made by Spark, where the tables are too large for one machine or lie in a lake.

The task's SQL is that of one machine, translated. Tables are in canonical order: a primary key is the row number, a foreign key the
row number of its parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlglot

from relbench_harness.data.spark_tables import table_on_spark
from relbench_harness.data.task import Task
from relbench_harness.errors import InputError

INTERVAL = "INTERVAL '{timedelta}'"
"""How a task's SQL adds its horizon."""


def labels_on_spark(
    spark: Any, task: Task, paths: Mapping[str, str], timestamps: pd.DatetimeIndex, form: str = "parquet"
) -> Any:
    """A Spark data frame of the labels of `task` at `timestamps`: its columns of time, entity and target, in no order.

    Args:
        spark: A session whose time zone is UTC. Views named as the tables, and `timestamps`, are made in it.
        paths: Table → what `table_on_spark` opens; windows that reach past its rows give labels of too few rows.
        form: `parquet` or `delta`.

    Raises:
        InputError: The task has no SQL, or Spark does not take it.
    """
    query = spark_sql(task)
    if "timestamps" in paths:
        raise InputError(f"task {task.id}: a table is called 'timestamps', as the relation that its SQL needs")
    for name, path in paths.items():
        table_on_spark(spark, path, form).createOrReplaceTempView(_quoted(name))
    micros = pa.array(np.asarray(timestamps.as_unit("us").asi8)).cast(pa.timestamp("us"))
    spark.createDataFrame(pa.table({"timestamp": micros})).createOrReplaceTempView("timestamps")
    try:
        return spark.sql(query).select(*map(_quoted, (task.time_col, task.entity_col, task.target)))
    except Exception as error:
        if type(error).__module__.startswith("pyspark."):
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"task {task.id}: Spark does not take its SQL: {reason}") from None
        raise


def spark_sql(task: Task) -> str:
    """The SQL of `task` in Spark's dialect, its horizon put in.

    Raises:
        InputError: It has none, or none that can be translated.
    """
    if task.sql is None:
        raise InputError(f"task {task.id} has no SQL to make labels from")
    seconds = task.horizon.value // 10**9
    given = task.sql.replace(INTERVAL, f"INTERVAL '{seconds}' SECOND")
    if "{timedelta}" in given:
        raise InputError(f"task {task.id}: Spark has no interval of text; its SQL must add its horizon as {INTERVAL}")
    try:
        return sqlglot.transpile(given, read="duckdb", write="spark")[0]
    except sqlglot.errors.SqlglotError as error:
        raise InputError(f"task {task.id}: its SQL cannot be translated for Spark: {error}") from None


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
