"""On Spark a Delta table has the rows of its newest version, whatever files lie in its folder."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shop_folder import TEST, write_shop

from relbench_harness.data.labels import sql_labels
from relbench_harness.data.spark_labels import labels_on_spark
from relbench_harness.data.spark_tables import table_on_spark
from relbench_harness.errors import InputError
from relbench_harness.features.dfs.spark import session, write_tables

deltalake = pytest.importorskip("deltalake")
HAS_SPARK = importlib.util.find_spec("pyspark") is not None
needs_pyspark = pytest.mark.skipif(not HAS_SPARK, reason="PySpark (extra `spark`) is not installed")
needs_spark = pytest.mark.skipif(
    not HAS_SPARK or (shutil.which("java") is None and not os.environ.get("JAVA_HOME")),
    reason="PySpark (extra `spark`) or Java is not installed",
)
MOMENTS = pa.array([1, 2, 3, 4]).cast(pa.timestamp("us"))
ROWS = pa.table({"id": [0, 1, 2, 3], "kind": ["a b", "a b", None, "c/=%"], "at": MOMENTS, "size": [1.0, 2.0, None, 4.0]})


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    spark = session(2)
    yield spark
    spark.stop()


class Bare:
    """A session without Delta's reader, as far as it is needed to find out what a table needs."""

    @property
    def read(self) -> Bare:
        return self

    def format(self, form: str) -> Bare:
        return self

    def load(self, path: str) -> None:
        raise RuntimeError("[DATA_SOURCE_NOT_FOUND] Failed to find the data source: delta.")


@needs_spark
@pytest.mark.slow
def test_labels_from_delta_tables_that_were_written_more_than_once(tmp_path: Path, running: Any) -> None:
    dataset = write_shop(tmp_path / "shop")
    write_tables(dataset.database, tmp_path / "tables")
    for name in dataset.database:
        rows = pq.read_table(tmp_path / "tables" / f"{name}.parquet")
        where = str(tmp_path / "lake" / name)
        # rows twice, then as they are: the files of the first version stay
        deltalake.write_deltalake(where, pa.concat_tables([rows, rows]))
        deltalake.write_deltalake(where, rows, mode="overwrite")
    paths = {name: str(tmp_path / "lake" / name) for name in dataset.database}
    task = dataset.task("spend")
    days = pd.DatetimeIndex([TEST - pd.Timedelta(days=days) for days in (20, 10)])
    expected = sql_labels(task, dataset.database, days).frame(task)
    found = labels_on_spark(running, task, paths, days, "delta").toPandas()
    assert len(found) == len(expected)
    assert found[task.target].sum() == pytest.approx(expected[task.target].sum())
    assert expected[task.target].sum() > 0
    assert running.read.parquet(paths["order"]).count() == 3 * len(dataset.database["order"])


@needs_spark
@pytest.mark.slow
def test_partitions_deleted_rows_and_later_columns(tmp_path: Path, running: Any) -> None:
    where = str(tmp_path / "sales")
    deltalake.write_deltalake(where, ROWS, partition_by=["kind"])
    later = ROWS.slice(1, 1).append_column("note", pa.array(["n"]))
    deltalake.write_deltalake(where, later, mode="append", schema_mode="merge")
    deltalake.DeltaTable(where).delete("id = 0")
    expected = deltalake.DeltaTable(where).to_pyarrow_table()
    found = pa.Table.from_pandas(table_on_spark(running, where, "delta").toPandas())
    order = [("id", "ascending"), ("note", "ascending")]
    assert found.select(expected.column_names).sort_by(order).to_pylist() == expected.sort_by(order).to_pylist()
    assert found.num_rows == 4
    deltalake.DeltaTable(where).delete()
    assert table_on_spark(running, where, "delta").columns and not table_on_spark(running, where, "delta").count()


def test_only_known_forms_are_read() -> None:
    with pytest.raises(InputError, match=r"no form 'csv'.*parquet, delta"):
        table_on_spark(Bare(), "somewhere", "csv")


@needs_pyspark
def test_where_there_is_no_table_the_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no Delta table to read at .*nowhere"):
        table_on_spark(Bare(), str(tmp_path / "nowhere"), "delta")


def _other_letters(where: Path) -> None:
    deltalake.write_deltalake(str(where), ROWS.set_column(1, "kind", pa.array(["ü"] * 4)), partition_by=["kind"])


def _other_folders(where: Path) -> None:
    deltalake.write_deltalake(str(where), ROWS, partition_by=["kind"])
    _changed(where, lambda action: action.get("add", {}).update(path="x/part.parquet") if "add" in action else None)


def _deletion_vectors(where: Path) -> None:
    deltalake.write_deltalake(str(where), ROWS)
    features = {
        "readerFeatures": ["deletionVectors", "timestampNtz"],
        "writerFeatures": ["deletionVectors", "timestampNtz"],
    }
    _changed(where, lambda action: action["protocol"].update(features) if "protocol" in action else None)


def _elsewhere(where: Path) -> None:
    deltalake.write_deltalake(str(where), ROWS)
    _changed(where, lambda action: action["add"].update(path="s3://bucket/part.parquet") if "add" in action else None)


def _changed(where: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change each action of the first version."""
    log = where / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        change(action)
    log.write_text("".join(json.dumps(action) + "\n" for action in actions))


@needs_pyspark
@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (_other_letters, "does not say its 'kind'"),
        (_other_folders, "does not say its 'kind'"),
        (_deletion_vectors, "needs a reader of deletionVectors"),
        (_elsewhere, "files elsewhere, such as s3://bucket"),
    ],
)
def test_what_its_files_do_not_say_is_left_to_deltas_own_reader(
    tmp_path: Path, made: Callable[[Path], None], reason: str
) -> None:
    made(tmp_path / "sales")
    with pytest.raises(InputError, match=rf"{reason}.*delta-spark"):
        table_on_spark(Bare(), str(tmp_path / "sales"), "delta")
