"""Takes a formula apart: the aggregates in it, what they aggregate, and the expression over their results."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from sqlglot import exp

from relbench_harness.features.dfs.sql import parsed

AGGREGATES = frozenset({"SUM", "COUNT", "MIN", "MAX", "MEDIAN", "FIRST_VALUE", "LAST_VALUE", "FIRST_OF", "OCCURRENCE"})
"""Functions of one argument that look at several rows."""


class Call(NamedTuple):
    """A call of an aggregate: the placeholder that stands for its result, the function, and its argument."""

    name: str
    function: str
    argument: Lifted


@dataclass(frozen=True)
class Lifted:
    """A template in which calls of aggregates are placeholders."""

    template: str
    calls: tuple[Call, ...]


@cache
def lifted(template: str) -> Lifted:
    """The outermost calls of aggregates in a template, and within their arguments the next."""
    calls: dict[str, Call] = {}

    def lift(node: exp.Expr) -> exp.Expr:
        function = node.name if isinstance(node, exp.Anonymous) else node.sql_name() if isinstance(node, exp.Func) else ""
        if function not in AGGREGATES:
            return node
        text = node.sql("duckdb")
        argument = node.expressions[0] if isinstance(node, exp.Anonymous) else node.this
        call = calls.setdefault(text, Call(f"call{len(calls)}", function, lifted(argument.sql("duckdb"))))
        return exp.Placeholder(this=call.name)

    return Lifted(parsed(template).transform(lift).sql("duckdb"), tuple(calls.values()))
