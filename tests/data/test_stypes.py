"""One inference of semantic types: networks and trees read the same column as the same thing, and declared types reach both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from arrow_columns import COLUMNS

from relbench_harness.data.database import Database
from relbench_harness.data.dataset import open_dataset
from relbench_harness.data.stypes import MOST_TEXTS, Stype, infer, stype_of, stypes
from relbench_harness.data.table import Table
from relbench_harness.errors import InputError
from relbench_harness.features.dfs.definitions import Schema
from relbench_harness.features.encode import ColumnKind, fit_encoders, kind_of
from relbench_harness.graph.attributes import Encoders

COUNT = 60


def _column(values: Any) -> pa.ChunkedArray:
    return pa.chunked_array([values if isinstance(values, pa.Array) else pa.array(values)])


def _opened(folder: Path, columns: dict[str, Any], declared: dict[str, str]) -> Database:
    """The database of a dataset folder with one table `things`, whose manifest declares types of its columns."""
    (folder / "db").mkdir(exist_ok=True)
    pq.write_table(pa.table({"id": pa.array(np.arange(COUNT)), **columns}), folder / "db" / "things.parquet")
    manifest = {
        "name": "own",
        "manifest_version": 1,
        "val_timestamp": "2020-01-01",
        "test_timestamp": "2021-01-01",
        "tables": {"things": {"pkey": "id", "time_col": None, "fkeys": {}, "stypes": declared}},
    }
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    return open_dataset(str(folder)).database


def test_a_manifest_declares_types_for_networks_and_for_trees(tmp_path: Path) -> None:
    columns = {
        "grade": pa.array(np.arange(COUNT) % 40),
        "size": pa.array(np.arange(COUNT) % 40),
        "city": pa.array([f"town {i}" for i in range(COUNT)]),
        "note": pa.array([("red fox", "green tree")[i % 2] for i in range(COUNT)]),
        "since": pa.array([f"2020-01-{1 + i % 28:02}" for i in range(COUNT)]),
        "price": pa.array([str(i % 7) for i in range(COUNT)]),
    }
    declared = {
        "grade": "categorical",
        "city": "categorical",
        "note": "text_embedded",
        "since": "timestamp",
        "price": "numerical",
    }
    bare, own = _opened(tmp_path, columns, {}), _opened(tmp_path, columns, declared)
    expected = {
        # column: inferred for networks and trees, then declared
        "grade": ("numerical", "number", "categorical", "category"),
        "size": ("numerical", "number", "numerical", "number"),
        "city": ("text_embedded", "text", "categorical", "category"),
        "note": ("categorical", "category", "text_embedded", "text"),
        "since": ("categorical", "category", "timestamp", "instant"),
        "price": ("categorical", "category", "numerical", "number"),
    }
    found = {
        name: (*(str(f) for db in (bare, own) for f in (stype_of(db["things"], name), kind_of(db["things"], name))),)
        for name in columns
    }
    assert found == expected

    layout = Encoders.fit(own, 0).layouts["things"]
    assert {"grade", "city"} <= set(layout.names("codes")) and "note" not in layout.names("codes")
    assert {"since"} == set(layout.names("moments")) and "price" in layout.plain_numbers
    trees = {encoder.column: encoder for encoder in fit_encoders(own["things"])}
    rows, at = np.arange(COUNT), np.full(COUNT, 20_000 * 86_400 * 10**9)
    made = {c.name: c for e in trees.values() for c in e.columns(own["things"].rows.column(e.column), rows, at, "")}
    assert len(trees["grade"].vocabulary) == 40 and len(trees["city"].vocabulary) == COUNT
    assert made["grade"].vocabulary and set(made["note has 'fox'"].values) == {0.0, 1.0}
    assert made["since.weekday"].values[0] == 2 and made["price"].values.tolist() == [float(i % 7) for i in range(COUNT)]
    frame = Schema.of(own, "things").frames["things"]
    assert {name: str(kind) for name, kind in frame.kinds.items()} == {n: e[3] for n, e in expected.items()}


def test_an_unknown_or_impossible_type_is_refused_on_both_sides(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column 'grad' in table 'things'; did you mean 'grade'"):
        _opened(tmp_path, {"grade": pa.array(np.arange(COUNT))}, {"grad": "numerical"})
    for declared, why in (("numeric", "did you mean 'numerical'"), ("embedding", "it is stored as int64")):
        table = _opened(tmp_path, {"grade": pa.array(np.arange(COUNT))}, {"grade": declared})["things"]
        for read in (lambda t=table: stypes(t), lambda t=table: kind_of(t, "grade")):
            with pytest.raises(InputError, match=rf"things\.grade.*{why}"):
                read()


@pytest.mark.parametrize(
    ("name", "distinct", "stype"),
    [
        ("grid", 40, "numerical"),
        ("statusId", 40, "categorical"),
        ("country_id", 40, "categorical"),
        ("wins", 5, "categorical"),
    ],
)
def test_integers_are_categories_where_few_or_named_so(name: str, distinct: int, stype: str) -> None:
    values = _column(np.arange(1000) % distinct)
    assert infer(name, values) == stype
    assert kind_of(Table("t", pa.table({name: values})), name) is ColumnKind.NUMBER, "an ordered code is a number to trees"


@pytest.mark.parametrize(
    ("distinct", "times", "stype", "kind"),
    [
        (10, 1, "categorical", "category"),
        (11, 1, "text_embedded", "text"),
        (11, 2, "categorical", "category"),
        (MOST_TEXTS, 2, "categorical", "category"),
        (MOST_TEXTS + 1, 2, "text_embedded", "text"),
    ],
)
def test_texts_are_categories_where_each_occurs_twice(distinct: int, times: int, stype: str, kind: str) -> None:
    values = _column([str(i) for i in range(distinct)] * times + [None])
    assert infer("name", values) == stype
    assert kind_of(Table("t", pa.table({"name": values})), "name") == kind


@pytest.mark.parametrize("name", list(COLUMNS))
def test_both_sides_leave_out_the_same_columns_and_read_every_other(name: str) -> None:
    values = COLUMNS[name]
    for declared in (None, *Stype):
        table = Table("t", pa.table({name: values}), stypes={} if declared is None else {name: declared.value})
        try:
            stype = stype_of(table, name)
        except InputError as error:
            assert f"t.{name} cannot be {declared}" in str(error)
            continue
        assert (stype is None) == (kind_of(table, name) is None)
        for encoder in fit_encoders(table):
            for rows in (table, table.prefix(0)):
                places, at = np.full(3, min(2, len(rows) - 1)), np.zeros(3, np.int64)
                for column in encoder.columns(rows.rows.column(name), places, at, ""):
                    assert len(column.values) == 3 and not np.isinf(column.values.astype(np.float64)).any()
