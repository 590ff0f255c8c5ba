"""Times in the expressions of a query: two of them subtract to days and compare, and nothing else is computed from them."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from relbench_harness.authoring.predictive_query import Aggregate, Column, Expression, Literal, Operation, walk

Kind = Callable[[Column], pa.DataType]
"""The type of a column."""

_ARITHMETIC = {"+", "-", "*", "/", "minus"}
_COMPARED = {"=", "<>", "<", ">", "<=", ">=", "within", "not_within"}


def is_time(expression: Expression, kind: Kind) -> bool:
    """Whether `expression` is a time: a column of times, or the first, last, least or greatest of one."""
    if isinstance(expression, Aggregate):
        return expression.function in ("MIN", "MAX", "FIRST", "LAST") and is_time(expression.value, kind)
    return isinstance(expression, Column) and expression.name is not None and pa.types.is_temporal(kind(expression))


def is_difference(expression: Expression, kind: Kind) -> bool:
    """Whether `expression` subtracts a time from a time, which gives days; one of them may be a text such as '2024-01-31'."""
    if not isinstance(expression, Operation) or expression.operator != "-":
        return False
    times = [is_time(operand, kind) for operand in expression.operands]
    return any(times) and all(t or _is_text(o) for t, o in zip(times, expression.operands, strict=True))


def misuse(expression: Expression | None, kind: Kind) -> Operation | None:
    """The first operation in `expression`, inside its aggregates too, that uses a time as if it were a number."""
    for part in [] if expression is None else walk(expression):
        if isinstance(part, Aggregate):
            found = misuse(part.value, kind) or misuse(part.where, kind)
            if found is not None:
                return found
        elif isinstance(part, Operation) and any(is_time(operand, kind) for operand in part.operands):
            fits = all(is_time(operand, kind) or _is_text(operand) for operand in part.operands)
            if part.operator in _ARITHMETIC and not is_difference(part, kind):
                return part
            if part.operator in _COMPARED and not fits:
                return part
    return None


def _is_text(expression: Expression) -> bool:
    return isinstance(expression, Literal) and isinstance(expression.value, str)
