"""Spark gives DuckDB's features: the same queries, another machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_examples import examples_about, made_database

from relbench_harness.data.database import Database
from relbench_harness.data.dataset import open_task
from relbench_harness.errors import InputError
from relbench_harness.features.block import united
from relbench_harness.features.dfs.spark import Spark, session, write_tables
from relbench_harness.features.dfs.synthesis import DeepFeatureSynthesis, FittedSynthesis
from relbench_harness.protocol.method import Examples
from relbench_harness.protocol.stages import Stages

MISSING = importlib.util.find_spec("pyspark") is None
needs_spark = pytest.mark.skipif(
    MISSING or (shutil.which("java") is None and not os.environ.get("JAVA_HOME")),
    reason="PySpark (extra `spark`) or Java is not installed",
)


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    """A local session that interprets its plans: compiling code for them costs minutes and pays on large tables only."""
    spark = session(2)
    spark.conf.set("spark.sql.codegen.wholeStage", "false")
    spark.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    spark.conf.set("spark.sql.shuffle.partitions", "1")
    yield spark
    spark.stop()


def assert_equal(fitted: FittedSynthesis, examples: Examples) -> None:
    """Spark's features of the examples are DuckDB's."""
    spark = replace(fitted, settings=replace(fitted.settings, engine="spark"))
    one, two = fitted.transform(examples), spark.transform(examples)
    assert one.names == two.names and one.names
    for ours, theirs in zip(one.columns, two.columns, strict=True):
        assert ours.vocabulary == theirs.vocabulary
        np.testing.assert_allclose(ours.numbers, theirs.numbers, rtol=1e-9, atol=1e-12, err_msg=ours.name)


@pytest.mark.skipif(not MISSING, reason="PySpark is installed")
def test_without_spark_the_extra_is_named() -> None:
    with pytest.raises(InputError, match=r"relbench-harness\[spark\]"):
        session()


@needs_spark
@pytest.mark.slow
def test_spark_equals_duckdb(shop: Database, running: Any) -> None:
    """What the defaults, and so the real database below, do not compute."""
    examples = examples_about(shop, "customers", [0, 0, 0, 1, 2, 0], [1, 2, 2.5, 9, 9, 9])
    primitives = ("count", "mean", "last", "trend", "time_since_last", "avg_time_between", "entropy", "is_null", "age")
    assert_equal(DeepFeatureSynthesis(depth=2, primitives=primitives, threads=2).fit(examples), examples)


@needs_spark
@pytest.mark.thorough
def test_spark_equals_duckdb_on_a_real_database(real_data: Path, running: Any) -> None:
    """Every default feature of every example of training, validation and test."""
    stages = Stages(*open_task("rel-f1/driver-dnf"), "rolling")
    every = united([stages.examples("train"), stages.examples("val"), stages.holdout("test").examples])
    assert every is not None
    assert_equal(DeepFeatureSynthesis(depth=2, threads=2).fit(stages.examples("train")), every)


@needs_spark
@pytest.mark.slow
def test_a_text_that_is_missing_has_no_words(running: Any) -> None:
    texts = [None, "", "one", "two words", *(f"word number {i}, and more!" for i in range(12))]
    made = made_database({"notes": pa.table({"id": range(16), "text": texts})}, {"notes": ("id", None, {})})
    examples = examples_about(made, "notes", range(16), [9] * 16)
    fitted = DeepFeatureSynthesis(primitives=("num_words", "num_characters"), threads=2).fit(examples)
    assert_equal(fitted, examples)
    assert np.isnan(fitted.transform(examples)["NUM_WORDS(text)"].numbers).tolist() == [True] + [False] * 15


@needs_spark
@pytest.mark.slow
def test_where_the_data_is_parquet_becomes_parquet(shop: Database, running: Any, tmp_path: Path) -> None:
    examples = examples_about(shop, "customers", [0, 0, 0], [1, 2, 2.5])
    fitted = DeepFeatureSynthesis(primitives=("count", "mode"), threads=2).fit(examples)
    write_tables(shop, tmp_path / "tables")
    # a table in a lake is a folder of files
    orders = pq.read_table(tmp_path / "tables" / "orders.parquet")
    (tmp_path / "orders").mkdir()
    for part in range(2):
        pq.write_table(orders.slice(3 * part, 3), tmp_path / "orders" / f"part-{part}.parquet")
    paths = {name: str(tmp_path / "tables" / f"{name}.parquet") for name in shop} | {"orders": str(tmp_path / "orders")}
    with Spark(shop, paths, fitted.kinds, spark=running) as spark:
        fitted.write(spark, np.stack([examples.entity, examples.cutoff]), tmp_path / "features")
    written = pq.read_table(tmp_path / "features").sort_by("t")
    assert written.column("COUNT(orders)").cast(pa.int64()).to_pylist() == [0, 1, 3]


@needs_spark
@pytest.mark.slow
def test_what_spark_cannot_express_is_named(shop: Database, running: Any) -> None:
    examples = examples_about(shop, "customers", [0], [9])
    with pytest.raises(InputError, match=r"MEDIAN\(orders\.paid\).*engine=duckdb"):
        DeepFeatureSynthesis(primitives=("median",), engine="spark").fit(examples).transform(examples)
