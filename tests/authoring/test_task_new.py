"""`task new`: labels that mean what the query says, from where its rows begin; splits that say nothing are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from relbench_harness.authoring.check import check_dataset
from relbench_harness.authoring.new_task import new_task
from relbench_harness.cli import main
from relbench_harness.data.dataset import open_dataset, open_task
from relbench_harness.errors import InputError
from relbench_harness.protocol.stages import Stages

FIRST = pd.Timestamp("2020-01-01")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Employees hired from 2012 on; orders from 2020, ever more of them; nine customers, one of whom never buys."""
    folder = tmp_path / "shop"
    (folder / "db").mkdir(parents=True)
    rng = np.random.default_rng(0)
    days = np.sort((720 * rng.random(900) ** 0.5).astype(int))
    orders = pd.DataFrame(
        {
            "id": range(900),
            "at": (FIRST + pd.to_timedelta(days, "D")).astype("datetime64[ns]"),
            "customer": rng.integers(0, 8, 900),
            "amount": rng.integers(1, 50, 900).astype(float),
            "status": rng.choice(["paid", "open"], 900),
        }
    )
    hired = pd.date_range("2012-01-01", "2019-06-01", periods=6).astype("datetime64[ns]")
    tables = {
        "customers": pd.DataFrame({"id": range(9), "city": list("ababababa")}),
        "employees": pd.DataFrame({"id": range(6), "hired": hired}),
        "orders": orders,
    }
    for name, frame in tables.items():
        frame.to_parquet(folder / "db" / f"{name}.parquet")
    manifest = {
        "name": "shop",
        "val_timestamp": "2021-09-01",
        "test_timestamp": "2021-10-15",
        "tables": {
            "customers": {"pkey": "id", "time_col": None, "fkeys": {}},
            "employees": {"pkey": "id", "time_col": "hired", "fkeys": {}},
            "orders": {"pkey": "id", "time_col": "at", "fkeys": {"customer": "customers"}},
        },
    }
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    return folder


def written(shop: Path, query: str, name: str = "task", eval_timestamps: int = 1) -> list[str]:
    return list(new_task(f"{shop}/{name}", query, eval_timestamps))


def test_labels_that_come_late(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = "PREDICT COUNT(orders.*, 0, 10, days) FOR EACH customers.id"
    assert main(["task", "new", f"{shop}/late", query, "--label-delay", "20 days"]) == 0
    _, task = open_task(f"{shop}/late")
    assert task.label_delay == pd.Timedelta(days=20)
    # the timestamps lie 44 days apart, so that no label of validation would be known at the test timestamp
    for delay, said in (
        ("40 days", "is known before"),
        ("soon", "label_delay is a span of time, such as '30 days', got 'soon'"),
    ):
        assert main(["task", "new", f"{shop}/later", query, "--label-delay", delay]) == 2
        assert said in capsys.readouterr().err
    assert not (shop / "tasks" / "later").exists()


def test_training_begins_with_the_rows_that_labels_are_made_of(shop: Path) -> None:
    said = written(shop, "PREDICT COUNT(orders.*, 0, 30, days) FOR EACH customers.id")
    dataset, task = open_task(f"{shop}/task")
    times = pd.to_datetime(np.unique(dataset.labels(task, "train").time))
    assert FIRST <= times[0] < FIRST + pd.Timedelta(days=30)
    assert dataset.database.span[0] == pd.Timestamp("2012-01-01").value
    # orders come ever more often, and nothing of it is hidden
    (note,) = (line for line in said if line.startswith("note: ") and "split test" in line)
    train, test = (np.asarray(dataset.labels(task, s).target, float).mean() for s in ("train", "test"))  # type: ignore[arg-type]
    assert f"{train:.4g} in training and {test:.4g} in split test" in note
    (summary,) = check_dataset(str(shop)).tasks
    assert any(note.removeprefix("note: ") == shift for shift in summary.shifts)


def test_a_hand_written_task_keeps_every_window_that_reaches_its_rows(shop: Path) -> None:
    written(shop, "PREDICT COUNT(orders.*, 0, 30, days) FOR EACH customers.id")
    path = shop / "tasks" / "task" / "manifest.yaml"
    task = yaml.safe_load(path.read_text())
    del task["query"]
    path.write_text(yaml.safe_dump(task))
    dataset, opened = open_task(f"{shop}/task")
    first = pd.Timestamp(int(dataset.labels(opened, "train").time.min()))
    assert FIRST - pd.Timedelta(days=30) <= first < FIRST


def test_ratios_over_nobody_are_not_asked(shop: Path) -> None:
    query = "PREDICT SUM(orders.amount, 0, 30, days) / COUNT(orders.*, 0, 30, days) FOR EACH customers.id"
    written(shop, query)
    dataset, task = open_task(f"{shop}/task")
    orders = pd.read_parquet(shop / "db" / "orders.parquet")
    for split in ("train", "val", "test"):
        labels = dataset.labels(task, split)  # type: ignore[arg-type]
        assert 8 not in labels.entity
        for who, time, value in zip(labels.entity, pd.to_datetime(labels.time), labels.target.to_pylist(), strict=True):
            mine = orders[(orders.customer == who) & (orders["at"] > time) & (orders["at"] <= time + pd.Timedelta(days=30))]
            assert value == pytest.approx(mine.amount.mean())
    # a comparison with a ratio over nobody is no answer either
    written(shop, query.replace(" FOR", " > 20 FOR"), "dear")
    dataset, task = open_task(f"{shop}/dear")
    assert 8 not in dataset.labels(task, "train").entity


@pytest.mark.parametrize("value", ["CAST('NaN' AS DOUBLE)", "CAST('Infinity' AS DOUBLE)"])
def test_labels_that_are_no_numbers_are_a_fault_of_the_data(shop: Path, value: str) -> None:
    sql = f"SELECT s.timestamp AS t, c.id, {value} AS y FROM timestamps s CROSS JOIN customers c, orders o GROUP BY ALL"
    task = {"name": "odd", "kind": "forecast", "task_type": "regression", "entity_table": "customers", "entity_col": "id",
            "target_col": "y", "time_col": "t", "timedelta": "30 days", "sql": sql}  # fmt: skip
    (shop / "tasks" / "odd").mkdir(parents=True)
    (shop / "tasks" / "odd" / "manifest.yaml").write_text(yaml.safe_dump(task))
    found = [f for f in check_dataset(str(shop)).findings if f.kind == "sql"]
    assert found and all("target 'y' is NaN or infinite in" in f.what for f in found)
    with pytest.raises(InputError, match="target 'y' is NaN or infinite"):
        Stages(*open_task(f"{shop}/odd"), "frozen").labels("train")


def test_an_infinite_value_of_the_column_to_fill_in_is_a_fault_of_the_data(shop: Path) -> None:
    orders = pd.read_parquet(shop / "db" / "orders.parquet")
    orders.loc[7, "amount"] = np.inf
    orders.to_parquet(shop / "db" / "orders.parquet")
    with pytest.raises(InputError, match=r"orders\.amount: target 'amount' is NaN or infinite in 1 of"):
        written(shop, "PREDICT orders.amount FOR EACH orders.id")


def test_a_flag_has_a_mean_and_labels_may_have_more_digits_than_a_float(shop: Path) -> None:
    orders = pd.read_parquet(shop / "db" / "orders.parquet")
    orders["paid"], orders["big"] = orders["status"] == "paid", 2**60 + orders["id"]
    orders.to_parquet(shop / "db" / "orders.parquet")
    written(shop, "PREDICT AVG(orders.paid, 0, 30, days) FOR EACH customers.id", "share")
    dataset, task = open_task(f"{shop}/share")
    labels = dataset.labels(task, "val")
    time = pd.Timestamp(int(labels.time[0]))
    mine = orders[
        (orders["customer"] == labels.entity[0]) & (orders["at"] > time) & (orders["at"] <= time + pd.Timedelta(days=30))
    ]
    assert labels.target[0].as_py() == pytest.approx(mine["paid"].mean())
    assert any(
        "train: " in line for line in written(shop, "PREDICT LAST(orders.big, 0, 30, days) FOR EACH customers.id", "big")
    )
    assert Stages(*open_task(f"{shop}/big"), "frozen").examples("train").values.min() >= 2.0**60
    assert not [f for f in check_dataset(str(shop)).findings if f.level == "error"]


@pytest.mark.parametrize("keyed", [True, False])
def test_first_and_last_at_equal_times_follow_canonical_order(shop: Path, keyed: bool) -> None:
    at = pd.to_datetime(["2020-01-05"] * 3 + ["2021-09-05"] * 3 + ["2021-11-20"] * 3).astype("datetime64[ns]")
    visits = pd.DataFrame({"at": at, "customer": 0, "v": [0, 1, 2, 3, 4, 5, 6, 7, 8]})
    if keyed:
        visits["id"] = range(9)
    visits.to_parquet(shop / "db" / "visits.parquet")
    manifest = yaml.safe_load((shop / "manifest.yaml").read_text())
    manifest["tables"]["visits"] = {"pkey": "id" if keyed else None, "time_col": "at", "fkeys": {"customer": "customers"}}
    (shop / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    from relbench_harness.authoring.task_from_query import task_manifest
    from relbench_harness.data.query import run_sql

    dataset = open_dataset(str(shop))
    columns = {n: {f.name: f.type for f in t.rows.schema} for n, t in dataset.database.items()}
    for function, values in (("FIRST", [0, 3, 6]), ("LAST", [2, 5, 8])):
        made = task_manifest(
            "t", f"PREDICT {function}(visits.v, 0, 10, days) FOR EACH customers.id", dataset.manifest.tables, columns
        )
        stamps = pd.to_datetime(["2020-01-01", "2021-09-01", "2021-11-15"]).astype("datetime64[ns]")
        tables = {n: t.rows for n, t in dataset.database.items()} | {"timestamps": _arrow(stamps)}
        rows = run_sql(made["sql"].replace("{timedelta}", "10 days"), tables, "test", threads=1)
        assert rows.sort_by("timestamp")["t"].to_pylist() == values


def _arrow(stamps: pd.DatetimeIndex) -> object:
    import pyarrow as pa

    return pa.table({"timestamp": pa.array(stamps)})


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (
            "PREDICT SUM(orders.amount WHERE orders.status = 'Paid', 0, 30, days) FOR EACH customers.id",
            "labels of split 'train' are 0.0: without the condition orders.status = 'Paid' inside SUM they would differ",
        ),
        (
            "PREDICT COUNT(orders.*, 0, 30, days) FOR EACH customers.id WHERE customers.city = 'c'",
            "split 'train' is empty: without the condition customers.city = 'c' they would differ",
        ),
        (
            "PREDICT COUNT(orders.*, 0, 30, days) FOR EACH customers.id "
            "WHERE COUNT(orders.*, -10, 0, days) > 500 AND customers.city = 'a'",
            "without the condition COUNT(orders.*, -10, 0, days) > 500 they would differ",
        ),
        (
            "PREDICT COUNT(orders.*, 0, 30, days) >= 0 FOR EACH customers.id",
            "labels of split 'train' are 1: no condition of the query alone is the reason",
        ),
        (
            "PREDICT SUM(orders.amount, 0, 30, days) < 0 FOR EACH customers.id",
            "are 0: no condition of the query alone is the reason; SUM(orders.amount, 0, 30, days) lies between 0 and ",
        ),
        (
            "PREDICT LAST(orders.status WHERE orders.amount > 0, 0, 30, days) FOR EACH customers.id WHERE customers.city = 'd'",
            "split 'train' is empty: without the condition customers.city = 'd' they would differ",
        ),
        (
            "PREDICT LIST_DISTINCT(orders.customer WHERE orders.status = 'Paid', 0, 30, days) RANK TOP 3 FOR EACH customers.id",
            "split 'train' is empty: without the condition orders.status = 'Paid' inside LIST_DISTINCT there would be some",
        ),
        (
            "PREDICT LIST_DISTINCT(orders.customer, 0, 30, days) RANK TOP 3 FOR EACH customers.id WHERE customers.city = 'c'",
            "split 'train' is empty: without the condition customers.city = 'c' there would be some",
        ),
    ],
)
def test_a_split_that_says_nothing_is_refused_with_the_reason(shop: Path, query: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        written(shop, query)
    assert says in str(caught.value)
    assert not (shop / "tasks" / "task" / "manifest.yaml").exists()


def test_a_table_without_rows_in_the_window_is_named(shop: Path) -> None:
    orders = pd.read_parquet(shop / "db" / "orders.parquet")
    late = orders[(orders["at"] <= "2021-09-01") | (orders["at"] > "2021-10-15")]
    late.to_parquet(shop / "db" / "orders.parquet")
    manifest = yaml.safe_load((shop / "manifest.yaml").read_text())
    manifest["tables"]["orders"]["pkey"] = None
    (shop / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    with pytest.raises(InputError, match=r"split 'val' are 0: no row of 'orders' lies in \(2021-09-01"):
        written(shop, "PREDICT COUNT(orders.*, 0, 30, days) FOR EACH customers.id")


@pytest.mark.parametrize(
    "query",
    [
        "PREDICT orders.amount FOR EACH orders.id",
        "PREDICT LIST_DISTINCT(orders.customer, 0, 30, days) RANK TOP 2 FOR EACH customers.id",
    ],
)
def test_evaluation_times_are_kept_or_refused(shop: Path, query: str) -> None:
    with pytest.raises(InputError, match="--eval-timestamps 3 does not go with this query"):
        written(shop, query, eval_timestamps=3)
    written(shop, "PREDICT COUNT(orders.*, 0, 10, days) FOR EACH customers.id", eval_timestamps=3)
    dataset, task = open_task(f"{shop}/task")
    assert [len(np.unique(dataset.labels(task, split).time)) for split in ("val", "test")] == [3, 3]  # type: ignore[arg-type]


def test_a_window_that_fits_between_the_cuts_is_accepted_whenever_the_last_row_lies(shop: Path) -> None:
    orders = pd.read_parquet(shop / "db" / "orders.parquet")
    # nothing in the last ten days before the test timestamp
    kept = orders[(orders["at"] <= "2021-10-05") | (orders["at"] > "2021-10-15")].reset_index(drop=True)
    kept["id"] = range(len(kept))
    kept.to_parquet(shop / "db" / "orders.parquet")
    said = written(shop, "PREDICT COUNT(orders.*, 0, 44, days) FOR EACH customers.id")
    assert any(line.startswith("val: 9 examples") for line in said)
