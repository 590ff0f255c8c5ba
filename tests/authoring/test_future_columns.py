"""Columns that know the future are found: totals over all time, on tables that are visible from the start."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from tournaments import cup

from relbench_harness.authoring.check import check_dataset


@pytest.mark.parametrize("timed_entity", [False, True])
def test_totals_over_all_time_are_found_and_honest_columns_are_not(tmp_path: Path, timed_entity: bool) -> None:
    report = check_dataset(str(cup(tmp_path / "cup", timed_entity)))
    found = {f.where: f for f in report.findings if f.kind == "future-column"}
    assert set(found) == {"players.count_tournaments", "players.list_tournaments", "players.total_goals"}
    assert found["players.count_tournaments"].number == pytest.approx(1.0)
    assert "AUROC 1.000" in found["players.count_tournaments"].what
    assert found["players.count_tournaments"].level == "leak"


def customers(folder: Path, seed: int) -> Path:
    """Customers without a time who come and go, with columns of many shapes, some of which the export day wrote."""
    rng = np.random.default_rng(seed)
    count, start = 800, pd.Timestamp("2020-01-01")
    came, rate = rng.integers(0, 900, count), rng.gamma(2, 0.02, count)
    left = np.minimum(came + rng.exponential(500, count), 1000)
    each = [rng.uniform(a, b, rng.poisson(r * (b - a))) for a, b, r in zip(came, left, rate, strict=True)]
    orders = pd.DataFrame({"who": np.repeat(np.arange(count), [len(days) for days in each])})
    orders["at"] = (start + pd.to_timedelta(np.concatenate(each), "D")).floor("s")
    last = pd.Series(range(count)).map(orders.groupby("who")["at"].max())
    val, day = start + pd.Timedelta(days=700), pd.Timedelta(days=1)
    active = last >= val
    frame = pd.DataFrame({"who": range(count), "last_order": last, "last_year": last.dt.year, "is_active": active})
    frame["state"] = np.where(active, rng.choice(["gold", "silver"], count), "gone")
    frame["deleted_on"] = pd.Series(start + pd.to_timedelta(np.ceil(left), "D")).dt.strftime("%Y-%m-%d").where(~active)
    frame["age"], frame["size"], frame["plan"] = (
        rng.integers(18, 80, count),
        rng.normal(size=count),
        rng.choice([*"abc"], count),
    )
    frame["premium"], frame["signup"] = rng.random(count) < rate / rate.max(), start + pd.to_timedelta(came, "D")
    # a birthday lies before the cut, however well it tells
    frame["born"] = pd.Timestamp("1990-01-01") + pd.to_timedelta(
        np.where(active, 9000, 0) + rng.integers(0, 3000, count), "D"
    )
    frame["mail"] = pd.Series(rng.choice(["x", "y"], count)).where(rng.random(count) < 0.7)
    # more digits than a float has
    frame["phone"] = 2**60 + rng.integers(0, 10**9, count)
    (folder / "db").mkdir(parents=True)
    frame.to_parquet(folder / "db" / "customers.parquet")
    orders.sort_values("at", kind="stable").to_parquet(folder / "db" / "orders.parquet")
    tables = {
        "customers": {"pkey": "who", "time_col": None, "fkeys": {}},
        "orders": {"pkey": None, "time_col": "at", "fkeys": {"who": "customers"}},
    }
    said = {"name": "shop", "val_timestamp": str(val), "test_timestamp": str(val + 150 * day), "tables": tables}
    (folder / "manifest.yaml").write_text(yaml.safe_dump(said))
    return folder


@pytest.mark.parametrize("seed", range(3))
def test_last_dates_flags_states_and_dates_of_those_who_left_are_found(tmp_path: Path, seed: int) -> None:
    report = check_dataset(str(customers(tmp_path / "shop", seed)))
    found = {f.where: f.what for f in report.findings if f.kind == "future-column"}
    names = ("last_order", "last_year", "is_active", "state", "deleted_on")
    assert set(found) == {f"customers.{name}" for name in names}
    assert "its value 'gone' tells" in found["customers.state"]
    assert "whether it is missing tells" in found["customers.deleted_on"]
