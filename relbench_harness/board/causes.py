"""Which kinds of signal a method finds: its share of the way to the ceiling in worlds with one cause at a time."""

from __future__ import annotations

import pandas as pd

from relbench_harness.data.names import parse_address
from relbench_harness.errors import InputError

PARAMETER = "causes"
CHANCE = "chance (sd)"


def by_cause(board: pd.DataFrame) -> pd.DataFrame:
    """Method × causes → share of the way from constant to optimal, of a board that `with_ceilings` made.

    Columns are the values of the dataset's parameter `causes`, in the order of the board; a cause that was run on several
    tasks, in several regimes or at several scales gives the mean. Tasks without that parameter are left out. The last row,
    `CHANCE`, says how far labels drawn anew would move the true answers: by less than that methods do not differ.
    """
    if "way" not in board:
        return pd.DataFrame()
    causes = board["task"].map(cause_of)
    known = board[causes.notna() & board["way"].notna()].assign(cause=causes)
    if known["cause"].nunique() < 2:
        return pd.DataFrame()
    known["chance"] = known["stated_sd"] / (known["optimal"] - known["constant"]).abs()
    table = known.pivot_table(index="method", columns="cause", values="way", aggfunc="mean", sort=False).sort_index()
    table.loc[CHANCE] = known.groupby("cause")["chance"].mean()
    return table


def cause_of(task: str) -> str | None:
    """The parameter `causes` in a task's address."""
    try:
        _, parameters = parse_address(task.rpartition("/")[0])
    except InputError:
        return None
    return str(parameters[PARAMETER]) if PARAMETER in parameters else None
