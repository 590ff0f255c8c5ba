"""Backtests: a dataset whose cut points are moved back in time, for choices made inside training.

`rel-f1@backtest=1` asks at the validation timestamp what `rel-f1` asks at the test timestamp: training and early stopping lie
before it, and the test split of the backtest is the validation split of the dataset. `backtest=2` lies one span earlier still.

Invariant: rows after the labels of a backtest's test split are gone, so no choice made by backtests has seen the dataset's test.
"""

from __future__ import annotations

from relbench_harness.data.database import Database
from relbench_harness.data.labels import Cuts, through
from relbench_harness.errors import InputError

PARAMETER = "backtest"


def backtest_of(value: object) -> int:
    """The number of spans that `value` names."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"backtest is {value!r}; it is how often the cut points are moved back, a whole number from 1")
    return value


def moved_back(cuts: Cuts, spans: int) -> Cuts:
    """`cuts` moved back by so many times the span between them."""
    back = spans * (cuts.test - cuts.val)
    return Cuts(cuts.val - back, cuts.test - back)


def known_to(database: Database, cuts: Cuts) -> Database:
    """The rows that the labels of a backtest with the moved `cuts` are made of, and all before them."""
    return through(database, cuts.test + (cuts.test - cuts.val))


def without_backtest(address: str) -> str:
    """The address of the dataset that a backtest is one of."""
    name, at, rest = address.partition("@")
    kept = [part for part in rest.split(",") if part.partition("=")[0] != PARAMETER]
    return name + (at + ",".join(kept) if any(kept) else "")
