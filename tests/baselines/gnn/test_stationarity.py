"""Drift: clocks, newcomers and seasons that were met once are found among the columns, and what merely varies is kept."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from relbench_harness.baselines.gnn.preprocessor import Preprocessor, Sampling
from shop import DAY, made_shop

from relbench_harness.data.task import TaskType
from relbench_harness.graph.number_encoders import Calendar
from relbench_harness.temporal.stationarity import is_stationary


def test_clocks_and_newcomers_drift_and_noise_does_not() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(1000)
    late = times >= 900
    values = np.stack(
        [
            times.astype(float),  # a clock
            rng.normal(size=1000),  # noise
            np.where(late, rng.normal(size=1000), np.nan),  # measured since lately
            np.where(times % 10 == 0, np.nan, np.sin(times)),  # a season, now and then missing
            np.full(1000, 3.0),  # always the same
            np.full(1000, np.nan),  # never there
        ],
        axis=1,
    )
    assert is_stationary(values, times).tolist() == [False, True, False, True, True, True]


def test_few_rows_say_nothing() -> None:
    assert is_stationary(np.arange(20.0)[:, None], np.arange(20)).tolist() == [True]
    assert is_stationary(np.zeros((0, 2)), np.zeros(0, np.int64)).tolist() == [True, True]


@pytest.mark.parametrize("kind", TaskType)
def test_a_season_that_did_not_return_is_read_for_amounts_and_items_alone(kind: TaskType) -> None:
    examples = made_shop().examples(kind, range(60, 180, 10))
    fitted, _ = Preprocessor.fit(examples, examples, Sampling((4, 2), 2, "recent"), ())
    read = {
        name
        for table, layout in fitted.encoders.layouts.items()
        for name, kept in zip(layout.names("numbers"), fitted.schema.used[table], strict=True)
        if kept
    }
    # orders span 300 days, examples 110, birthdays 65 years
    assert {"placed at.week.sin", "born.year.sin"} <= read
    seasonal = kind in (TaskType.REGRESSION, TaskType.RECOMMENDATION)
    assert ("placed at.year.sin" in read) is seasonal
    assert fitted.plan is not None
    assert len(fitted.plan.cycles) == 2 + seasonal


def test_a_time_of_day_always_returns_and_a_date_after_so_many_rounds() -> None:
    hours = pa.chunked_array([pa.array([0, 3600, 7200], pa.time32("s"))])
    clock = Calendar.fit("x", hours)
    assert clock is not None
    assert clock.returns(hours.combine_chunks(), 2).all()
    for days, returned in ((700, {"week", "day"}), (740, {"year", "week", "day"}), (3, {"day"})):
        moments = pa.chunked_array([pa.array(np.linspace(0, days * DAY, 50).astype(np.int64)).cast(pa.timestamp("ns"))])
        calendar = Calendar("x", ("year", "week", "day"))
        found = calendar.returns(moments.combine_chunks(), 2)
        assert {name.split(".")[1] for name, back in zip(calendar.names, found, strict=True) if back} == returned
    nothing = pa.array([None, None], pa.timestamp("ns"))
    assert not Calendar("x", ("year",)).returns(nothing, 2).any()
