"""Running aggregates beside pandas' over the events before each seed, in a shared stream and in one for each seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import duckdb
import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from relbench_harness.features.dfs.formulas import FORMULAS
from relbench_harness.features.dfs.sql import Sql
from relbench_harness.features.dfs.stream import Measure, Stream

DAY = 86_400_000_000_000
GIVEN = {"v": "v0", "w": "own", "codes": "5", "unit": "86400.0"}
ORACLES: dict[str, Callable[[pd.Series], float]] = {
    "count": len,
    "sum": lambda v: v.sum(),
    "mean": lambda v: v.mean(),
    "min": lambda v: v.min(),
    "max": lambda v: v.max(),
    "median": lambda v: v.median(),
    "std": lambda v: v.std(),
    "skew": lambda v: v.skew(),
    "percent_true": lambda v: v.fillna(0).mean(),
    "num_unique": lambda v: v.nunique() if len(v) else np.nan,
    "mode": lambda v: min(v.mode(), default=np.nan),
    "entropy": lambda v: -sum(p * np.log(p) for p in v.value_counts(normalize=True, dropna=False)) if len(v) else np.nan,
    "first": lambda v: v.iloc[0] if len(v) else np.nan,
    "last": lambda v: v.iloc[-1] if len(v) else np.nan,
}


def read(
    names: Sequence[str], keys: tuple[str, ...], events: pd.DataFrame, seeds: pd.DataFrame, alone: bool
) -> pd.DataFrame:
    """(seeds, names) values in the order of (row, t)."""
    measures = [Measure(f"g{i}", FORMULAS[name], GIVEN) for i, name in enumerate(names)]
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.register("events", events)
        connection.register("seeds", seeds)
        found = connection.execute(Stream(Sql("duckdb"), keys, "events", "SELECT * FROM seeds", alone).read(measures)).df()
    assert len(found) == len(seeds)
    return (
        found.sort_values(["row", "t"], ignore_index=True).drop(columns=["row", "t"]).astype(float).set_axis(names, axis=1)
    )


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5), st.one_of(st.none(), st.integers(0, 4))), min_size=6),
    drawn=st.sets(st.tuples(st.integers(0, 2), st.integers(0, 6)), min_size=4),
)
def test_formulas_equal_pandas(rows: list[tuple[int, int, int | None]], drawn: set[tuple[int, int]]) -> None:
    events = pd.DataFrame(rows, columns=["k", "t", "v0"]).astype({"v0": float})
    events = events.assign(t=events["t"] * DAY, own=events["t"] * DAY, o=range(len(events)), one=1)
    seeds = pd.DataFrame(sorted(drawn), columns=["seed_row", "seed_t"])
    seeds["seed_t"] *= DAY
    before = seeds.merge(events, left_on="seed_row", right_on="k")
    before = before[before["t"] < before["seed_t"]].sort_values(["seed_row", "seed_t", "t", "o"])
    by_seed = {key: group["v0"] for key, group in before.groupby(["seed_row", "seed_t"])}
    none = pd.Series([], dtype=float)
    expected = pd.DataFrame(
        [
            {name: float(of(by_seed.get(seed, none))) for name, of in ORACLES.items()}
            for seed in seeds.itertuples(index=False, name=None)
        ]
    )
    shared = read(list(ORACLES), ("k",), _nulls(events), seeds.assign(k=seeds["seed_row"], t=seeds["seed_t"]), alone=False)
    pd.testing.assert_frame_equal(shared, expected, rtol=1e-9, atol=1e-9)

    own = before.assign(kt=before["seed_t"], t=0).drop(columns=["seed_row", "seed_t"])
    seeds = seeds.assign(k=seeds["seed_row"], kt=seeds["seed_t"], t=1)
    plain = [name for name in ORACLES if name not in ("median", "first", "last")]
    alone = read(plain, ("k", "kt"), _nulls(own), seeds, alone=True)
    pd.testing.assert_frame_equal(alone, expected[plain], rtol=1e-9, atol=1e-9)


def _nulls(events: pd.DataFrame) -> pd.DataFrame:
    """With NULL for a missing value, where DuckDB would read NaN."""
    return events.assign(v0=events["v0"].astype("Float64"))
