"""Backtests: a dataset whose cut points are moved back in time, for choices made inside training.

`rel-f1@backtest=1` asks at the validation timestamp what `rel-f1` asks at the test timestamp: training and early stopping lie
before it, and the test split of the backtest is the validation split of the dataset. `backtest=2` lies one span earlier still.

Invariant: rows after the labels of a backtest's test split are gone, so no choice made by backtests has seen the dataset's test.
"""

from __future__ import annotations

import pandas as pd

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


def in_a_row(cuts: Cuts, step: pd.Timedelta, number: int, through_test: bool) -> list[Cuts]:
    """The cut points of `number` origins that lie `step` apart, the earliest first.

    At each origin validation is the `step` before it and the test split at most the `step` after it, so no example is answered
    at two origins. The test split of the last ends where that of `cuts` begins, or begins there where `through_test` is set.
    """
    last = cuts.test if through_test else cuts.test - step
    tests = [last - back * step for back in range(number - 1, -1, -1)]
    return [Cuts(test - step, test) for test in tests]


def known_to(database: Database, cuts: Cuts) -> Database:
    """The rows that the labels of a backtest with the moved `cuts` are made of, and all before them."""
    return through(database, labels_end(cuts))


def labels_end(cuts: Cuts) -> pd.Timestamp:
    """The instant after which no row is left: the labels of the test split end by then."""
    return cuts.test + (cuts.test - cuts.val)


def without_backtest(address: str) -> str:
    """The address of the dataset that a backtest is one of."""
    name, at, rest = address.partition("@")
    kept = [part for part in rest.split(",") if part.partition("=")[0] != PARAMETER]
    return name + (at + ",".join(kept) if any(kept) else "")


def with_backtest(address: str, spans: int) -> str:
    """The address of the dataset at `address` with its cut points moved back by `spans`; the inverse of `without_backtest`."""
    return f"{address}{',' if '@' in address else '@'}{PARAMETER}={spans}"
