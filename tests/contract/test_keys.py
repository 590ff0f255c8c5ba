"""What keys look like at the source is never seen by a method: database and examples are the same."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from shop import SPECS
from shop_folder import TASKS, shop_tables, write_shop

from relbench_harness.data.labels import SPLITS


def with_text_keys(tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """The shop's tables with `C7` for customer 7."""
    found = {}
    for name, rows in tables.items():
        spec = SPECS[name]
        keys = spec.fkeys | ({spec.pkey: name} if spec.pkey else {})
        for column, parent in keys.items():
            texts = pc.binary_join_element_wise(parent[0].upper(), rows.column(column).cast(pa.string()), "")
            rows = rows.set_column(rows.column_names.index(column), column, texts)
        found[name] = rows
    return found


def test_text_keys_make_the_same_database_and_examples(tmp_path: Path) -> None:
    plain = write_shop(tmp_path / "plain" / "shop")
    other = write_shop(tmp_path / "text" / "shop", with_text_keys(shop_tables()))
    assert other.database["customer"].origin is not None and plain.database["customer"].origin is None
    assert other.database.fingerprint == plain.database.fingerprint
    for name in TASKS:
        for split in SPLITS:
            mine, theirs = plain.labels(plain.task(name), split), other.labels(other.task(name), split)
            assert (mine.entity == theirs.entity).all() and (mine.time == theirs.time).all()
            assert mine.target.equals(theirs.target)
