"""Why a split of a query's labels is empty or says the same of everybody: which part of the query takes the rows away.

Every condition of the query is left out in turn, and the labels are made again. The first condition without which the split
has different labels is the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from relbench_harness.authoring.predictive_query import (
    Aggregate,
    Column,
    Expression,
    Operation,
    Query,
    aggregates,
    parse,
    said,
    walk,
)
from relbench_harness.authoring.split_summary import single_label
from relbench_harness.data.database import Database
from relbench_harness.data.labels import EmptySplitError, LabelTable, Split
from relbench_harness.data.task import Task
from relbench_harness.errors import InputError

Labels = Callable[[Query, Split], LabelTable]
"""Makes the labels of a query in a split."""


def checked_labels(task: Task, query_text: str, database: Database, labels: Labels, split: Split) -> LabelTable:
    """The labels of a split.

    Raises:
        InputError: The split is empty or all its labels are the same; the message says which part of the query is the reason.
    """
    query = parse(query_text)
    try:
        found = labels(query, split)
    except EmptySplitError as error:
        raise InputError(f"{error}: {_reason(query, database, labels, split, error.times)}") from None
    only = single_label(task, found)
    if only is None:
        return found
    reason = _reason(query, database, labels, split, pd.DatetimeIndex(np.unique(found.time)))
    raise InputError(f"task {task.id}: all {len(found):,} labels of split {split!r} are {only}: {reason}")


def _reason(query: Query, database: Database, labels: Labels, split: Split, times: pd.DatetimeIndex) -> str:
    if not aggregates(query.target):
        return f"its rows have no two different values of {said(query.target)}"
    entity = next((t for n, t in database.items() if n.lower() == query.entity.table.lower()), None)
    if entity is not None and entity.times is not None and len(times) and (entity.times > times[-1].value).all():
        began = pd.Timestamp(int(entity.times[0])) if len(entity) else None
        when = f"its first row is of {began}" if began is not None else "it is empty"
        return f"no row of {entity.name!r} is there yet: {when} by {entity.time!r}"
    for what, other in _without_conditions(query):
        try:
            found = labels(other, split)
        except EmptySplitError:
            continue
        if _is_list(found):
            return f"without {what} there would be some"
        if len(found.target.unique()) > 1:
            return f"without {what} they would differ"
    for part in aggregates(query.target):
        rows = _rows_in_windows(part, database, times)
        if rows is not None:
            return rows
    span = _range(query, labels, split)
    return "no condition of the query alone is the reason" + (f"; {span}" if span is not None else "")


def _is_list(labels: LabelTable) -> bool:
    kind = labels.target.type
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


_COMPARED = {"=", "<>", "<", ">", "<=", ">="}


def _range(query: Query, labels: Labels, split: Split) -> str | None:
    """Between which values that lies which the target compares, or that a value which it picks is always the same."""
    target = query.target
    if isinstance(target, Aggregate) and target.function in ("FIRST", "LAST", "MIN", "MAX"):
        return f"{said(target.value)} is the same in all rows that it picks"
    if not isinstance(target, Operation) or target.operator not in _COMPARED:
        return None
    value = next((part for part in target.operands if aggregates(part)), None)
    if value is None:
        return None
    try:
        found = labels(replace(query, target=value), split).target
        least, most = pc.min_max(found.cast(pa.float64(), safe=False)).values()
    except (InputError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # a time or a text that is compared
        return None
    return f"{said(value)} lies between {least.as_py():.6g} and {most.as_py():.6g}"


def _without_conditions(query: Query) -> Iterator[tuple[str, Query]]:
    """The query without each of its conditions, and without all."""
    parts = _conjuncts(query.where)
    for index, part in enumerate(parts):
        yield f"the condition {said(part)}", replace(query, where=_and([*parts[:index], *parts[index + 1 :]]))
    inner = [part for part in aggregates(query.target) if part.where is not None]
    for part in inner:
        assert part.where is not None
        without = _replaced(query.target, {part.at: replace(part, where=None)})
        yield f"the condition {said(part.where)} inside {part.function}", replace(query, target=without)
    if len(parts) + len(inner) > 1:
        bare = _replaced(query.target, {part.at: replace(part, where=None) for part in inner})
        yield "all its conditions", replace(query, where=None, target=bare)


def _conjuncts(condition: Expression | None) -> list[Expression]:
    if condition is None:
        return []
    if isinstance(condition, Operation) and condition.operator == "AND":
        return [part for operand in condition.operands for part in _conjuncts(operand)]
    return [condition]


def _and(parts: list[Expression]) -> Expression | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    return Operation("AND", tuple(parts), parts[0].at)


def _replaced(expression: Expression, aggregates_at: dict[int, Aggregate]) -> Expression:
    """`expression` with other aggregates at the positions given."""
    if isinstance(expression, Aggregate):
        return aggregates_at.get(expression.at, expression)
    if isinstance(expression, Operation):
        return replace(expression, operands=tuple(_replaced(part, aggregates_at) for part in expression.operands))
    return expression


def _rows_in_windows(part: Aggregate, database: Database, times: pd.DatetimeIndex) -> str | None:
    """A sentence where no row lies in the windows of `part`; None where some do, or its table has no time of its own."""
    named = [c.table for c in walk(part.value) if isinstance(c, Column)]
    table = next((t for n, t in database.items() if named and n.lower() == named[0].lower()), None)
    if table is None or table.times is None or not len(times):
        return None
    starts, ends = (times + part.start).as_unit("ns").asi8, (times + part.end).as_unit("ns").asi8
    counts = np.searchsorted(table.times, ends, side="right") - np.searchsorted(table.times, starts, side="right")
    if counts.any():
        return None
    first = f"({times[0] + part.start}, {times[-1] + part.end}]"
    if not len(table):
        return f"table {table.name!r} is empty"
    span = f"its rows run from {pd.Timestamp(table.times[0])} to {pd.Timestamp(table.times[-1])}"
    return f"no row of {table.name!r} lies in {first}; {span}"
