"""The predictive query: one line that says what to predict, for whom, and over which time window.

The vocabulary is that of Kumo's predictive query language (public documentation), so that its users can read and write it:

    PREDICT COUNT(invoices.*, 0, 30, days) = 0 FOR EACH customers.customer WHERE COUNT(invoices.*, -180, 0, days) > 0

A window `start, end, unit` is the interval (t + start, t + end]: open at its start, closed at its end. Beyond Kumo's
language, an aggregate takes arithmetic over columns, its inner WHERE may name columns of parents, and VIA names a foreign
key where tables are joined in several ways. ASSUMING and CLASSIFY have no counterpart in a label table and are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import lark
import pandas as pd

from relbench_harness.errors import InputError

GRAMMAR = r"""
query: "PREDICT"i or_test ranking? "FOR"i "EACH"i column where? assuming?
ranking: "RANK"i "TOP"i INT                           -> rank
       | CLASSIFY                                     -> classify
where: "WHERE"i or_test
assuming: ASSUMING or_test

?or_test: and_test ("OR"i and_test)*
?and_test: not_test ("AND"i not_test)*
?not_test: "NOT"i not_test                            -> negation
         | comparison
?comparison: sum
           | sum COMPARE sum                          -> compare
           | sum "IN"i "(" literal ("," literal)* ")" -> within
           | sum "NOT"i "IN"i "(" literal ("," literal)* ")" -> not_within
           | sum "IS"i "NULL"i                        -> is_null
           | sum "IS"i "NOT"i "NULL"i                 -> is_not_null
           | sum "LIKE"i TEXT                         -> like
           | sum "NOT"i "LIKE"i TEXT                  -> not_like
           | sum "CONTAINS"i TEXT                     -> contains
           | sum "STARTS"i "WITH"i TEXT               -> starts_with
           | sum "ENDS"i "WITH"i TEXT                 -> ends_with
?sum: product (ADD product)*
?product: factor (MULTIPLY factor)*
?factor: "-" factor                                   -> minus
       | literal
       | aggregate
       | column
       | "(" or_test ")"
aggregate: FUNCTION "(" or_or_all via? where? "," signed "," signed ("," NAME)? ")"
?or_or_all: sum | all_rows
all_rows: name "." "*"
via: "VIA"i column ("AND"i column)*
column: name "." name
name: NAME | QUOTED
signed: SIGNED_INT
?literal: NUMBER -> number
        | TEXT -> text
        | "TRUE"i -> true
        | "FALSE"i -> false

FUNCTION.2: /(COUNT_DISTINCT|LIST_DISTINCT|COUNT|SUM|AVG|MIN|MAX|FIRST|LAST)(?=\s*\()/i
CLASSIFY: "CLASSIFY"i
ASSUMING: "ASSUMING"i
COMPARE: "!=" | "<>" | ">=" | "<=" | "==" | "=" | ">" | "<"
ADD: "+" | "-"
MULTIPLY: "*" | "/"
NAME: /[a-z_]\w*/i
QUOTED: /"(?:[^"]|"")+"/
TEXT: /'(?:[^']|'')*'/
NUMBER: /\d+(\.\d+)?/
INT: /\d+/
SIGNED_INT: /[+-]?\s*\d+/
%import common.WS
%ignore WS
"""

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400}


@dataclass(frozen=True)
class Column:
    """`table.name`; a name of None stands for `*`. `at` is its column in the query, counted from 1."""

    table: str
    name: str | None
    at: int


@dataclass(frozen=True)
class Literal:
    value: float | int | str | bool
    at: int


@dataclass(frozen=True)
class Operation:
    """`operator` applied to `operands`: arithmetic, a comparison, a boolean connective, IN, IS NULL or a text pattern."""

    operator: str
    operands: tuple[Expression, ...]
    at: int


@dataclass(frozen=True)
class Aggregate:
    """`function` of `value` over the rows of its table in (t + start, t + end] that satisfy `where`."""

    function: str
    value: Expression
    start: pd.Timedelta
    end: pd.Timedelta
    where: Expression | None
    via: tuple[Column, ...]
    at: int


Expression = Column | Literal | Operation | Aggregate


@dataclass(frozen=True)
class Query:
    """A parsed predictive query; `top` is the k of RANK TOP k."""

    text: str
    target: Expression
    entity: Column
    where: Expression | None
    top: int | None


def walk(expression: Expression) -> list[Expression]:
    """`expression` and everything inside it, the inner parts of aggregates excepted."""
    if isinstance(expression, Operation):
        return [expression, *(inner for operand in expression.operands for inner in walk(operand))]
    return [expression]


def aggregates(expression: Expression | None) -> list[Aggregate]:
    """The aggregates of `expression`, from left to right."""
    return [] if expression is None else [part for part in walk(expression) if isinstance(part, Aggregate)]


_WORDS = {"not_within": "NOT IN", "within": "IN", "is_null": "IS NULL", "is_not_null": "IS NOT NULL", "like": "LIKE"}
_WORDS |= {"not_like": "NOT LIKE", "contains": "CONTAINS", "starts_with": "STARTS WITH", "ends_with": "ENDS WITH"}


def said(expression: Expression) -> str:
    """`expression` as a query writes it."""
    if isinstance(expression, Column):
        return f"{_written(expression.table)}.{'*' if expression.name is None else _written(expression.name)}"
    if isinstance(expression, Literal):
        value = expression.value
        if isinstance(value, str):
            return "'" + value.replace("'", "''") + "'"
        return str(value).upper() if isinstance(value, bool) else str(value)
    if isinstance(expression, Aggregate):
        where = "" if expression.where is None else f" WHERE {said(expression.where)}"
        ends, day = (expression.start, expression.end), pd.Timedelta(days=1)
        unit, size = ("seconds", pd.Timedelta(seconds=1)) if any(end % day for end in ends) else ("days", day)
        return f"{expression.function}({said(expression.value)}{where}, {ends[0] // size}, {ends[1] // size}, {unit})"
    parts = [f"({said(o)})" if isinstance(o, Operation) else said(o) for o in expression.operands]
    operator = expression.operator
    if operator in ("NOT", "minus"):
        return f"NOT {parts[0]}" if operator == "NOT" else f"-{parts[0]}"
    if operator in ("within", "not_within"):
        return f"{parts[0]} {_WORDS[operator]} ({', '.join(parts[1:])})"
    if len(parts) == 1:
        return f"{parts[0]} {_WORDS[operator]}"
    return f" {_WORDS.get(operator, operator)} ".join(parts)


def _written(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else '"' + name.replace('"', '""') + '"'


def mistake(text: str, at: int, what: str) -> InputError:
    """An error that points at column `at` (from 1) of the query."""
    return InputError(f"predictive query, column {at}: {what}\n  {text}\n  {' ' * (at - 1)}^")


_TOKENS = {
    "NAME": "a name",
    "QUOTED": 'a "quoted name"',
    "FUNCTION": "an aggregate such as COUNT(…)",
    "TEXT": "'a text'",
    "NUMBER": "a number",
    "INT": "a number",
    "SIGNED_INT": "a number",
    "COMPARE": "a comparison such as =",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": ",",
    "DOT": ".",
    "STAR": "*",
    "MINUS": "-",
    "ADD": "+",
    "MULTIPLY": "*",
    "$END": "the end",
}


def _expected(names: set[str]) -> str:
    shown = sorted({_TOKENS.get(name, name) for name in names})
    return shown[0] if len(shown) == 1 else "one of " + ", ".join(shown)


_parser = lark.Lark(GRAMMAR, start="query", parser="lalr", propagate_positions=True, maybe_placeholders=False)


def parse(text: str) -> Query:
    """The query that `text` says. Raises `InputError` that points at the column where it cannot be read."""
    text = " ".join(text.split("\n")).rstrip().rstrip(";")
    try:
        tree = _parser.parse(text)
    except lark.exceptions.UnexpectedToken as error:
        names = set(error.accepts or error.expected)
        if error.token.type == "$END":
            raise mistake(text, len(text) + 1, f"the query ends here, expected {_expected(names)}") from None
        raise mistake(text, error.column, f"unexpected {str(error.token)!r}, expected {_expected(names)}") from None
    except lark.exceptions.UnexpectedCharacters as error:
        character = text[error.pos_in_stream or 0]
        what = f"unexpected {character!r}, expected {_expected(set(error.allowed or ()))}"
        raise mistake(text, error.column, what) from None
    return _Reader(text).query(tree)


@dataclass(frozen=True)
class _Reader:
    """Turns lark's tree into the query's own classes."""

    text: str

    def query(self, tree: lark.Tree[Any]) -> Query:
        parts = {child.data: child for child in tree.children[1:] if isinstance(child, lark.Tree)}
        for word, why in (
            ("assuming", "ASSUMING has no counterpart in a label table, which holds what did happen"),
            ("classify", "CLASSIFY is not supported; write RANK TOP k to recommend k items"),
        ):
            if word in parts:
                raise mistake(self.text, parts[word].meta.column, why)
        top = None
        if "rank" in parts:
            token: Any = parts["rank"].children[0]
            top = int(token)
            if top < 1:
                raise mistake(self.text, token.column, "RANK TOP needs a number of at least 1")
        entity = self.expression(parts["column"])
        assert isinstance(entity, Column)
        where = self.expression(parts["where"].children[0]) if "where" in parts else None
        return Query(self.text, self.expression(tree.children[0]), entity, where, top)

    def expression(self, tree: Any) -> Expression:
        at, kind, inner = tree.meta.column, str(tree.data), tree.children
        if kind == "column":
            return Column(_name(inner[0]), _name(inner[1]), at)
        if kind == "all_rows":
            return Column(_name(inner[0]), None, at)
        if kind == "aggregate":
            return self.aggregate(tree)
        if kind == "number":
            return Literal(float(inner[0]) if "." in inner[0] else int(inner[0]), at)
        if kind == "text":
            return Literal(_text(inner[0]), at)
        if kind in ("true", "false"):
            return Literal(kind == "true", at)
        if kind == "compare":
            operator = {"==": "=", "!=": "<>"}.get(str(inner[1]), str(inner[1]))
            return Operation(operator, (self.expression(inner[0]), self.expression(inner[2])), at)
        if kind in ("sum", "product"):
            return self.chain(inner, at)
        operands = tuple(
            Literal(_text(part), part.column or at) if isinstance(part, lark.Token) else self.expression(part)
            for part in inner
        )
        return Operation({"or_test": "OR", "and_test": "AND", "negation": "NOT"}.get(kind, kind), operands, at)

    def chain(self, parts: list[Any], at: int) -> Expression:
        """Left-associative arithmetic: operand (operator operand)*."""
        result = self.expression(parts[0])
        for operator, operand in zip(parts[1::2], parts[2::2], strict=True):
            result = Operation(str(operator), (result, self.expression(operand)), at)
        return result

    def aggregate(self, tree: lark.Tree[Any]) -> Aggregate:
        function, value, *rest = tree.children
        via: tuple[Column, ...] = ()
        where, numbers, unit, unit_at = None, [], "days", tree.meta.column
        for part in rest:
            if isinstance(part, lark.Token):
                unit = str(part)
                unit_at = part.column or unit_at
            elif part.data == "via":
                via = tuple(self.expression(c) for c in part.children)  # type: ignore[misc]
            elif part.data == "where":
                where = self.expression(part.children[0])
            else:
                numbers.append(part)
        singular = unit.lower().removesuffix("s")
        if singular not in _SECONDS:
            months = singular in ("month", "year")
            why = "has no fixed length; give the window in days" if months else "is no unit of time"
            raise mistake(self.text, unit_at, f"{unit!r} {why} (seconds, minutes, hours, days or weeks)")
        start, end = (pd.Timedelta(seconds=_whole(n) * _SECONDS[singular]) for n in numbers)
        if not start < end:
            raise mistake(self.text, numbers[1].meta.column, "a window ends after its start")
        for inner in (value, where):
            if inner is not None and any(True for _ in _subtrees(inner, "aggregate")):
                raise mistake(self.text, tree.meta.column, "an aggregate cannot stand inside another")
        return Aggregate(str(function).upper(), self.expression(value), start, end, where, via, tree.meta.column)


def _whole(tree: Any) -> int:
    return int("".join(str(tree.children[0]).split()))


def _subtrees(tree: Any, kind: str) -> list[Any]:
    return list(tree.find_data(kind)) if isinstance(tree, lark.Tree) else []


def _name(tree: lark.Tree[Any]) -> str:
    token = str(tree.children[0])
    return token[1:-1].replace('""', '"') if token.startswith('"') else token


def _text(token: Any) -> str:
    return str(token)[1:-1].replace("''", "'")
