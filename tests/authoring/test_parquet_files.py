"""Parquet tables in parts: read as one where they fit, refused by name where they do not."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relbench_harness.authoring.new_dataset import new_dataset
from relbench_harness.authoring.wanted import Wanted
from relbench_harness.errors import InputError

DAYS = pd.date_range("2020-01-01", periods=60)


def part(path: Path, first: int, **columns: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = {"id": range(first, first + 20), "at": DAYS[first : first + 20], **columns}
    pq.write_table(pa.table({k: v if isinstance(v, pa.Array) else list(v) for k, v in rows.items()}), path)  # type: ignore[call-overload]


def test_parts_of_other_widths_and_orders_are_one_table(tmp_path: Path) -> None:
    where = tmp_path / "in" / "orders"
    part(where / "a.parquet", 0, v=pa.nulls(20))
    part(where / "b.parquet", 20, v=pa.array(range(20), pa.int32()))
    part(where / "c.parquet", 40, v=pa.array([0.5] * 20))
    rows = pq.read_table(where / "c.parquet")
    pq.write_table(rows.select(["v", "at", "id"]), where / "c.parquet")
    imported = new_dataset("x", str(tmp_path / "in"), tmp_path, Wanted())
    got = pq.read_table(imported.folder / "db" / "orders.parquet")
    assert got.column("v").to_pylist() == [None] * 20 + [float(i) for i in range(20)] + [0.5] * 20
    assert got.column("id").to_pylist() == list(range(60))


def test_folders_that_name_a_value_are_a_column(tmp_path: Path) -> None:
    for index, (year, place) in enumerate((("2020", "a b"), ("2021", "c"), ("2022", "__HIVE_DEFAULT_PARTITION__"))):
        part(tmp_path / "in" / "orders" / f"year={year}" / f"place={place}" / "0.parquet", 20 * index)
    imported = new_dataset("x", str(tmp_path / "in"), tmp_path, Wanted())
    got = pq.read_table(imported.folder / "db" / "orders.parquet")
    assert got.column("year").to_pylist() == [2020] * 20 + [2021] * 20 + [2022] * 20
    assert got.column("place").to_pylist() == ["a b"] * 20 + ["c"] * 20 + [None] * 20


def test_parts_that_do_not_fit_are_named(tmp_path: Path) -> None:
    where = tmp_path / "in" / "orders"
    part(where / "a.parquet", 0, v=["x"] * 20)
    part(where / "b.parquet", 20, w=["x"] * 20)
    with pytest.raises(InputError, match=r"table 'orders': b.parquet lacks the column 'v'"):
        new_dataset("x", str(tmp_path / "in"), tmp_path / "out", Wanted())
    part(where / "b.parquet", 20, v=DAYS[:20])
    with pytest.raises(InputError, match=r"table 'orders': its parts differ in type: .*v"):
        new_dataset("x", str(tmp_path / "in"), tmp_path / "out", Wanted())
    (where / "b.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(InputError, match=r"b.parquet is not a parquet file"):
        new_dataset("x", str(tmp_path / "in"), tmp_path / "out", Wanted())
    whole = (where / "a.parquet").read_bytes()
    (where / "b.parquet").write_bytes(whole[:8] + bytes(120) + whole[128:])
    with pytest.raises(InputError, match=r"b.parquet cannot be read"):
        new_dataset("x", str(tmp_path / "in"), tmp_path / "out", Wanted())
    assert list((tmp_path / "out").iterdir()) == []
