"""SQL as text templates in DuckDB's dialect: sqlglot parses each once, spells it for a backend and quotes its names.

Invariants: `$name` in a template is filled with text that is already SQL of the backend's dialect, an expression in
brackets where an operator stands beside it. All instants are whole nanoseconds since 1970 and all categories whole codes
in the order of their values, so neither time zones nor collations nor a dialect's timestamps can make two engines differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import sqlglot
from sqlglot import exp

BEGINNING = -9_200_000_000_000_000_000
"""Nanoseconds before any row: the time of rows without one."""
END = 9_200_000_000_000_000_000
"""Nanoseconds after any row: a seed that sees everything."""
SPELLINGS = {"WEEKDAY_FROM_MONDAY": {"duckdb": "(ISODOW(%s) - 1)", "spark": "WEEKDAY(%s)"}}
"""What sqlglot does not translate rightly: function of one argument → dialect → how it is spelled there."""
_CLAUSES: dict[str, type[exp.Expr]] = {"JOIN": exp.Join, "LEFT": exp.Join, "WHERE": exp.Where}


@dataclass(frozen=True)
class Sql:
    """Fills templates in one dialect."""

    dialect: str

    def __call__(self, template: str, /, **parts: str) -> str:
        """A statement, clause or expression. A part that is a query gets brackets; an empty one takes the comma before it.

        Raises:
            KeyError: A placeholder is given no part.
        """
        first, *rest = _pieces(template, self.dialect)
        made = first
        for name, text in zip(rest[::2], rest[1::2], strict=True):
            part = f"({parts[name]})" if is_query(parts[name]) else parts[name]
            made = (made + part if part else made.removesuffix(", ")) + text
        return made

    def name(self, name: str) -> str:
        """A quoted identifier."""
        return exp.to_identifier(name, quoted=True).sql(self.dialect)

    def latest(self, times: Iterable[str]) -> str:
        """The largest of several times, none of which may be null."""
        several = list(times)
        return self("GREATEST($times)", times=listing(several)) if len(several) > 1 else several[0]


def is_query(text: str) -> bool:
    """Whether a text is a query and not the name of a relation."""
    return text.startswith("SELECT")


def listing(parts: Iterable[str]) -> str:
    return ", ".join(parts)


@cache
def parsed(template: str) -> exp.Expr:
    """The expression tree of a template, to be copied and not changed."""
    clause = _CLAUSES.get(template.split(maxsplit=1)[0])
    return sqlglot.parse_one(template, read="duckdb", into=clause)


def spelled(tree: exp.Expr, dialect: str) -> str:
    """A tree as text of a dialect, every name quoted and placeholders as `\\0name\\0`."""

    def spell(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Placeholder):
            return exp.Var(this=f"\0{node.name}\0")
        if isinstance(node, exp.Anonymous) and node.name in SPELLINGS:
            return exp.Var(this=SPELLINGS[node.name][dialect] % spelled(node.expressions[0], dialect))
        return node

    return tree.transform(spell).sql(dialect, identify=True)


@cache
def _pieces(template: str, dialect: str) -> list[str]:
    """Text and names of placeholders in turn."""
    return spelled(parsed(template), dialect).split("\0")
