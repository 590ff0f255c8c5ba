"""Encoders know only what they were fitted on, and nothing that comes later can break them."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from arrow_columns import COLUMNS

from relbench_harness.data.database import Database
from relbench_harness.data.stypes import Stype, stypes
from relbench_harness.data.table import Table
from relbench_harness.errors import InputError
from relbench_harness.graph.attributes import Encoders
from relbench_harness.graph.text import CharacterNgrams, text_encoder

DAY = 86_400 * 10**9
COUNT = 400


def _database(stypes: dict[str, str] | None = None) -> Database:
    rng = np.random.default_rng(0)
    day = np.arange(COUNT) // 4
    columns: dict[str, Any] = {
        "id": pa.array(np.arange(COUNT)),
        "at": pa.array(day * DAY).cast(pa.timestamp("ns")),
        "price": pa.array([None if i % 7 == 0 else float(v) for i, v in enumerate(rng.lognormal(3, 2, COUNT))]),
        "select": pa.array(["old" if d < 50 else "new" for d in day]).dictionary_encode(),
        "flag": pa.array([bool(i % 3) for i in range(COUNT)]),
        "exact": pa.array([Decimal(i % 90) / 4 for i in range(COUNT)]),
        "born": pa.array([datetime.date(1990 + i % 30, 1 + i % 12, 5) for i in range(COUNT)]),
        'odd "name"': pa.array([f"Some text number {i}" for i in range(COUNT)]),
        "tags": pa.array([["a"] * (i % 3) + ["b"] if i % 5 else None for i in range(COUNT)]),
        "vector": pa.array([[float(i), 1.0, 2.0] for i in range(COUNT)]),
        "empty": pa.array([None] * COUNT, pa.float64()),
        "same": pa.array([3.0] * COUNT),
        "blob": pa.array([b"x"] * COUNT),
        "parent": pa.array(np.zeros(COUNT, np.int64)),
    }
    table = Table(
        "things",
        pa.table(columns),
        key="id",
        time="at",
        references=MappingProxyType({"parent": "bare"}),
        stypes=MappingProxyType(stypes or {}),
    )
    return Database([table, Table("bare", pa.table({"key": pa.array([0])}), key="key")])


def test_inferred_types() -> None:
    found = stypes(_database()["things"])
    assert found == {
        "price": Stype.numerical,
        "select": Stype.categorical,
        "flag": Stype.categorical,
        "exact": Stype.numerical,
        "born": Stype.timestamp,
        'odd "name"': Stype.text_embedded,
        "tags": Stype.multicategorical,
        "vector": Stype.embedding,
        "same": Stype.numerical,
    }


def test_declared_types_win() -> None:
    declared = {"price": "categorical", 'odd "name"': "categorical"}
    found = stypes(_database(declared)["things"])
    assert found["price"] is Stype.categorical and found['odd "name"'] is Stype.categorical
    with pytest.raises(InputError, match=r"things\.price.*did you mean 'numerical'"):
        stypes(_database({"price": "numeric"})["things"])


def test_statistics_come_from_known_rows_alone() -> None:
    database = _database()
    known = database.upto(40 * DAY)
    encoders = Encoders.fit(known, 40 * DAY)
    layout = encoders.layouts["things"]
    assert "select" not in layout.names("codes"), "the only value known at training says nothing"
    rows = encoders.encode(database).rows("things", np.arange(160))
    price = rows.numbers[:, layout.names("numbers").index("price")]
    assert price.isnan()[::7].all() and not price.isnan()[1::7].any()
    assert abs(float(price.nanmean())) < 1e-5
    known_price = known["things"].rows.column("price").to_numpy()
    order = np.argsort(known_price[1:7])
    assert (np.argsort(price.numpy()[1:7]) == order).all()


def test_later_values_and_extremes_have_codes() -> None:
    database = _database()
    encoders = Encoders.fit(database.upto(60 * DAY), 60 * DAY)
    layout = encoders.layouts["things"]
    at = layout.names("codes").index("select")
    rows = encoders.encode(database).rows("things", np.array([0, 399]))
    assert rows.codes[0, at] == 2 and rows.codes[1, at] >= 2
    changed = database["things"].rows.set_column(3, "select", pa.array([None, "never seen"] * (COUNT // 2)))
    changed = changed.set_column(2, "price", pa.array([1e300, float("inf")] * (COUNT // 2)))
    later = Database([Table("things", changed, key="id", time="at"), database["bare"]])
    rows = encoders.encode(later).rows("things", np.array([0, 1]))
    assert rows.codes[:, at].tolist() == [0, 1]
    price = rows.numbers[:, layout.names("numbers").index("price")]
    assert price[0] == 10.0 and price[1].isnan()


def test_parts_of_a_record() -> None:
    database = _database()
    encoders = Encoders.fit(database, 100 * DAY)
    layout = encoders.layouts["things"]
    rows = encoders.encode(database).rows("things", np.array([3, 3, 9]))
    assert torch.equal(rows.numbers[0].nan_to_num(), rows.numbers[1].nan_to_num())
    assert layout.cardinalities == (4, 4)
    assert layout.sets == ((3, 4),)
    assert rows.sets.tolist() == [[3, 0, 0], [3, 0, 0], [3, 0, 0]] or (rows.sets[0] == rows.sets[1]).all()
    born = (datetime.date(1993, 4, 5) - datetime.date(1970, 1, 1)).days - 100
    assert rows.moments[0, 0] == born
    vectors = rows.vectors.float()
    assert vectors.shape[1] == 32 + 3 == len(layout.names("vectors"))
    assert abs(float(vectors[0, :32].norm()) - 1) < 1e-2
    assert vectors[2, 32] == pytest.approx(3 * float(vectors[0, 32]), rel=1e-2)


def test_a_table_without_columns() -> None:
    database = _database()
    attributes = Encoders.fit(database, 100 * DAY).encode(database)
    rows = attributes.rows("bare", np.zeros(5, np.int64))
    assert all(part.shape == (5, 0) for part in rows)


def test_kept_on_disk_and_built_again_where_damaged(tmp_path: Path) -> None:
    database = _database()
    encoders = Encoders.fit(database, 100 * DAY)
    folder = tmp_path / "attributes"
    fresh = encoders.encode(database)
    kept = encoders.encode(database, folder)
    assert isinstance(kept.packed["things"], np.memmap)
    assert (kept.packed["things"] == fresh.packed["things"]).all()
    written = (folder / "things").stat().st_mtime_ns
    encoders.encode(database, folder)
    assert (folder / "things").stat().st_mtime_ns == written
    damaged = bytearray((folder / "things").read_bytes())
    damaged[1234] ^= 1
    (folder / "things").write_bytes(bytes(damaged))
    assert (encoders.encode(database, folder).packed["things"] == fresh.packed["things"]).all()
    (folder / "index.json").write_text("{")
    assert (encoders.encode(database, folder).packed["things"] == fresh.packed["things"]).all()
    other = Encoders.fit(database.upto(30 * DAY), 30 * DAY)
    assert other.encode(database, folder).packed["things"].shape[1] != fresh.packed["things"].shape[1]


def test_similar_texts_have_similar_vectors() -> None:
    texts = pa.array(["RED RETROSPOT CUP", "red retrospot cups", "GARDEN PARASOL", "", None, "ab"])
    vectors = CharacterNgrams(64).encode(texts).astype(np.float32)
    assert vectors[0] @ vectors[1] > 0.8 > 0.4 > vectors[0] @ vectors[2]
    assert not vectors[3].any() and not vectors[4].any() and vectors[5].any()
    sliced = CharacterNgrams(64).encode(texts.slice(1, 2)).astype(np.float32)
    assert np.array_equal(sliced, vectors[1:3])


def test_an_unknown_text_encoder() -> None:
    with pytest.raises(InputError, match="sentence-transformer"):
        text_encoder("no/such-model")


@pytest.mark.parametrize("name", list(COLUMNS))
def test_every_kind_of_column_is_encoded_or_left_out_or_refused(name: str) -> None:
    values = COLUMNS[name]
    for declared in (None, *Stype):
        table = Table("t", pa.table({name: values}), stypes={} if declared is None else {name: declared.value})
        try:
            encoders = Encoders.fit(Database([table]), 0)
        except InputError as error:
            assert declared is not None and f"t.{name} cannot be {declared.value}" in str(error)
            continue
        for rows in (table, table.prefix(0), table.prefix(1)):
            packed = encoders.encode(Database([rows])).rows("t", np.arange(len(rows)))
            assert not packed.numbers.isinf().any() and not packed.vectors.isnan().any()
        Encoders.fit(Database([table.prefix(0)]), 0).encode(Database([table]))
