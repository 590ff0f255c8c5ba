"""From a predictive query to a task's manifest: the kind of task, its SQL, and the query itself kept beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from relbench.manifest import TableSpec, TaskManifest

from relbench_harness.authoring.identifiers import identifier
from relbench_harness.authoring.label_sql import SUMMED, Compiler, interval
from relbench_harness.authoring.predictive_query import (
    Aggregate,
    Column,
    Expression,
    Literal,
    Operation,
    Query,
    aggregates,
    parse,
    said,
    walk,
)
from relbench_harness.authoring.sql_operations import bracketed
from relbench_harness.data.task import Kind, TaskType
from relbench_harness.errors import InputError

_BOOLEAN = {"AND", "OR", "NOT", "=", "<>", "<", ">", "<=", ">=", "within", "not_within", "is_null", "is_not_null"}
_BOOLEAN |= {"like", "not_like", "contains", "starts_with", "ends_with"}
_NUMERIC = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)


def task_manifest(
    name: str,
    query: str | Query,
    tables: Mapping[str, TableSpec],
    columns: Mapping[str, Mapping[str, pa.DataType]],
    num_eval_timestamps: int = 1,
    moved: Mapping[tuple[str, str], str] | None = None,
) -> dict[str, Any]:
    """The manifest of the task that a predictive query defines, as RelBench writes it, with the `query` beside it.

    Args:
        name: The task's name.
        tables: Keys, time columns and foreign keys by table.
        columns: Column types by table.
        moved: (table, column) → the child table to which an import moved the column.
        num_eval_timestamps: At how many times, a horizon apart, validation and test ask.

    Raises:
        InputError: A query that cannot be read or compiled; the message points at the column of the query.
    """
    query = parse(query) if isinstance(query, str) else query
    compiler = Compiler(query, tables, columns, moved or {})
    compiler.check_filter()
    compiler.check_times()
    if not aggregates(query.target):
        _check_single(num_eval_timestamps, "a column target is asked once of every row, at the row's own time")
        manifest = _autocomplete(name, compiler)
    elif query.top is not None or _is_list(query.target):
        _check_single(num_eval_timestamps, "recommendations are asked at one time per split, as in RelBench")
        manifest = _recommendation(name, compiler)
    else:
        manifest = _forecast(name, compiler, num_eval_timestamps)
    manifest.validate()
    return {**manifest.to_dict(), "query": query.text}


def _check_single(num_eval_timestamps: int, why: str) -> None:
    if num_eval_timestamps != 1:
        raise InputError(f"--eval-timestamps {num_eval_timestamps} does not go with this query: {why}; leave it out")


def _is_list(target: Expression) -> bool:
    return isinstance(target, Aggregate) and target.function == "LIST_DISTINCT"


def _is_boolean(target: Expression) -> bool:
    return (isinstance(target, Operation) and target.operator in _BOOLEAN) or (
        isinstance(target, Literal) and isinstance(target.value, bool)
    )


def _own(name: str, taken: set[str]) -> str:
    """`name`, or a variation of it that is not in `taken`."""
    while name.lower() in {t.lower() for t in taken}:
        name += "_"
    return name


def _task_type(compiler: Compiler, target: Expression) -> TaskType:
    if _is_boolean(target):
        return TaskType.BINARY
    kind: pa.DataType | None = None
    at = target.at
    if isinstance(target, Aggregate) and target.function in ("FIRST", "LAST", "MIN", "MAX"):
        if isinstance(target.value, Column):
            kind = compiler.kind(target.value)
    elif isinstance(target, Column):
        kind = compiler.kind(target)
    if kind is None:
        return TaskType.REGRESSION
    if pa.types.is_boolean(kind):
        return TaskType.BINARY
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return TaskType.MULTICLASS
    if pa.types.is_temporal(kind):
        raise compiler.error(at, "a time is no target; predict a count, a sum or a condition")
    return TaskType.REGRESSION


def _check_numbers(compiler: Compiler) -> None:
    """SUM and AVG are of numbers, a list stands alone."""
    for part in aggregates(compiler.query.target) + aggregates(compiler.query.where):
        if part.function == "LIST_DISTINCT":
            raise compiler.error(part.at, "LIST_DISTINCT stands alone as the target, with RANK TOP k")
        if part.function not in ("SUM", "AVG"):
            continue
        for column in _numbers(compiler, part.value):
            kind = compiler.kind(column)
            if not any(test(kind) for test in _NUMERIC):
                raise compiler.error(column.at, f"{part.function} needs numbers, and {column.name!r} is {kind}")


def _numbers(compiler: Compiler, value: Expression) -> list[Column]:
    """The columns of `value` that must be numbers: all but those of differences of times."""
    if compiler.is_difference(value):
        return []
    if isinstance(value, Operation):
        return [column for operand in value.operands for column in _numbers(compiler, operand)]
    return [value] if isinstance(value, Column) and value.name is not None else []


def _forecast(name: str, compiler: Compiler, num_eval_timestamps: int) -> TaskManifest:
    query = compiler.query
    _check_numbers(compiler)
    kind = _task_type(compiler, query.target)
    table, key = compiler.entity
    time_col = _own("timestamp", {key})
    target_col = _own(identifier_like(name), {key, time_col})
    return TaskManifest(
        name=name,
        kind=str(Kind.FORECAST),
        task_type=str(kind),
        description=query.text,
        entity_table=table,
        entity_col=key,
        target_col=target_col,
        time_col=time_col,
        timedelta=interval(compiler.horizon),
        num_eval_timestamps=num_eval_timestamps,
        sql=_entity_sql(compiler, kind, time_col, target_col),
    )


def identifier_like(name: str) -> str:
    """A task's name as a column name."""
    return "".join(c if c.isalnum() else "_" for c in name) or "target"


def _common_tables(compiler: Compiler) -> tuple[dict[int, str], list[str]]:
    """The name of each aggregate's common table by its position, and their SQL."""
    names: dict[int, str] = {}
    written: list[str] = []
    taken = {*compiler.tables, "timestamps"}
    for prefix, expression in (("future", compiler.query.target), ("past", compiler.query.where)):
        parts = aggregates(expression)
        for index, part in enumerate(parts):
            label = _own(prefix if len(parts) == 1 else f"{prefix}_{index + 1}", taken)
            taken.add(label)
            names[part.at] = label
            written.append(compiler.common_table(identifier(label), part, prefix == "future"))
    return names, written


def _values(compiler: Compiler, names: Mapping[int, str]) -> dict[int, str]:
    """The SQL of each aggregate's value in the final SELECT: 0 over no rows where that is what it means."""
    parts = aggregates(compiler.query.target) + aggregates(compiler.query.where)
    return {
        part.at: f"COALESCE({identifier(names[part.at])}.value, 0)"
        if part.function in SUMMED
        else f"{identifier(names[part.at])}.value"
        for part in parts
    }


def _existing(compiler: Compiler) -> list[str]:
    """Conditions on the entity: it exists, and the query's filter holds."""
    table, _ = compiler.entity
    time = compiler.tables[table].time_col
    return [] if time is None else [f"e.{identifier(time)} <= s.timestamp"]


def _entity_column(compiler: Compiler, column: Column, late: Mapping[str, str]) -> str:
    """The SQL of a column of the entity; `late` names the aliases of the tables to which columns of it moved."""
    table, name = compiler.resolve(column)
    if table in late:
        return f"{late[table]}.{identifier(name)}"
    if table != compiler.entity[0]:
        raise compiler.error(
            column.at,
            f"{column.table!r} is not the entity's table; outside an aggregate only {compiler.entity[0]!r} has columns",
        )
    return f"e.{identifier(name)}"


def _entity_sql(compiler: Compiler, kind: TaskType, time_col: str, target_col: str) -> str:
    query = compiler.query
    names, written = _common_tables(compiler)
    values = _values(compiler, names)
    table, key = compiler.entity
    late_joins, late = compiler.joined_late(query.where)

    def column(c: Column) -> str:
        return _entity_column(compiler, c, late)

    target = compiler.sql(query.target, column, values)
    conditions = _existing(compiler)
    if query.where is not None:
        conditions.append(bracketed(query.where, compiler.sql(query.where, column, values)))
    optional = any(part.function not in SUMMED for part in aggregates(query.target))
    if optional or any(isinstance(part, Operation) and part.operator == "/" for part in walk(query.target)):
        conditions.append(f"({target}) IS NOT NULL")
    if kind is TaskType.BINARY:
        target = f"CAST({target} AS BIGINT)"
    joins = [*(_joined(identifier(n), key) for n in names.values()), *late_joins]
    lines = [
        "WITH " + ", ".join(written),
        f"SELECT s.timestamp AS {identifier(time_col)}, e.{identifier(key)} AS {identifier(key)},",
        f"       {target} AS {identifier(target_col)}",
        "FROM timestamps s",
        f"CROSS JOIN {identifier(table)} e",
        *joins,
    ]
    if conditions:
        lines.append("WHERE " + "\n  AND ".join(conditions))
    return "\n".join(lines)


def _joined(name: str, key: str) -> str:
    return f"LEFT JOIN {name} ON {name}.timestamp = s.timestamp AND {name}.entity = e.{identifier(key)}"


def _recommendation(name: str, compiler: Compiler) -> TaskManifest:
    query = compiler.query
    target = query.target
    if not (isinstance(target, Aggregate) and target.function == "LIST_DISTINCT"):
        raise compiler.error(target.at, "RANK TOP k ranks the items of a LIST_DISTINCT target")
    if query.top is None:
        raise compiler.error(target.at, "a LIST_DISTINCT target needs RANK TOP k: how many items are recommended")
    if not isinstance(target.value, Column):
        raise compiler.error(target.value.at, "LIST_DISTINCT takes one foreign-key column")
    owner, column = compiler.resolve(target.value)
    items = compiler.tables[owner].fkeys.get(column)
    if items is None and column == compiler.tables[owner].pkey:
        items = owner
    if items is None:
        raise compiler.error(target.value.at, f"{owner}.{column} is no foreign key, so its values are no items to rank")
    table, key = compiler.entity
    time_col = _own("timestamp", {key})
    item_col = _own(str(compiler.tables[items].pkey), {key, time_col})
    names, written = _common_tables(compiler)
    values = _values(compiler, names)
    label = identifier(names[target.at])
    filters = [identifier(names[part.at]) for part in aggregates(query.where)]
    conditions = _existing(compiler)
    late_joins, late = compiler.joined_late(query.where)
    if query.where is not None:
        condition = compiler.sql(query.where, lambda c: _entity_column(compiler, c, late), values)
        conditions.append(bracketed(query.where, condition))
    lines = [
        "WITH " + ", ".join(written),
        f"SELECT s.timestamp AS {identifier(time_col)}, e.{identifier(key)} AS {identifier(key)}, "
        f"{label}.value AS {identifier(item_col)}",
        "FROM timestamps s",
        f"JOIN {label} ON {label}.timestamp = s.timestamp",
        f"JOIN {identifier(table)} e ON e.{identifier(key)} = {label}.entity",
        *(_joined(n, key) for n in filters),
        *late_joins,
    ]
    if conditions:
        lines.append("WHERE " + "\n  AND ".join(conditions))
    return TaskManifest(
        name=name,
        kind=str(Kind.FORECAST),
        task_type=str(TaskType.RECOMMENDATION),
        description=query.text,
        target_col=item_col,
        time_col=time_col,
        src_entity_table=table,
        src_entity_col=key,
        dst_entity_table=items,
        dst_entity_col=item_col,
        eval_k=query.top,
        timedelta=interval(compiler.horizon),
        sql="\n".join(lines),
    )


def _autocomplete(name: str, compiler: Compiler) -> TaskManifest:
    """`PREDICT table.column FOR EACH table.key`: fill in a column of the entity's own row."""
    query, table = compiler.query, compiler.entity[0]
    target = query.target
    if not isinstance(target, Column):
        raise compiler.error(target.at, "a target is an aggregate over a window, or one column of the entity's table")
    if query.where is not None:
        raise compiler.error(query.where.at, "a column target is asked of every row, so it takes no WHERE")
    owner, column = compiler.resolve(target)
    if compiler.late_entity(target) is not None:
        raise compiler.error(
            target.at,
            f"{table}.{column} is known later than its row, and the import moved it to {owner!r}; predict it by an aggregate over "
            f"a window, such as LAST({said(target)}, 0, 30, days)",
        )
    if owner != table:
        raise compiler.error(target.at, f"{owner}.{column} is no column of the entity's table {table!r}")
    spec = compiler.tables[table]
    if column in (spec.pkey, spec.time_col) or column in spec.fkeys:
        raise compiler.error(target.at, f"{column!r} is a key or the time of {table!r}, which is no target")
    if spec.time_col is None:
        raise compiler.error(target.at, f"table {table!r} has no time column, so its rows cannot be split by time")
    return TaskManifest(
        name=name,
        kind=str(Kind.AUTOCOMPLETE),
        task_type=str(_task_type(compiler, target)),
        description=query.text,
        entity_table=table,
        target_col=column,
    )
