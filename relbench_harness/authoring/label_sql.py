"""Compiles a predictive query to the DuckDB SQL of a RelBench task.

Each aggregate becomes one common table expression with a value per (timestamp, entity); the query's target and filter are
expressions over them. A question is asked about every entity that satisfies the filter and, where the entity's table
has a time, exists at the question's timestamp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd
import pyarrow as pa
from relbench.manifest import TableSpec

from relbench_harness.authoring.identifiers import identifier, text
from relbench_harness.authoring.joins import Path, between, shown, upward
from relbench_harness.authoring.predictive_query import (
    Aggregate,
    Column,
    Expression,
    Literal,
    Query,
    aggregates,
    mistake,
    said,
    walk,
)
from relbench_harness.authoring.query_times import is_difference, misuse
from relbench_harness.authoring.sql_operations import bracketed, operation
from relbench_harness.errors import InputError, nearest

SUMMED = {"COUNT", "COUNT_DISTINCT", "SUM"}
"""Aggregates that are 0 over no rows; the others are unknown there."""


@dataclass(frozen=True)
class Joined:
    """The rows an aggregate reads: FROM clause, the entity each row belongs to, and the aliases of the joined tables.

    `many`: whether a row may meet an entity more than once; `time`, `place`: the SQL of a row's time and
    of its place in canonical order.
    """

    lines: tuple[str, ...]
    entity: str
    aliases: Mapping[str, str]
    many: bool
    time: str
    place: str = ""


@dataclass(frozen=True)
class Compiler:
    """Compiles one query against the tables of a database.

    Args:
        tables: Keys, time columns and foreign keys by table.
        columns: Column types by table.
        moved: (table, column) → the child table to which an import moved the column, since it is known later than the row. A query
            names it as if it stood where it was.
    """

    query: Query
    tables: Mapping[str, TableSpec]
    columns: Mapping[str, Mapping[str, pa.DataType]]
    moved: Mapping[tuple[str, str], str] = field(default_factory=dict)

    # -- names --------------------------------------------------------------------------------------------------------

    def error(self, at: int, what: str) -> InputError:
        return mistake(self.query.text, at, what)

    def table(self, name: str, at: int) -> str:
        """The table that `name` means, letter case aside where that is clear."""
        found = _meant(name, self.tables)
        if found is None:
            raise self.error(at, f"no table {name!r}; {nearest(name, self.tables)}")
        return found

    def resolve(self, column: Column) -> tuple[str, str]:
        table = self.table(column.table, column.at)
        if column.name is None:
            raise self.error(column.at, f"{column.table}.* stands for rows; only COUNT takes it")
        found = _meant(column.name, self.columns[table])
        late = {name: child for (owner, name), child in self.moved.items() if owner == table}
        if found is None and (name := _meant(column.name, late)) is not None:
            return late[name], name
        if found is None:
            raise self.error(
                column.at, f"table {table!r} has no column {column.name!r}; {nearest(column.name, self.columns[table])}"
            )
        return table, found

    def kind(self, column: Column) -> pa.DataType:
        table, name = self.resolve(column)
        return self.columns[table][name]

    @cached_property
    def entity(self) -> tuple[str, str]:
        """Table and primary key of the entity."""
        table, name = self.resolve(self.query.entity)
        key = self.tables[table].pkey
        if key is None:
            raise self.error(self.query.entity.at, f"table {table!r} has no primary key, so nothing is asked about it")
        if name != key:
            raise self.error(self.query.entity.at, f"FOR EACH takes the primary key of {table!r}, which is {key!r}")
        return table, key

    # -- windows ------------------------------------------------------------------------------------------------------

    @cached_property
    def horizon(self) -> pd.Timedelta:
        """The furthest end of the target's windows: how long after t a label is known."""
        ends = []
        for part in aggregates(self.query.target):
            if part.start < pd.Timedelta(0):
                raise self.error(part.at, "a target lies in the future: its window starts at 0 or later")
            ends.append(part.end)
        return max(ends)

    def check_filter(self) -> None:
        for part in aggregates(self.query.where):
            if part.end > pd.Timedelta(0):
                raise self.error(part.at, "a filter knows only the past: its window ends at 0 or earlier")

    def _interval(self, length: pd.Timedelta, target: bool) -> str:
        if target and length == self.horizon:
            return " + INTERVAL '{timedelta}'"
        if not length:
            return ""
        sign = "-" if length < pd.Timedelta(0) else "+"
        return f" {sign} INTERVAL '{interval(abs(length))}'"

    # -- aggregates ---------------------------------------------------------------------------------------------------

    def own_table(self, part: Aggregate) -> str:
        """The table over whose rows the aggregate runs: the one its value names."""
        named = [c for c in walk(part.value) if isinstance(c, Column)]
        if not named:
            raise self.error(part.at, f"{part.function} needs a column, or table.* for COUNT")
        names = {self._owner(c): c for c in named}
        # of columns that moved to several tables the first says over which rows
        first = next((name for name in names if name in self.moved.values()), None)
        names = {name: c for name, c in names.items() if name == first or not self._beside(name, first)}
        names = {name: c for name, c in names.items() if not any(self._moved_off_parent(name, other) for other in names)}
        if named[0].name is None and part.function != "COUNT":
            raise self.error(named[0].at, f"{part.function} needs a column, not *")
        lowest = [name for name in names if all(upward(self.tables, name, other) for other in names)]
        if not lowest:
            first, second = list(names)[:2]
            raise self.error(names[second].at, f"neither of {first!r} and {second!r} is a parent of the other")
        return lowest[0]

    def _owner(self, column: Column) -> str:
        """The table whose rows a column names."""
        return self.table(column.table, column.at) if column.name is None else self.resolve(column)[0]

    def parent_paths(self, table: str, parent: str) -> list[Path]:
        return upward(self.tables, table, parent)

    def path(self, part: Aggregate, table: str) -> Path:
        """The one path from the aggregate's table to the entity, or an error that lists those there are."""
        entity = self.entity[0]
        found = upward(self.tables, table, entity) or between(self.tables, table, entity)
        if not found:
            raise self.error(part.at, f"no foreign keys lead from {table!r} to {entity!r}")
        for key in part.via:
            name = ".".join(self.resolve(key))
            found = [path for path in found if any(str(step) == name for step in path)]
            if not found:
                raise self.error(key.at, f"no path from {table!r} to {entity!r} goes by {name}")
        if len(found) > 1:
            listed = "; ".join(shown(path) for path in found)
            others = {step for path in found[1:] for step in path}
            telling = next((step for step in found[0] if step not in others), found[0][0])
            hint = f"name one with VIA, such as VIA {telling}"
            raise self.error(part.at, f"{len(found)} paths lead from {table!r} to {entity!r}: {listed} ({hint})")
        return found[0]

    def joined(self, part: Aggregate, target: bool) -> Joined:
        """FROM and JOINs from the timestamps over the aggregate's rows to its entity."""
        table = self.own_table(part)
        path = self.path(part, table)
        aliases, joins = {table: "r"}, []
        at, entity = "r", ""
        for index, step in enumerate(path):
            last = index == len(path) - 1
            if step.up and last:
                entity = f"{at}.{identifier(step.column)}"
                break
            alias = f"j{index + 1}"
            there, here = (
                (self.tables[step.parent].pkey or "", step.column) if step.up else (step.column, self._key(step.parent))
            )
            joins.append(f"JOIN {identifier(step.target)} {alias} ON {alias}.{identifier(there)} = {at}.{identifier(here)}")
            aliases.setdefault(step.target, alias)
            at = alias
        if not entity:
            entity = f"{at}.{identifier(self.entity[1])}"
        others = self._wanted_parents(part, table)
        # a late table → the table whose rows it tells of: the aggregate's own, or a parent
        later = {n: table if self._beside(n, table) else self._rows_of(n)[0] for n in others if n in self.moved.values()}
        for name in others:
            joins += self._join_parent(part, table, later.get(name, name), aliases)
        time = self._time(part, table, aliases, path)
        start, end = self._interval(part.start, False), self._interval(part.end, target)
        window = f"{time} > s.timestamp{start} AND {time} <= s.timestamp{end}"
        source, place = self._placed(part, table)
        if time.startswith("r."):
            lines = ("FROM timestamps s", f"JOIN {source} r ON {window}", *joins)
        else:
            lines = (f"FROM {source} r", *joins, f"JOIN timestamps s ON {window}")
        lines += tuple(
            self._join_late(rows, name, f"s.timestamp{end}", aliases, aliases[rows]) for name, rows in later.items()
        )
        return Joined(lines, entity, aliases, any(not step.up for step in path), time, place)

    def _rows_of(self, table: str) -> tuple[str, str]:
        """The table from which an import moved the columns of `table`, and the column by which `table` names its rows; where
        nothing moved, `table` itself and its key."""
        for (owner, _), child in self.moved.items():
            if child == table:
                return owner, next(column for column, parent in self.tables[child].fkeys.items() if parent == owner)
        return table, self._key(table)

    def _beside(self, name: str, table: str | None) -> bool:
        """Whether `name` and `table` hold columns that an import moved off one table."""
        return table is not None and name in self.moved.values() and self._rows_of(name)[0] == self._rows_of(table)[0]

    def _moved_off_parent(self, name: str, table: str) -> bool:
        """Whether `name` holds columns that moved off a parent of `table`."""
        source = self._rows_of(name)[0]
        return name in self.moved.values() and table not in (name, source) and bool(upward(self.tables, table, source))

    def _join_late(self, table: str, child: str, end: str, aliases: dict[str, str], row: str) -> str:
        """What was known of each row by the end of the window: null where it came later or never."""
        aliases[child] = alias = f"l{len(aliases)}"
        same = f"{alias}.{identifier(self._rows_of(child)[1])} = {row}.{identifier(self._rows_of(table)[1])}"
        time = f"{alias}.{identifier(self.tables[child].time_col or '')}"
        return f"LEFT JOIN {identifier(child)} {alias} ON {same} AND {time} <= {end}"

    def late_entity(self, column: Column) -> str | None:
        """The child table that holds a column of the entity that an import moved; None where it did not."""
        table, _ = self.resolve(column)
        return table if table != self.entity[0] and self._beside(table, self.entity[0]) else None

    def joined_late(self, expression: Expression | None) -> tuple[list[str], dict[str, str]]:
        """Joins to what is known at t of the entity's columns that moved and that `expression` names, and their aliases."""
        aliases: dict[str, str] = {}
        found = [c for c in walk(expression) if isinstance(c, Column)] if expression is not None else []
        tables = dict.fromkeys(late for c in found if (late := self.late_entity(c)) is not None)
        return [self._join_late(self.entity[0], t, "s.timestamp", aliases, "e") for t in tables], aliases

    def _placed(self, part: Aggregate, table: str) -> tuple[str, str]:
        """The SQL of `table` as alias r, and of a row's place in canonical order where FIRST or LAST needs it."""
        key = self.tables[table].pkey
        if part.function not in ("FIRST", "LAST"):
            return identifier(table), ""
        if key is not None:
            return identifier(table), f"r.{identifier(key)}"
        place = "place"
        while place.lower() in {name.lower() for name in self.columns[table]}:
            place += "_"
        return f"(SELECT *, row_number() OVER () AS {place} FROM {identifier(table)})", f"r.{place}"

    def _key(self, table: str) -> str:
        return self.tables[table].pkey or ""

    def _wanted_parents(self, part: Aggregate, table: str) -> list[str]:
        """Other tables that the aggregate's value and inner filter name."""
        inner = [*walk(part.value), *(walk(part.where) if part.where is not None else [])]
        named = {self._owner(c): c for c in inner if isinstance(c, Column)}
        return [name for name in named if name != table]

    def _join_parent(self, part: Aggregate, table: str, name: str, aliases: dict[str, str]) -> list[str]:
        if name in aliases:
            return []
        paths = self.parent_paths(table, name)
        if len(paths) != 1:
            what = f"{len(paths)} paths lead" if paths else "no foreign keys lead up"
            listed = ": " + "; ".join(shown(p) for p in paths) if paths else ""
            raise self.error(part.at, f"{what} from {table!r} to {name!r}{listed}")
        joins, at = [], "r"
        for step in paths[0]:
            if step.target not in aliases:
                aliases[step.target] = f"p{len(aliases)}"
                joins.append(
                    f"JOIN {identifier(step.parent)} {aliases[step.target]} "
                    f"ON {aliases[step.target]}.{identifier(self._key(step.parent))} = {at}.{identifier(step.column)}"
                )
            at = aliases[step.target]
        return joins

    def _time(self, part: Aggregate, table: str, aliases: Mapping[str, str], path: Path) -> str:
        """The time of the aggregate's rows: their own, else that of the nearest table on the way to the entity."""
        for name in (table, *(step.target for step in path)):
            time = self.tables[name].time_col
            if time is not None and name in aliases:
                return f"{aliases[name]}.{identifier(time)}"
        raise self.error(part.at, f"table {table!r} has no time column, nor has a table between it and the entity")

    def value(self, part: Aggregate, rows: Joined, table: str) -> str:
        """The aggregate's SQL expression."""
        if part.function == "COUNT" and isinstance(part.value, Column) and part.value.name is None:
            key = self.tables[table].pkey
            if not rows.many:
                return "COUNT(*)"
            if key is None:
                raise self.error(part.at, f"rows of {table!r} meet an entity more than once and have no key to count by")
            return f"COUNT(DISTINCT r.{identifier(key)})"
        inner = self.sql(part.value, lambda c: self._inner(c, rows))
        if rows.many and part.function in ("SUM", "AVG", "COUNT", "FIRST", "LAST"):
            raise self.error(
                part.at, f"rows of {table!r} meet an entity more than once, so {part.function} would count them twice"
            )
        if part.function in ("COUNT_DISTINCT", "LIST_DISTINCT"):
            return f"{part.function.removesuffix('_DISTINCT')}(DISTINCT {inner})"
        if part.function in ("FIRST", "LAST"):
            chooser = "arg_min" if part.function == "FIRST" else "arg_max"
            # rows of one time are distinguished by their place in canonical order
            return f"{chooser}({inner}, ({rows.time}, {rows.place}))"
        if part.function == "AVG" and isinstance(part.value, Column) and pa.types.is_boolean(self.kind(part.value)):
            return f"AVG(CAST({inner} AS INTEGER))"
        return f"{part.function}({inner})"

    def _inner(self, column: Column, rows: Joined) -> str:
        table, name = self.resolve(column)
        return f"{rows.aliases[table]}.{identifier(name)}"

    def common_table(self, name: str, part: Aggregate, target: bool) -> str:
        """`name AS (SELECT … GROUP BY …)` with columns timestamp, entity and value."""
        rows = self.joined(part, target)
        value = self.value(part, rows, self.own_table(part))
        conditions = [f"{rows.entity} IS NOT NULL"]
        if part.where is not None:
            conditions.append(bracketed(part.where, self.sql(part.where, lambda c: self._inner(c, rows))))
        if part.function == "LIST_DISTINCT":
            conditions.append(f"{self.sql(part.value, lambda c: self._inner(c, rows))} IS NOT NULL")
        body = [
            f"SELECT s.timestamp, {rows.entity} AS entity, {value} AS value",
            *rows.lines,
            "WHERE " + "\n  AND ".join(conditions),
            "GROUP BY ALL",
        ]
        return f"{name} AS (\n" + "\n".join("    " + line for part in body for line in part.split("\n")) + "\n)"

    # -- expressions --------------------------------------------------------------------------------------------------

    def sql(self, expression: Expression, column: object, aggregate: Mapping[int, str] | None = None) -> str:
        """`expression` in SQL; `column` names a column's SQL, `aggregate` maps an aggregate's position to its SQL."""
        if isinstance(expression, Column):
            return str(column(expression))  # type: ignore[operator]
        if isinstance(expression, Literal):
            value = expression.value
            return text(value) if isinstance(value, str) else str(value).upper() if isinstance(value, bool) else str(value)
        if isinstance(expression, Aggregate):
            assert aggregate is not None  # the reader refuses nested aggregates
            return aggregate[expression.at]
        parts = [self.sql(operand, column, aggregate) for operand in expression.operands]
        if self.is_difference(expression):
            first, second = (f"epoch_us(CAST({part} AS TIMESTAMP))" for part in parts)
            return f"({first} - {second}) / 86400000000.0"
        return operation(expression, parts)

    def is_difference(self, expression: Expression) -> bool:
        """Whether `expression` subtracts a time from a time, which gives days."""
        return is_difference(expression, self.kind)

    def check_times(self) -> None:
        wrong = misuse(self.query.target, self.kind) or misuse(self.query.where, self.kind)
        if wrong is not None:
            raise self.error(
                wrong.at,
                f"{said(wrong)} takes a time for a number; two times subtract to days, and a time compares with a time "
                "or a text such as '2024-01-31'",
            )


def _meant(name: str, choices: Mapping[str, object]) -> str | None:
    if name in choices:
        return name
    same = [choice for choice in choices if choice.lower() == name.lower()]
    return same[0] if len(same) == 1 else None


def interval(length: pd.Timedelta) -> str:
    """`length` as DuckDB reads intervals, in its largest whole unit."""
    seconds = int(length.total_seconds())
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"
