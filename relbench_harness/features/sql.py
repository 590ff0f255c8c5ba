"""Small pieces of SQL as expression trees, and the few functions that the two dialects spell differently.

All instants are whole nanoseconds since 1970 and all categories are whole codes in the order of their values, so neither
time zones nor collations nor a dialect's timestamps can make two engines differ.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

BEGINNING = -9_200_000_000_000_000_000
"""Nanoseconds before any row: the time of rows without one."""
END = 9_200_000_000_000_000_000
"""Nanoseconds after any row: a question that sees everything."""
DAY = 86_400_000_000_000

Sql = exp.Expr


def column(name: str, table: str | None = None) -> Sql:
    return exp.column(name, table=table, quoted=True)


def number(value: float | int) -> Sql:
    """A literal; whole numbers stay whole."""
    if value < 0:
        return exp.Neg(this=exp.Literal.number(-value))
    return exp.Literal.number(value)


def cast(part: Sql, kind: str) -> Sql:
    return exp.Cast(this=part, to=_TYPES[kind].copy())


_TYPES = {kind: exp.DataType.build(kind) for kind in ("DOUBLE", "BIGINT")}


def null(kind: str = "DOUBLE") -> Sql:
    return cast(exp.Null(), kind)


def func(name: str, *arguments: Sql) -> Sql:
    return exp.Anonymous(this=name, expressions=list(arguments))


def agg(name: str, argument: Sql) -> Sql:
    return func(name, argument)


def minus(left: Sql, right: Sql) -> Sql:
    return exp.Sub(this=_tight(left), expression=_tight(right))


def plus(left: Sql, right: Sql) -> Sql:
    return exp.Add(this=_tight(left), expression=_tight(right))


def times(*factors: Sql) -> Sql:
    product = _tight(factors[0])
    for factor in factors[1:]:
        product = exp.Mul(this=product, expression=_tight(factor))
    return product


def divided(left: Sql, right: Sql) -> Sql:
    """Real division of doubles by what is known not to be 0."""
    return exp.Div(this=cast(_tight(left), "DOUBLE"), expression=cast(_tight(right), "DOUBLE"), typed=False)


def when(condition: Sql, then: Sql, otherwise: Sql | None = None) -> Sql:
    case = exp.Case(ifs=[exp.If(this=condition, true=then)])
    if otherwise is not None:
        case.set("default", otherwise)
    return case


def _tight(part: Sql) -> Sql:
    return exp.Paren(this=part) if isinstance(part, exp.Binary) else part


def is_null(part: Sql) -> Sql:
    return exp.Is(this=_tight(part), expression=exp.Null())


def not_null(part: Sql) -> Sql:
    return exp.Not(this=is_null(part))


def both(*conditions: Sql) -> Sql:
    return exp.and_(*conditions, copy=False)


def named(part: Sql, name: str) -> Sql:
    return exp.Alias(this=part, alias=exp.to_identifier(name, quoted=True))


def greatest(parts: Sequence[Sql]) -> Sql:
    """The largest of `parts`, none of which may be null."""
    if len(parts) == 1:
        return parts[0]
    return exp.Greatest(this=parts[0], expressions=list(parts[1:]))


def select(columns: Sequence[Sql], source: str | exp.Query, name: str = "x") -> exp.Select:
    """SELECT columns FROM source AS name."""
    made = exp.Select(expressions=list(columns))
    return made.from_(table(source, name), copy=False)


def table(source: str | exp.Query, name: str) -> Sql:
    if isinstance(source, str):
        return exp.alias_(exp.to_table(source), name, table=True, quoted=True)
    return source.subquery(exp.to_identifier(name, quoted=True), copy=False)


def window(
    value: Sql, partition: Sequence[str], order: Sequence[Sql], before: bool = False, ignore_nulls: bool = False
) -> Sql:
    """`value` OVER (PARTITION BY … ORDER BY …) up to the current row or, with `before`, to the row before it."""
    keys = [exp.Ordered(this=part, desc=False, nulls_first=False) for part in order]
    made = exp.Window(
        this=exp.IgnoreNulls(this=value) if ignore_nulls else value,
        partition_by=[column(name) for name in partition],
        order=exp.Order(expressions=keys),
        over="OVER",
    )
    if not isinstance(value, exp.RowNumber):
        end, side = (number(1), "PRECEDING") if before else ("CURRENT ROW", None)
        spec = exp.WindowSpec(kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end=end, end_side=side)
        made.set("spec", spec)
    return made


def row_number(partition: Sequence[str], order: Sequence[Sql]) -> Sql:
    return window(exp.RowNumber(), partition, order)


def date_part(part: str, nanoseconds: Sql, dialect: str) -> Sql:
    """Year, month, day or weekday (0 is Monday) of an instant, as a double."""
    micros = exp.IntDiv(this=cast(nanoseconds, "BIGINT"), expression=number(1000))
    if dialect == "spark":
        return cast(func(part, func("timestamp_micros", micros)), "DOUBLE")
    moment = func("make_timestamp", micros)
    if part == "weekday":
        return cast(minus(func("isodow", moment), number(1)), "DOUBLE")
    return cast(func(part, moment), "DOUBLE")


def count_matches(text: Sql, pattern: str, dialect: str) -> Sql:
    """How often a regular expression matches, without overlaps, as a double; null for null."""
    if dialect == "spark":
        return cast(func("size", func("regexp_extract_all", text, exp.Literal.string(pattern), number(0))), "DOUBLE")
    return cast(func("len", func("regexp_extract_all", text, exp.Literal.string(pattern))), "DOUBLE")
