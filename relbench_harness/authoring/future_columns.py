"""Columns of rows without a history of their own that tell what happens later: totals that were written after the fact.

A table without a time, or an entity older than its events, may hold a column such as the number of all its tournaments. What a
column of that kind could know at the validation cut is what the rows before it say. So the column is predicted from the child
rows before the cut, and what is left of it is asked who has child rows afterwards.

A total is one shape of it; the others are the last date, a flag or a state (still active), and a date that only those have who left.

Only rows that had a child row shortly before the cut are compared: among the others their age alone tells who is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from relbench_harness.authoring.findings import Finding
from relbench_harness.authoring.leakage import FEWEST, auroc
from relbench_harness.data.database import Database
from relbench_harness.data.table import Table, nanoseconds

TELLS = 0.9
"""AUROC for who has rows later, from which a column knows more than the past."""
MARGIN = 0.1
"""By how much it must exceed that of the number of rows before the cut."""
MOST_SUMS = 6
"""Numeric columns of a child table whose sums count as the past."""
LISTED = 0.3
"""A text column is a list where at least this share of its values has a comma."""
STATES = 10
"""A text column of no more different values than this is a state (active, closed)."""


def future_columns(database: Database, val: pd.Timestamp) -> Iterator[Finding]:
    """Columns that tell, beyond what rows before the validation cut say, who has child rows afterwards."""
    for table in database.values():
        worst: dict[str, Finding] = {}
        for child in database.values() if table.attributes else ():
            for key, parent in child.references.items():
                if parent == table.name and child.times is not None:
                    for found in _revealing(table, child, key, nanoseconds(val)):
                        if (found.number or 0) > (worst[found.where].number or 0 if found.where in worst else 0):
                            worst[found.where] = found
        yield from worst.values()


class _Reading(NamedTuple):
    """A column read as numbers: `what` is said of it, `values` are (rows,) NaN where missing."""

    column: str
    what: str
    values: NDArray[np.float64]


def _numbers(table: Table, val: int) -> Iterator[_Reading]:
    """Each column as numbers: numbers and flags as they are, times by how far they lie after the cut `val`, lists by their lengths,
    texts of few values by each of them, and whether a value is missing."""
    for name in table.attributes:
        values = table.rows.column(name)
        kind = values.type
        if values.null_count:
            yield _Reading(name, "whether it is missing", np.asarray(pc.is_null(values)).astype(np.float64))
        if _is_number(kind) or pa.types.is_decimal(kind):
            yield _Reading(name, "it", _floats(values))
        elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            at = values.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False).cast(pa.int64())
            yield _Reading(name, "it", np.maximum(1000 * _floats(at) - val, 0.0))
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            yield _Reading(name, "it", _floats(pc.list_value_length(values)))
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            yield from _of_text(name, values)


def _of_text(name: str, values: pa.ChunkedArray) -> Iterator[_Reading]:
    commas = _floats(pc.count_substring(values, ","))
    if len(commas) and np.nanmean(np.append(commas, 0.0) > 0) >= LISTED:
        yield _Reading(name, "it", np.asarray(commas + 1))
        return
    different = values.unique().drop_null()
    for value in different if 1 < len(different) <= STATES else ():
        yield _Reading(name, f"its value {value.as_py()!r}", _floats(pc.equal(values, value)))


def _floats(values: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def _revealing(table: Table, child: Table, key: str, val: int) -> Iterator[Finding]:
    assert child.times is not None
    owner, cut = child.parents(key), int(child.visible(val)[0])
    if not 0 < cut < len(child):
        return
    before, later = np.arange(cut), np.arange(cut, len(child))
    past = _past(child, owner, before, len(table))
    after = np.bincount(owner[later][owner[later] >= 0], minlength=len(table)) > 0
    recent = np.zeros(len(table), np.bool_)
    span = int(child.times[-1]) - val
    fresh = owner[before][child.times[before] >= val - span]
    recent[fresh[fresh >= 0]] = True
    if table.times is not None:
        recent &= table.times < val
    if min((recent & after).sum(), (recent & ~after).sum()) < FEWEST:
        return
    alone = auroc(past[recent, 1], after[recent])
    for name, what, values in _numbers(table, val):
        known = recent & np.isfinite(values)
        if min((known & after).sum(), (known & ~after).sum()) < FEWEST:
            continue
        area = auroc(_unexplained(values[known], past[known], ~after[known]), after[known])
        value = max(area, 1 - area)
        if value >= TELLS and value >= max(alone, 1 - alone) + MARGIN:
            yield Finding(
                "future-column",
                f"{table.name}.{name}",
                f"given the rows of {child.name!r} before the validation cut, {what} tells who has rows afterwards with AUROC "
                f"{value:.3f}; their number before has {max(alone, 1 - alone):.3f}",
                value,
            )


def _past(child: Table, owner: NDArray[np.int64], rows: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """(count, features) of each parent's child rows among `rows`: one, how many, and sums of numeric columns."""
    mine = rows[owner[rows] >= 0]
    parts: list[NDArray[np.float64]] = [np.ones(count), np.bincount(owner[mine], minlength=count).astype(np.float64)]
    numeric = [c for c in child.attributes if _is_number(child.rows.column(c).type)][:MOST_SUMS]
    for column in numeric:
        values = _floats(child.rows.column(column))[mine]
        sums = np.bincount(owner[mine], weights=np.nan_to_num(values), minlength=count)
        parts.append(np.asarray(sums, dtype=np.float64))
    return np.stack(parts, axis=1)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _unexplained(values: NDArray[np.float64], past: NDArray[np.float64], ended: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) what the past leaves of a column, by least squares on the rows that have no later child rows: there a total is a
    total of the past."""
    weights = np.linalg.lstsq(past[ended], values[ended], rcond=None)[0]
    return np.asarray(np.round(values - past @ weights, 9))
