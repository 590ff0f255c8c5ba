"""Bad input: one sentence that names the file, table, column, key or value, and the nearest valid choice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from shop import at
from shop_folder import SIZE, write_shop

from relbench_harness.authoring.check import check_dataset
from relbench_harness.data.dataset import Dataset, open_dataset, open_task
from relbench_harness.data.names import parse_address
from relbench_harness.errors import InputError
from relbench_harness.protocol.stages import Stages


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(tmp_path))
    return write_shop(tmp_path / "shop")


def refusal(doing: Callable[[], object]) -> str:
    """The one sentence that `doing` is refused with."""
    with pytest.raises(InputError) as caught:
        doing()
    text = str(caught.value)
    assert "\n" not in text and "Traceback" not in text and text
    return text


def changed(path: Path, **entries: Any) -> None:
    """Writes `entries` into the manifest at `path`; None takes a key out."""
    content = yaml.safe_load(path.read_text()) | entries
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))


def task_file(shop: Dataset, task: str) -> Path:
    return shop.folder / "tasks" / task / "manifest.yaml"


def test_unknown_dataset_and_task(shop: Dataset) -> None:
    assert "no dataset 'shopp'; did you mean 'shop'" in refusal(lambda: open_dataset("shopp"))
    assert "no task 'chrun' in dataset shop; did you mean 'churn'" in refusal(lambda: open_task("shop/chrun"))
    assert "one reads dataset/task" in refusal(lambda: open_task("shop"))
    assert "'scale' is not a parameter of the form key=value" in refusal(lambda: parse_address("shop@scale"))
    assert "has no build.py, so it takes no parameters" in refusal(lambda: open_dataset("shop@scale=2").database)


def test_missing_and_malformed_manifests(shop: Dataset, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    assert f"{tmp_path / 'bare'} has no manifest.yaml" in refusal(lambda: open_dataset(str(tmp_path / "bare")))
    manifest = shop.folder / "manifest.yaml"
    changed(manifest, val_timestamp=None)
    assert f"{manifest} lacks the key 'val_timestamp'" in refusal(lambda: open_dataset("shop").cuts)
    changed(manifest, val_timestamp="one fine day")
    assert "val_timestamp 'one fine day' is no time" in refusal(lambda: open_dataset("shop").cuts)
    changed(manifest, val_timestamp="2031-01-01")
    assert "is not before test_timestamp" in refusal(lambda: open_dataset("shop").cuts)
    manifest.write_text("name: [")
    assert f"{manifest} cannot be read" in refusal(lambda: open_dataset("shop").manifest)
    manifest.write_text("just words")
    assert f"{manifest} is no mapping" in refusal(lambda: open_dataset("shop").manifest)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no mapping of keys to values; it is empty"),
        (b"[1, 2]", "is no mapping of keys to values"),
        (b"name: \xff", "cannot be read: 'utf-8' codec can't decode"),
        (b"\x00\x01", "cannot be read: unacceptable character"),
    ],
)
def test_what_is_no_manifest_is_named_whoever_reads_it(shop: Dataset, content: bytes, message: str) -> None:
    name = shop.task_names[0]
    for path, read in (
        (shop.folder / "tasks" / name / "manifest.yaml", lambda: open_dataset("shop").task(name)),
        (shop.folder / "manifest.yaml", lambda: open_dataset("shop").manifest),
    ):
        path.write_bytes(content)
        said = refusal(read)
        assert f"{path} {message}" in said and said.count(str(path)) == 1
    path = shop.folder / "manifest.yaml"
    assert any(f"{path} {message}" in str(finding) for finding in check_dataset("shop").findings)


def test_a_folder_without_tables_or_with_one_missing(shop: Dataset) -> None:
    (shop.folder / "db" / "tickets.parquet").unlink()
    assert "declares table 'tickets', but" in refusal(lambda: open_dataset("shop").database)
    for file in (shop.folder / "db").iterdir():
        file.unlink()
    (shop.folder / "db").rmdir()
    assert "has neither db/, nor build.py, nor a hub: entry" in refusal(lambda: open_dataset("shop").database)


@pytest.mark.parametrize(
    ("table", "column", "values", "message"),
    [
        ("order", "order", [0, 0], "primary key order.order is not unique: 0 stands in 2 rows"),
        ("order", "order", [0, None], "primary key order.order is null in 1 rows"),
        ("order", "placed at", [1, 2], "time column order.placed at is no time: its type is int64"),
        ("order", "customer", ["a", "b"], "foreign key order.customer"),
    ],
)
def test_tables_that_break_their_manifest(
    shop: Dataset, table: str, column: str, values: list[object], message: str
) -> None:
    path = shop.folder / "db" / f"{table}.parquet"
    rows = pq.read_table(path).slice(0, 2)
    pq.write_table(rows.set_column(rows.column_names.index(column), column, pa.array(values)), path)
    assert message in refusal(lambda: open_dataset("shop").database)


def test_a_missing_column(shop: Dataset) -> None:
    path = shop.folder / "db" / "order.parquet"
    pq.write_table(
        pq.read_table(path).rename_columns(["order", "placed", "customer", "channel", "amount", "gift", "worth"]), path
    )
    found = refusal(lambda: open_dataset("shop").database)
    assert "table 'order' has no column 'placed at'; did you mean 'placed'" in found


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"sql": "SELEC 1"}, "task shop/spend: its SQL does not run: Parser Error"),
        ({"sql": "SELECT * FROM orders"}, "task shop/spend: its SQL does not run: Catalog Error"),
        ({"sql": "SELECT 1 AS date"}, "task shop/spend: its SQL yields no column 'customer id'"),
        ({"sql": "SELECT timestamp AS dat, 1 AS \"customer id\", 2 AS spend FROM timestamps"}, "no column 'date'; did you"),
        ({"sql": "SELECT 1 AS date, 1 AS \"customer id\", 2 AS spend"}, "column 'date' is no time but int32"),
        ({"sql": "SELECT timestamp AS date, 'x' AS \"customer id\", 2 AS spend FROM timestamps"}, "is string, not the key of"),
        ({"sql": "SELECT timestamp AS date, 1 AS \"customer id\", NULL AS spend FROM timestamps"}, "target 'spend' is null in"),
        ({"sql": "SELECT timestamp AS date, 1 AS \"customer id\", 'many' AS spend FROM timestamps"}, "its labels are no numbers"),
        ({"sql": "SELECT * FROM read_csv('/etc/hostname')"}, "does not run: Permission Error"),
        ({"sql": "CREATE TABLE x AS SELECT 1"}, "its SQL"),
        ({"sql": "SELECT timestamp AS date, 1 AS \"customer id\", 2 AS spend FROM timestamps WHERE false"}, "split 'train' is empty"),
        ({"timedelta": "40 days"}, "its horizon 40 days 00:00:00 is longer than the 20 days 00:00:00 between"),
        ({"timedelta": "-1 days"}, "timedelta must be positive, got '-1 days'"),
        ({"timedelta": "soon"}, "manifest.yaml"),
        ({"timedelta": None}, "missing ['timedelta']"),
        ({"task_type": "regresion"}, "task_type must be one of"),
        ({"kind": "forcast"}, "kind must be one of"),
        ({"entity_table": "customers"}, "unknown table 'customers'; did you mean 'customer'"),
        ({"remove_columns": ["order"]}, "remove_columns holds [table, column] pairs, got 'order'"),
        ({"remove_columns": [["order", "chanel"]]}, "no column 'chanel' in table 'order'; did you mean 'channel'"),
        ({"num_eval_timestamps": 0}, "num_eval_timestamps must be at least 1"),
    ],
)  # fmt: skip
def test_tasks_that_cannot_be_asked(shop: Dataset, entries: dict[str, Any], message: str) -> None:
    changed(task_file(shop, "spend"), **entries)
    assert message in refusal(lambda: Stages(*open_task("shop/spend"), "frozen").examples("train"))


def test_a_binary_label_is_one_of_two(shop: Dataset) -> None:
    sql = 'SELECT timestamp AS date, 1 AS "customer id", 2 AS churn FROM timestamps'
    changed(task_file(shop, "churn"), sql=sql)
    found = refusal(lambda: Stages(*open_task("shop/churn"), "frozen").examples("train"))
    assert found == "task shop/churn: a binary label is 0 or 1, but 2.0 occurs"


def test_autocomplete_of_what_is_not_there_or_is_a_key(shop: Dataset) -> None:
    for target, message in (("gifts", "no column 'gifts'; did you mean 'gift'"), ("customer", "is a key or the time")):
        changed(task_file(shop, "gift"), target_col=target)
        assert message in refusal(lambda: Stages(*open_task("shop/gift"), "frozen").examples("train"))
    changed(task_file(shop, "gift"), entity_table="products")
    assert "needs a time column on its entity table 'products'" in refusal(lambda: open_task("shop/gift"))


def test_a_window_that_reaches_past_the_data(shop: Dataset) -> None:
    changed(shop.folder / "manifest.yaml", test_timestamp=str(pd.Timestamp(at(SIZE.days - 5))))
    found = refusal(lambda: Stages(*open_task("shop/churn"), "frozen").holdout("test"))
    assert "the test window (2021-05-06 00:00:00, 2021-05-16 00:00:00] reaches past the data" in found


def test_hosted_labels_about_nobody_or_in_no_parquet_file(shop: Dataset) -> None:
    file = shop.folder / "tasks" / "spend" / "train.parquet"
    labels = {"date": pa.array([0], pa.timestamp("ns")), "customer id": [999], "spend": [1.0]}
    pq.write_table(pa.table(labels), file)
    assert "entity 999 is not in table 'customer'" in refusal(
        lambda: Stages(*open_task("shop/spend"), "frozen").examples("train")
    )
    file.write_text("words")
    assert "is not a parquet file" in refusal(lambda: Stages(*open_task("shop/spend"), "frozen").examples("train"))


SCRIPT = "import pyarrow as pa\nVERSIONS = ({versions})\ndef build(scale=1):\n    return {{'t': pa.table({{'id': list(range(scale))}})}}\n"


def test_scripts_that_build(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    manifest = {
        "name": "made",
        "val_timestamp": "2020-01-01",
        "test_timestamp": "2021-01-01",
        "tables": {"t": {"pkey": "id"}},
    }
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    (folder / "build.py").write_text(SCRIPT.format(versions=""))
    assert len(open_dataset(f"{folder}@scale=3").database["t"]) == 3
    assert "takes no parameter 'scal'; did you mean 'scale'" in refusal(lambda: open_dataset(f"{folder}@scal=3").database)
    (folder / "build.py").write_text(SCRIPT.format(versions="'no-such-package',"))
    assert "pip install no-such-package" in refusal(lambda: open_dataset(str(folder)).database)
    (folder / "build.py").write_text("")
    assert "defines no function build" in refusal(lambda: open_dataset(str(folder)).database)


def test_a_hub_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Path:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("relbench.hf.download_dataset_dir", refuse)
    folder = tmp_path / "far"
    folder.mkdir()
    manifest = {
        "name": "far",
        "val_timestamp": "2020-01-01",
        "test_timestamp": "2021-01-01",
        "tables": {"t": {"pkey": "id"}},
    }
    (folder / "manifest.yaml").write_text(
        yaml.safe_dump(manifest | {"hub": {"address": "who/what/far", "revision": "abc"}})
    )
    found = refusal(lambda: open_dataset(str(folder)).database)
    assert "who/what/far at revision abc (no route to host)" in found
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest | {"hub": {"address": "who/what/far"}}))
    assert "hub: entry with address and revision" in refusal(lambda: open_dataset(str(folder)).database)


def test_a_dataset_from_the_hub_is_the_folder_it_sends(
    shop: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    def send(address: str, revision: str) -> Path:
        fetched.append((address, revision))
        return shop.folder

    monkeypatch.setattr("relbench.hf.download_dataset_dir", send)
    folder = tmp_path / "far"
    folder.mkdir()
    manifest = yaml.safe_load((shop.folder / "manifest.yaml").read_text())
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest | {"hub": {"address": "who/shop", "revision": "abc"}}))
    assert open_dataset(str(folder)).database.fingerprint == shop.database.fingerprint
    assert fetched == [("who/shop", "abc")]
