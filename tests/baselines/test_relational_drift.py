"""Drift: clocks and newcomers among the columns are found, and what merely varies is kept."""

from __future__ import annotations

import numpy as np
from relbench_harness.baselines.drift import steady


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
    assert steady(values, times).tolist() == [False, True, False, True, True, True]


def test_few_rows_say_nothing() -> None:
    assert steady(np.arange(20.0)[:, None], np.arange(20)).tolist() == [True]
    assert steady(np.zeros((0, 2)), np.zeros(0, np.int64)).tolist() == [True, True]
