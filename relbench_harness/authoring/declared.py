"""The names in declared keys as the tables themselves spell them.

SQLite, DuckDB and MySQL take names in foreign keys whatever their letter case, and hand them out as they were written there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from relbench_harness.authoring.sources import Reference, SourceTable


def spelled(tables: Mapping[str, SourceTable], columns: Mapping[str, Sequence[str]]) -> dict[str, SourceTable]:
    """`tables` with every name in a key as it stands in `columns` (table → its columns).

    A reference without parent columns is one to the parent's primary key. One to a table or column that is not there is left out.
    """
    keys = {name: tuple(_named(c, columns[name]) or c for c in table.key) for name, table in tables.items()}
    found = {}
    for name, table in tables.items():
        references = [_spelled(name, r, keys, columns) for r in table.references]
        found[name] = replace(table, key=keys[name], references=tuple(r for r in references if r is not None))
    return found


def keyed_columns(name: str, tables: Mapping[str, SourceTable]) -> set[str]:
    """The columns of table `name` that are part of a declared key or that a foreign key names, in lower case."""
    found = {*tables[name].key, *(c for r in tables[name].references for c in r.columns)}
    for table in tables.values():
        for reference in table.references:
            found |= set(reference.parent_columns) if reference.parent.lower() == name.lower() else set()
    return {column.lower() for column in found}


def _spelled(
    name: str, reference: Reference, keys: Mapping[str, tuple[str, ...]], columns: Mapping[str, Sequence[str]]
) -> Reference | None:
    parent = _named(reference.parent, columns)
    if parent is None:
        return None
    own = [_named(c, columns[name]) for c in reference.columns]
    theirs = [_named(c, columns[parent]) for c in reference.parent_columns or keys[parent]]
    if None in own or None in theirs or len(own) != len(theirs):
        return None
    return Reference(tuple(c for c in own if c), parent, tuple(c for c in theirs if c))


def _named(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `name` means: the same, else the only one that differs in letter case."""
    names = list(known)
    if name in names:
        return name
    alike = [n for n in names if n.lower() == name.lower()]
    return alike[0] if len(alike) == 1 else None
