"""Which tables of a source are imported, and how the options name tables and columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from relbench_harness.authoring.sources import SourceTable
from relbench_harness.errors import InputError, nearest


def chosen_tables(
    tables: Sequence[SourceTable], only: Sequence[str], exclude: Sequence[str], label: str, notes: list[str]
) -> dict[str, SourceTable]:
    """The tables that are imported: all that hold rows of their own, or those that `only` names, less those of `exclude`.

    Args:
        notes: Takes the views and foreign tables that are left out.

    Raises:
        InputError: A name that no table has, or nothing that is left.
    """
    known = {table.name: table for table in tables}
    wanted = {found(name, tables, label) for name in only}
    without = {found(name, tables, label) for name in exclude}
    for kind in sorted({t.kind for t in tables} - {"table"}):
        shown = [t.name for t in tables if t.kind == kind and t.name not in wanted | without]
        if shown:
            those = f"1 {kind} is" if len(shown) == 1 else f"{len(shown)} {kind}s are"
            notes.append(f"{those} left out ({_some(shown)}); --only takes one that it names")
    chosen = {
        name: table
        for name, table in known.items()
        if name not in without and (name in wanted if wanted else table.kind == "table")
    }
    if not chosen:
        raise InputError(f"no table of {label} is left to import; it has {_some(sorted(known))}")
    return chosen


def found(name: str, tables: Sequence[SourceTable], label: str) -> str:
    """The name of the table that `name` means: its own, or `schema.table`."""
    for table in tables:
        if name in (table.name, table.qualified):
            return table.name
    same = [table for table in tables if table.bare == name]
    if same:
        raise InputError(f"{label} has several tables {name!r}; name one of {', '.join(t.qualified for t in same)}")
    raise InputError(f"{label} has no table {name!r}; {nearest(name, [t.name for t in tables])}")


def column_of(option: str, name: str, columns: Mapping[str, Iterable[str]]) -> tuple[str, str]:
    """The table and the column that `name`, TABLE.COLUMN, means. Raises `InputError` with the nearest that there is."""
    for table, known in columns.items():
        if name.startswith(f"{table}.") and name[len(table) + 1 :] in known:
            return table, name[len(table) + 1 :]
    table, dot, column = name.rpartition(".")
    if not dot or not table or not column:
        raise InputError(f"{option} {name!r} does not read TABLE.COLUMN")
    if table not in columns:
        raise InputError(f"{option} {name}: no table {table!r} is imported; {nearest(table, columns)}")
    raise InputError(f"{option} {name}: table {table!r} has no column {column!r}; {nearest(column, columns[table])}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "")


def check_table_names(tables: Iterable[str]) -> None:
    """Raises `InputError` for names that differ in case only, or that no file and no relation of a task can have."""
    seen: dict[str, str] = {}
    for name in tables:
        if name.lower() in seen:
            raise InputError(
                f"tables {seen[name.lower()]!r} and {name!r} differ in case only, which SQL over them cannot tell apart; "
                "--exclude leaves one of them out"
            )
        seen[name.lower()] = name
        check_file_name(name)


def check_file_name(table: str) -> None:
    """Raises `InputError` for a name that no file, or no relation of a task, can have."""
    if table.lower() == "timestamps":
        raise InputError("a table cannot be called 'timestamps': a task's SQL has its times under that name")
    if "/" in table or "\\" in table or table.startswith("."):
        raise InputError(f"table {table!r}: a name with '/' or a leading '.' cannot be a file's")
