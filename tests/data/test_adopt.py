"""A build.py that streams its tables to disk: adopted as they lie, and refused where they are not in canonical order."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from relbench_harness.data.dataset import open_dataset
from relbench_harness.data.names import knows_truth
from relbench_harness.errors import InputError

MANIFEST = """
name: streamed
manifest_version: 1
description: two tables, streamed
val_timestamp: '2020-01-02'
test_timestamp: '2020-01-03'
tables:
  shops: {pkey: shop, time_col: null, fkeys: {}}
  sales:
    pkey: sale
    time_col: at
    fkeys: {shop: shops}
"""
NEIGHBOUR = """
import pyarrow as pa
def write(table, path):
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return path
"""
BUILD = """
import pyarrow as pa
from .neighbour import write
def build(scratch, shops=2):
    (scratch / "truth").mkdir()
    (scratch / "truth" / "note.txt").write_text("known")
    at = pa.array({at}, pa.timestamp("{unit}"))
    sales = pa.table({{"sale": {sale}, "at": at, "shop": pa.array({shop}, pa.int64())}})
    return {{
        "shops": write(pa.table({{"shop": list(range(shops))}}), scratch / "shops.arrow"),
        "sales": write(sales, scratch / "sales.arrow"),
    }}
"""
GOOD = {"at": "[1, 2, 2, 5]", "unit": "ns", "sale": "[0, 1, 2, 3]", "shop": "[1, None, 0, 1]"}


@pytest.fixture
def streamed(tmp_path: Path) -> Path:
    folder = tmp_path / "streamed"
    folder.mkdir()
    (folder / "manifest.yaml").write_text(MANIFEST)
    (folder / "neighbour.py").write_text(NEIGHBOUR)
    return folder


def test_streamed_tables_are_mapped_and_what_is_true_is_kept_beside_them(streamed: Path) -> None:
    (streamed / "build.py").write_text(BUILD.format(**GOOD))
    dataset = open_dataset(str(streamed))
    assert dataset.database["sales"].rows["at"].cast(pa.int64()).to_pylist() == [1, 2, 2, 5]
    assert dataset.database["sales"].parents("shop").tolist() == [1, -1, 0, 1]
    assert (dataset.stored / "truth" / "note.txt").read_text() == "known"
    assert not list(dataset.stored.parent.glob(f".{dataset.stored.name}*"))
    again = open_dataset(str(streamed))
    assert again.database.fingerprint == dataset.database.fingerprint
    assert not knows_truth(again.folder)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"at": "[1, 3, 2, 5]"}, "sales.at goes back in time in row 2"),
        ({"at": "[1, 2, 2, None]"}, "sales.at is null"),
        ({"unit": "us"}, r"sales.at has type timestamp\[us\]"),
        ({"sale": "[0, 1, 3, 2]"}, "sales.sale is no row number in row 2"),
        ({"shop": "[1, None, 2, 1]"}, "sales.shop names no row of table 'shops' in row 2"),
        ({"shop": "[1, None, -1, 1]"}, "sales.shop names no row of table 'shops' in row 2"),
    ],
)
def test_what_is_not_in_canonical_order_is_refused(streamed: Path, change: dict[str, str], complaint: str) -> None:
    (streamed / "build.py").write_text(BUILD.format(**{**GOOD, **change}))
    with pytest.raises(InputError, match=complaint):
        _ = open_dataset(str(streamed)).database


def test_a_missing_table_is_named(streamed: Path) -> None:
    (streamed / "build.py").write_text(BUILD.format(**GOOD).replace('"sales": write', '"sale": write'))
    with pytest.raises(InputError, match="table 'sales', which is missing; did you mean 'sale'"):
        _ = open_dataset(str(streamed)).database


def test_the_scratch_folder_is_no_parameter(streamed: Path) -> None:
    (streamed / "build.py").write_text(BUILD.format(**GOOD))
    with pytest.raises(InputError, match="takes no parameter 'scratch'"):
        _ = open_dataset(f"{streamed}@scratch=1").database


def test_parameters_reach_the_script(streamed: Path) -> None:
    (streamed / "build.py").write_text(BUILD.format(**GOOD))
    assert len(open_dataset(f"{streamed}@shops=7").database["shops"]) == 7
