"""One comparison of keys: SQL and Arrow find the same parents for every pair of types, and what they find is right."""

from __future__ import annotations

import itertools
from decimal import Decimal

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from relbench.manifest import TableSpec

from relbench_harness.authoring.integrity import integrity
from relbench_harness.data.canonical import canonical
from relbench_harness.data.key_match import common_form, positions, same_key
from relbench_harness.errors import InputError

WHOLE = [0, 1, 7, 2**53, 2**53 + 1, 2**62, 2**63 - 1]
COLUMNS = {
    "int32": pa.array([0, 1, 7, 5], pa.int32()),
    "int64": pa.array(WHOLE, pa.int64()),
    "uint64": pa.array([*WHOLE, 2**63, 2**64 - 1], pa.uint64()),
    "float64": pa.array([0.0, 1.0, 7.0, 2.5, float(2**53), float(2**63), 1e19, None]),
    "decimal(20,0)": pa.array([Decimal(v) for v in (*WHOLE, 2**64 - 1)], pa.decimal128(20, 0)),
    "decimal(38,0)": pa.array([Decimal(v) for v in (*WHOLE, 10**37)], pa.decimal128(38, 0)),
    "decimal(10,2)": pa.array([Decimal("0.00"), Decimal("1.00"), Decimal("7.50"), Decimal("2.50")], pa.decimal128(10, 2)),
    "text": pa.array([*map(str, WHOLE), "2.5", "7.5", "007", "x", "1.0", str(2**63), str(2**64 - 1), str(10**37), None]),
    "large text": pa.array([*map(str, WHOLE), "2.5"], pa.large_string()),
    "bytes": pa.array([b"1", b"7", b"x"]),
    "flag": pa.array([True, False]),
    "timestamp": pa.array([0, 86400 * 10**9], pa.timestamp("ns")),
    "date": pa.array([0, 1], pa.date32()),
}


def truth(value: object) -> object:
    """What a value means as a key: an exact number, or its text."""
    if isinstance(value, bool):
        return Decimal(int(value))
    if isinstance(value, int | float | Decimal):
        return Decimal(value)
    return value


def meant(child: object, parent: object) -> bool:
    """Whether two values are the same key, said without the code that is tested."""
    if child is None or parent is None:
        return False
    texts = [isinstance(v, str) for v in (child, parent)]
    if any(texts) and not all(texts) and not any(isinstance(v, bytes) for v in (child, parent)):
        text, number = (child, truth(parent)) if texts[0] else (parent, truth(child))
        plain = f"{number.normalize():f}" if isinstance(number, Decimal) else None
        return text == plain
    bare = [v.encode() if isinstance(v, str) else v for v in (child, parent)]
    if any(isinstance(v, bytes) for v in (child, parent)):
        return bare[0] == bare[1]
    return truth(child) == truth(parent)


@pytest.mark.parametrize(("child", "parent"), itertools.product(COLUMNS, COLUMNS))
def test_sql_and_arrow_agree_with_what_is_meant(child: str, parent: str) -> None:
    values, keys = pa.chunked_array([COLUMNS[child]]), pa.chunked_array([COLUMNS[parent].drop_null()])
    found = positions(values, keys)
    if common_form(values.type, keys.type) is None:
        assert found is None and same_key("a", values.type, "b", keys.type) is None
        return
    assert found is not None
    in_arrow = [(i, j) for i, j in enumerate(found.to_pylist()) if j is not None]
    with duckdb.connect() as connection:
        connection.register("l", pa.table({"i": range(len(values)), "v": values}))
        connection.register("r", pa.table({"j": range(len(keys)), "v": keys}))
        condition = same_key("l.v", values.type, "r.v", keys.type)
        in_sql = connection.execute(f"SELECT i, j FROM l JOIN r ON {condition} ORDER BY i, j").fetchall()
    assert in_arrow == in_sql
    if "timestamp" not in (child, parent) and "date" not in (child, parent):
        pairs = itertools.product(enumerate(values.to_pylist()), enumerate(keys.to_pylist()))
        assert in_sql == [(i, j) for (i, a), (j, b) in pairs if meant(a, b)]


def test_types_that_are_never_the_same_key() -> None:
    assert common_form(pa.timestamp("us"), pa.int64()) is None
    assert common_form(pa.bool_(), pa.string()) is None
    assert common_form(pa.list_(pa.int64()), pa.list_(pa.int64())) is None


@pytest.mark.parametrize("key", ["integers", "decimals", "texts"])
def test_folders_and_their_check_compare_alike(key: str) -> None:
    """800 order lines whose foreign key pandas wrote as floats, one missing: all the others find their order."""
    keys = {
        "integers": pa.array(np.arange(800) + 10), "decimals": pa.array([Decimal(i + 10) for i in range(800)]),
        "texts": pa.array([str(i + 10) for i in range(800)]),
    }[key]  # fmt: skip
    numbers = np.append(np.arange(800.0) + 10, [np.nan])
    raw = {"orders": pa.table({"id": keys}), "lines": pa.table({"order": numbers})}
    specs = {"orders": TableSpec("id", None, {}), "lines": TableSpec(None, None, {"order": "orders"})}
    rows = canonical(raw, specs, "here")["lines"].rows.column("order").to_pylist()
    assert rows == [*range(800), None]
    assert [f for f in integrity(raw, specs, None) if f.kind == "key"] == []
    raw["lines"] = pa.table({"order": np.append(numbers, 5000.0)})
    (finding,) = [f for f in integrity(raw, specs, None) if f.kind == "key"]
    assert "1 of 802 rows name a row of 'orders' that is not there" in finding.what


def test_texts_that_name_no_number_are_named() -> None:
    raw = {"orders": pa.table({"id": [5, 6]}), "lines": pa.table({"order": ["a", "b"]})}
    specs = {"orders": TableSpec("id", None, {}), "lines": TableSpec(None, None, {"order": "orders"})}
    with pytest.raises(InputError, match=r"lines.order has type string, its parent's key int64, and names no row"):
        canonical(raw, specs, "here")
