"""Where to cut time into train, validation and test, proposed from how the rows lie in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from relbench_harness.authoring.column_profile import Workbench
from relbench_harness.authoring.identifiers import quoted
from relbench_harness.errors import InputError

TRAINING = 0.70
"""The least share of rows before the validation timestamp."""


WINDOWS = 3
"""The least number of label windows that training needs."""


@dataclass(frozen=True)
class CutPoints:
    """Proposed timestamps; `before` is the share of rows before `val`, `horizon` the longest label window that fits."""

    val: pd.Timestamp
    test: pd.Timestamp
    before: float
    horizon: pd.Timedelta

    @property
    def evidence(self) -> str:
        return f"{self.before:.1%} of the rows with a time lie before; label windows of up to {self.horizon} fit"


def propose_cuts(times: Mapping[str, str], bench: Workbench) -> CutPoints:
    """Cut points after three quarters of all rows, the rest of time shared between validation and test.

    Args:
        times: The time column of each table that has one.
    """
    if not times:
        raise InputError("no table has a column that is surely its time, so nothing can be split by time")
    union = " UNION ALL ".join(f"SELECT {quoted(c)} AS t FROM {quoted(n)}" for n, c in times.items())
    total, last, first = bench.row(f"SELECT count(t), epoch_ns(max(t)), epoch_ns(min(t)) FROM ({union})")
    if not total or first == last:
        raise InputError("the time columns hold fewer than two different times, so nothing can be split by time")
    for share in (0.75, 0.72, TRAINING):
        for unit in ("D", "h", "s", "ns"):
            at = bench.number(f"SELECT epoch_ns(quantile_disc(t, {share})) FROM ({union})")
            val = pd.Timestamp(at + 1).ceil(unit)
            begun, end = _main_span(times, bench)
            # where the table with the most rows ends before, the others say how long the data go on
            end = end if end > val else pd.Timestamp(last)  # type: ignore[arg-type]
            test = (val + (end - val) / 2).floor(unit)
            before = bench.number(f"SELECT count(*) FROM ({union}) WHERE epoch_ns(t) < {val.value}") / int(total)  # type: ignore[call-overload]
            if before >= TRAINING and val < test < end:
                return CutPoints(val, test, before, _longest(val, test, begun, end))
    raise InputError("the rows lie so in time that no cut leaves 70 % of them before it")


def longest_window(val: pd.Timestamp, test: pd.Timestamp, times: Mapping[str, str], bench: Workbench) -> pd.Timedelta:
    """The longest label window of which one fits into validation, one into test and enough into training."""
    begun, end = _main_span(times, bench)
    return max(_longest(val, test, begun, end), pd.Timedelta(0))


def _longest(val: pd.Timestamp, test: pd.Timestamp, begun: pd.Timestamp, end: pd.Timestamp) -> pd.Timedelta:
    whole = min(test - val, end - test, (val - begun) / WINDOWS)
    return whole.floor("D") if whole >= pd.Timedelta(days=1) else whole.floor("s")


def _main_span(times: Mapping[str, str], bench: Workbench) -> tuple[pd.Timestamp, pd.Timestamp]:
    """First and last time of the table with the most rows: labels are most likely made of it. A few rows of another table may
    lie far outside (customers that were all entered on one day)."""
    found = []
    for name, column in times.items():
        time = quoted(column)
        rows, first, last = bench.row(
            f"SELECT count({time}), epoch_ns(min({time})), epoch_ns(max({time})) FROM {quoted(name)}"
        )
        if first is not None:
            found.append((int(rows), int(first), int(last)))  # type: ignore[call-overload]
    _, first, last = max(found, key=lambda one: (one[0], one[2] - one[1]))
    return pd.Timestamp(first), pd.Timestamp(last)
