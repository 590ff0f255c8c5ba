"""Whom a task is about at a time at which no label is known, and which time the present is.

Invariant: who it is rests on rows older than that time alone, so it is the same today and when today is long past.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.labels import label_sql, timestamps_relation
from relbench_harness.data.query import CutQueries
from relbench_harness.data.task import Kind, Task
from relbench_harness.errors import InputError, nearest

NOW = "now"
"""The word for the present."""


def time_named(at: str | pd.Timestamp, database: Database) -> pd.Timestamp:
    """The time that `at` names, in UTC; `now` is the present of `database`.

    Raises:
        InputError: It is no time.
    """
    if at == NOW:
        return present(database, pd.Timestamp.now(tz="UTC").tz_localize(None))
    try:
        found = pd.Timestamp(at)
    except (ValueError, TypeError):
        raise InputError(f"{at!r} is neither a time, such as 2026-01-31, nor now") from None
    if pd.isna(found):
        raise InputError("the time to predict at is missing")
    return found if found.tz is None else found.tz_convert("UTC").tz_localize(None)


def present(database: Database, clock: pd.Timestamp) -> pd.Timestamp:
    """The first full second after the latest row, and no later than `clock`: rows that are dated ahead have not come yet."""
    return min(pd.Timestamp(database.span[1] + 1).ceil("s"), clock)


def complete_until(database: Database) -> pd.Timestamp:
    """The time of the latest row."""
    return pd.Timestamp(database.span[1])


class Population(NamedTuple):
    """Whom examples are about.

    Attributes:
        entity: (n,) ascending row numbers.
        time: (n,) nanoseconds, the time of each example.
        is_stand_in: Whether these are all entities since the task's SQL names none of them before its later rows are there.
    """

    entity: NDArray[np.int64]
    time: NDArray[np.int64]
    is_stand_in: bool = False


def population(task: Task, database: Database, t: pd.Timestamp) -> Population:
    """Whom the task is about at `t`.

    They are those that the task's SQL names on rows older than `t`. It may name only entities with later rows, as a task about the
    next order does; then, and where a task has no SQL, they are all that are there at `t`. An autocomplete task is about the rows
    before `t` whose target is missing, each at its own time.

    Args:
        database: Every row, the target of an autocomplete task included.
    """
    table = database[task.entity_table]
    there = np.arange(int(table.visible(t)[0]))
    if task.kind is Kind.AUTOCOMPLETE:
        target = table.rows.column(task.target).slice(0, len(there))
        missing = pc.is_null(target, nan_is_null=True)
        rows = np.flatnonzero(np.asarray(missing))
        assert table.times is not None  # checked where the task was read
        return Population(rows, table.times[rows])
    named = there[:0] if task.sql is None else named_by(task, label_sql(task), database, t)
    rows = named if len(named) else there
    times = np.full(len(rows), t.as_unit("ns").value, np.int64)
    return Population(rows, times, is_stand_in=task.sql is not None and not len(named))


def named_by(task: Task, sql: str, database: Database, t: pd.Timestamp) -> NDArray[np.int64]:
    """(n,) ascending row numbers of the entities that `sql` yields on the rows older than `t`, in the task's column of entities.

    It sees tables by name, keys being row numbers, and the relation `timestamps(timestamp)` with `t` alone.
    """
    at = pd.DatetimeIndex([t]).as_unit("ns")
    with CutQueries(database) as queries:
        rows = queries.run(sql, int(at.asi8[0]), timestamps_relation(at), f"the SQL about {task.entity_table!r}")
    if task.entity_col not in rows.column_names:
        raise InputError(f"the SQL yields no column {task.entity_col!r}; {nearest(task.entity_col, rows.column_names)}")
    column = rows.column(task.entity_col)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_null(column.type)):
        raise InputError(
            f"the SQL yields {task.entity_col!r} as {column.type}, not as row numbers of {task.entity_table!r}"
        )
    found = np.unique(np.asarray(column.drop_null().cast(pa.int64())))
    if len(found) and not 0 <= found[0] <= found[-1] < len(database[task.entity_table]):
        raise InputError(f"the SQL names rows that table {task.entity_table!r} has not")
    return found
