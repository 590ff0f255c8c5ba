"""On Spark a kept model gives each entity the prediction that it gives on one machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from shop_folder import TEST, write_shop
from small_methods import small

from relbench_harness.data.labels import sql_labels
from relbench_harness.data.spark_labels import labels_on_spark
from relbench_harness.errors import InputError
from relbench_harness.features.dfs.spark import session, write_tables
from relbench_harness.models.model import load_model
from relbench_harness.models.on_spark import predict_on_spark
from relbench_harness.protocol.configuration import described_method
from relbench_harness.request import RunRequest

needs_spark = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or (shutil.which("java") is None and not os.environ.get("JAVA_HOME")),
    reason="PySpark (extra `spark`) or Java is not installed",
)


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    spark = session(2)
    yield spark
    spark.stop()


@needs_spark
@pytest.mark.slow
@pytest.mark.parametrize(("task", "method"), [("churn", "lightgbm_simple"), ("basket", "constant")])
def test_chunks_on_spark_are_the_predictions_of_one_machine(tmp_path: Path, running: Any, task: str, method: str) -> None:
    dataset = write_shop(tmp_path / "shop")
    fitted = small(method)
    RunRequest(
        f"{dataset.folder}/{task}", fitted, method, described_method(fitted), "rolling", save=tmp_path / "model"
    ).execute()
    here = load_model(tmp_path / "model").predict()
    there = predict_on_spark(running, tmp_path / "model", chunk=7)
    assert there.rdd.getNumPartitions() > 2
    found = there.toPandas()
    assert list(found.columns) == list(here.columns) and len(found) == len(here) > 14
    order = [name for name in here.columns if name != "prediction"]
    one, two = (frame.sort_values(order, ignore_index=True) for frame in (here, found))
    for name in order:
        assert (one[name].astype(str) == two[name].astype(str)).all()
    if "prediction" in here:
        assert one["prediction"].nunique() > 3
        np.testing.assert_allclose(one["prediction"], two["prediction"], rtol=0, atol=1e-9)


def test_an_empty_chunk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 1 entity, not 0"):
        predict_on_spark(None, tmp_path, chunk=0)


@needs_spark
@pytest.mark.slow
def test_labels_on_spark_are_those_of_one_machine(tmp_path: Path, running: Any) -> None:
    dataset = write_shop(tmp_path / "shop")
    write_tables(dataset.database, tmp_path / "tables")
    paths = {name: str(tmp_path / "tables" / f"{name}.parquet") for name in dataset.database}
    times = pd.DatetimeIndex([TEST - pd.Timedelta(days=days) for days in (30, 20, 10)])
    for name in ("churn", "spend"):
        task = dataset.task(name)
        expected = sql_labels(task, dataset.database, times).frame(task)
        found = labels_on_spark(running, task, paths, times).toPandas()
        found = found.sort_values([task.time_col, task.entity_col], ignore_index=True)
        assert len(found) == len(expected) > 20
        assert (pd.to_datetime(found[task.time_col]) == expected[task.time_col]).all()
        assert (found[task.entity_col] == expected[task.entity_col]).all()
        target = expected[task.target].to_numpy(np.float64)
        np.testing.assert_allclose(found[task.target].to_numpy(np.float64), target, rtol=1e-9)
        assert len(np.unique(target)) > 1
    with pytest.raises(InputError, match=r"no SQL to make labels from"):
        labels_on_spark(running, dataset.task("gift"), paths, times)
