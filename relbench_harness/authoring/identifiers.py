"""Names as DuckDB writes them: bare where that is safe, else quoted, so that no name can end its quotation."""

from __future__ import annotations

import re
from functools import cache

import duckdb

from relbench_harness.data.query import free as free
from relbench_harness.data.query import quoted as quoted

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@cache
def _reserved() -> frozenset[str]:
    with duckdb.connect() as connection:
        sql = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
        rows = connection.execute(sql).fetchall()
    return frozenset(str(row[0]).lower() for row in rows)


def identifier(name: str) -> str:
    """`name`, quoted unless it is plain and no reserved word: what a person would write."""
    return name if _PLAIN.fullmatch(name) and name.lower() not in _reserved() else quoted(name)


def text(value: str) -> str:
    """`value` as an SQL text literal."""
    return "'" + value.replace("'", "''") + "'"
