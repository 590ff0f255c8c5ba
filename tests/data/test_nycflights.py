"""rel-nycflights: what stands where in time, and labels as RelBench makes them of the same tables."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import relbench

from relbench_harness.data.dataset import Dataset, open_dataset
from relbench_harness.data.labels import SPLITS
from relbench_harness.home import home

MINUTE = 60 * 10**9


@pytest.fixture(scope="module")
def flights() -> Dataset:
    return open_dataset(str(home("datasets") / "rel-nycflights"))


def column(dataset: Dataset, table: str, name: str) -> np.ndarray:  # type: ignore[type-arg]
    return np.asarray(dataset.database[table].rows.column(name).to_numpy())


def test_rows(flights: Dataset) -> None:
    sizes = {name: len(table) for name, table in flights.database.items()}
    assert sizes == {
        "airlines": 16,
        "airports": 107,
        "planes": 4043,
        "weather": 26115,
        "flights": 336776,
        "departures": 328521,
        "arrivals": 328063,
    }
    assert all(table.dropped == 0 for table in flights.database.values())


def test_a_flight_says_only_what_its_schedule_says(flights: Dataset) -> None:
    rows = flights.database["flights"].rows
    assert not {"dep_time", "arr_time", "dep_delay", "arr_delay", "air_time"} & set(rows.column_names)
    assert set(flights.database["flights"].attributes) == {
        "number", "distance", "departure_clock", "arrival_clock", "minutes_planned",
    }  # fmt: skip


def test_delays_stand_at_the_moment_they_happen(flights: Dataset) -> None:
    scheduled = flights.database["flights"].times
    departures, arrivals = flights.database["departures"], flights.database["arrivals"]
    assert scheduled is not None and departures.times is not None and arrivals.times is not None
    late = column(flights, "departures", "delay") * MINUTE
    assert (departures.times - scheduled[departures.parents("flight")] == late).all()
    planned = scheduled + column(flights, "flights", "minutes_planned") * MINUTE
    delay = column(flights, "arrivals", "delay")
    known = ~np.isnan(delay)
    assert known.sum() == 327346
    assert (arrivals.times - planned[arrivals.parents("flight")] == delay * MINUTE)[known].all()


def test_taxi_times_are_those_of_aeroplanes(flights: Dataset) -> None:
    """A wrong time zone or a day too many would show as hours between time in the air and gate to gate."""
    left = np.full(len(flights.database["flights"]), np.iinfo(np.int64).min)
    departures, arrivals = flights.database["departures"], flights.database["arrivals"]
    assert departures.times is not None and arrivals.times is not None
    left[departures.parents("flight")] = departures.times
    taxi = (arrivals.times - left[arrivals.parents("flight")]) / MINUTE - column(flights, "arrivals", "air_time")
    assert np.nanmin(taxi) > 0 and np.nanmax(taxi) < 240


def test_every_flight_knows_its_airports_and_cancelled_ones_stay_on_the_ground(flights: Dataset) -> None:
    table = flights.database["flights"]
    assert (table.parents("origin") >= 0).all() and (table.parents("destination") >= 0).all()
    assert (table.parents("plane") < 0).sum() == 2512
    flew = np.zeros(len(table), dtype=bool)
    flew[flights.database["departures"].parents("flight")] = True
    assert (~flew).sum() == 8255
    assert flew[flights.database["arrivals"].parents("flight")].all()


@pytest.mark.parametrize("task", ["plane-delay", "plane-churn", "plane-airport"])
def test_every_split_has_rows_enough(flights: Dataset, task: str) -> None:
    for split in SPLITS:
        assert len(flights.labels(flights.task(task), split)) > 2000


@pytest.mark.slow
def test_relbench_reads_the_manifests_and_makes_the_same_labels(flights: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "rel-nycflights"
    shutil.copytree(flights.folder, folder, ignore=shutil.ignore_patterns("build.py", "__pycache__"))
    (folder / "db").mkdir()
    for name, table in flights.database.items():
        pq.write_table(table.rows, folder / "db" / f"{name}.parquet")
    theirs = relbench.load_dataset(folder)
    for name in flights.task_names:
        task = theirs.load_task(name)
        for split in SPLITS:
            expected = task.get_table(split, mask_input_cols=False).df.reset_index(drop=True)
            ours = flights.labels(flights.task(name), split).frame(flights.task(name))
            expected = expected[ours.columns]
            if name == "plane-airport":
                ours["airport"], expected["airport"] = ours["airport"].map(list), expected["airport"].map(list)
            pd.testing.assert_frame_equal(ours, expected, check_dtype=False)
