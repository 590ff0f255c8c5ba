"""Spark gives DuckDB's features: the same expression trees, another machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relbench_harness.data.database import Database
from relbench_harness.errors import InputError
from relbench_harness.features.spark import Spark, session, write_tables
from relbench_harness.features.synthesis import DeepFeatureSynthesis

Ask = Callable[..., Any]
MISSING = importlib.util.find_spec("pyspark") is None
needs_spark = pytest.mark.skipif(
    MISSING or (shutil.which("java") is None and not os.environ.get("JAVA_HOME")),
    reason="PySpark (extra `spark`) or Java is not installed",
)


@pytest.mark.skipif(not MISSING, reason="PySpark is installed")
def test_without_spark_the_extra_is_named() -> None:
    with pytest.raises(InputError, match=r"relbench-harness\[spark\]"):
        session()


@needs_spark
@pytest.mark.slow
def test_spark_equals_duckdb(shop: Database, questions: Ask, tmp_path: Path) -> None:
    asked = questions(shop, "customers", [0, 0, 0, 1, 2, 0], [1, 2, 2.5, 9, 9, 9])
    primitives = ("count", "sum", "skew", "num_unique", "mode", "last", "trend", "time_since_last", "month")
    fitted = DeepFeatureSynthesis(depth=2, primitives=primitives, threads=2).fit(asked)
    running = session(2)
    # generating and compiling code costs minutes and pays on large tables only
    running.conf.set("spark.sql.codegen.wholeStage", "false")
    running.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    running.conf.set("spark.sql.shuffle.partitions", "1")
    spark = replace(fitted, settings=replace(fitted.settings, engine="spark"))
    one, two = fitted.compute(asked), spark.compute(asked)
    assert one.names == two.names
    for ours, theirs in zip(one.columns, two.columns, strict=True):
        np.testing.assert_allclose(ours.numbers, theirs.numbers, rtol=1e-9, atol=1e-12, err_msg=ours.name)
    # where the data is: Parquet in, Parquet out
    write_tables(shop, tmp_path / "tables")
    paths = {name: str(tmp_path / "tables" / f"{name}.parquet") for name in shop}
    with Spark(shop, paths, fitted.kinds, spark=session(2)) as running:
        fitted.write(running, np.stack([asked.entity[:3], asked.cutoff[:3]]), tmp_path / "features")
    written = pq.read_table(tmp_path / "features").sort_by("t")
    assert written.column("COUNT(orders)").cast(pa.int64()).to_pylist() == [0, 1, 3]


@needs_spark
@pytest.mark.slow
def test_what_spark_cannot_express_is_named(shop: Database, questions: Ask) -> None:
    asked = questions(shop, "customers", [0], [9])
    with pytest.raises(InputError, match=r"MEDIAN\(orders\.paid\).*engine=duckdb"):
        DeepFeatureSynthesis(primitives=("median",), engine="spark").fit(asked).compute(asked)
