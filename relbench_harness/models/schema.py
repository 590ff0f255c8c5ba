"""The schema of a database as a kept model names it, and the first thing in which another differs from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from relbench_harness.data.database import Database
from relbench_harness.data.stypes import stype_of
from relbench_harness.data.table import Table
from relbench_harness.errors import InputError, nearest


def schema_of(database: Database) -> dict[str, Any]:
    """Tables, their keys, times and columns: type, semantic type and whether the manifest declares that."""
    return {name: _described(table) for name, table in database.items()}


def _described(table: Table) -> dict[str, Any]:
    columns: dict[str, dict[str, Any]] = {}
    for name in table.rows.column_names:
        columns[name] = {"type": _type(table.rows.schema.field(name).type)}
        if name in table.attributes:
            columns[name] |= {"semantic": _text(stype_of(table, name)), "declared": name in table.stypes}
    return {"key": table.key, "time": table.time, "references": dict(table.references), "columns": columns}


def _type(kind: pa.DataType) -> str:
    """The type of the values, however they are encoded."""
    return str(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def check_schema(known: Mapping[str, Any], database: Database, what: str) -> None:
    """Raises `InputError` that names the first table or column of `database` that is not as `known` says.

    What a semantic type is inferred to be may change with the rows; only declared ones are compared.
    """
    for fault in _differences(known, database):
        raise InputError(f"{what} does not fit the kept model: {fault}; fit the model again")


def _differences(known: Mapping[str, Any], database: Database) -> Iterator[str]:
    for name in known:
        if name not in database:
            yield f"table {name!r} is gone; {nearest(name, database)}"
    for name, table in database.items():
        if name not in known:
            yield f"table {name!r} is new"
            continue
        before, now = known[name], _described(table)
        for part, word in (("key", "primary key"), ("time", "time column")):
            if before[part] != now[part]:
                yield f"the {word} of table {name!r} was {before[part]!r} and is {now[part]!r}"
        yield from _of_columns(name, before, now)


def _of_columns(table: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for column, facts in before["columns"].items():
        if column not in now["columns"]:
            yield f"column {column!r} of table {table!r} is gone; {nearest(column, now['columns'])}"
            continue
        found = now["columns"][column]
        if facts["type"] != found["type"]:
            yield f"column {column!r} of table {table!r} was {facts['type']} and is {found['type']}"
        declares = facts.get("declared"), found.get("declared")
        if any(declares) and facts.get("semantic") != found.get("semantic"):
            yield f"column {column!r} of table {table!r} was declared {facts.get('semantic')} and is {found.get('semantic')}"
        if before["references"].get(column) != now["references"].get(column):
            referred = [side["references"].get(column) or "nothing" for side in (before, now)]
            yield f"column {column!r} of table {table!r} referred to {referred[0]} and refers to {referred[1]}"
    for column in now["columns"]:
        if column not in before["columns"]:
            yield f"column {column!r} of table {table!r} is new"
