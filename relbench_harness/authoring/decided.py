"""Decisions read back from a manifest, which a user may have edited, for importing again by them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa

from relbench_harness.authoring.identifiers import free
from relbench_harness.authoring.numbering import Decision
from relbench_harness.authoring.sources import Reference
from relbench_harness.authoring.staging import Staged
from relbench_harness.errors import InputError, nearest


def decided(
    manifest: Mapping[str, Any], staged: Mapping[str, Staged], times: Mapping[str, str | None], known: Collection[str]
) -> tuple[dict[str, Decision], dict[str, Reference]]:
    """The decision on each staged table, as the manifest's `tables` and `origin` sections say, and who lends its time.

    An entry of `tables` that names columns of the source is taken as it stands; a name that an import made (a key of several
    columns, an inherited time) is looked up in `origin`.

    Args:
        times: Table → its time column, or None for none, given now: it goes before the manifest.
        known: All tables of the source. One that is declared and not staged was left out by an option, and so are the foreign
            keys to it.

    Returns:
        Decisions by table, and for each table with an inherited time the reference to the parent that lends it.
    """
    tables: dict[str, Any] = manifest.get("tables") or {}
    origin: dict[str, Any] = manifest.get("origin") or {}
    for name in staged:
        if name not in tables:
            raise InputError(f"the manifest does not declare table {name!r}; {nearest(name, tables)}")
    for name in tables:
        if name not in staged and name not in known:
            raise InputError(f"the manifest declares table {name!r}, which the source lacks; {nearest(name, known)}")
    entries = {name: _entry(name, tables[name]) for name in staged}
    decisions = {name: Decision(_key(name, entries[name], origin, staged[name])) for name in staged}
    lent = {}
    for name, decision in decisions.items():
        for column, parent in (entries[name].get("fkeys") or {}).items():
            if parent in tables and parent not in staged:
                continue
            decision.references.append(foreign_key(name, str(column), str(parent), origin, decisions, staged))
        if name in times:
            column = times[name]
        else:
            column = entries[name].get("time_col")
            lender = _lender(name, column, origin, decision, staged[name])
            if lender is not None:
                lent[name] = lender
                continue
        decision.time = None if column is None else _time(name, column, staged[name])
    return decisions, lent


def _entry(name: str, entry: object) -> Mapping[str, Any]:
    if entry is not None and not isinstance(entry, Mapping):
        raise InputError(f"the manifest's entry of table {name!r} is no mapping")
    return entry or {}


def _present(name: str, columns: Sequence[str], staged: Staged) -> tuple[str, ...]:
    for column in columns:
        if column not in staged.schema.names:
            raise InputError(f"table {name!r} has no column {column!r}; {nearest(column, staged.schema.names)}")
    return tuple(columns)


def _key(name: str, entry: Mapping[str, Any], origin: Mapping[str, Any], staged: Staged) -> tuple[str, ...]:
    key = entry.get("pkey")
    if key is None:
        return ()
    if isinstance(key, list):
        return _present(name, [str(column) for column in key], staged)
    made = (origin.get("keys") or {}).get(name)
    if made and str(key) == free(f"{name}_key", staged.schema.names):
        return _present(name, [str(column) for column in made], staged)
    return _present(name, [str(key)], staged)


def foreign_key(
    name: str,
    column: str,
    parent: str,
    origin: Mapping[str, Any],
    decisions: Mapping[str, Decision],
    staged: Mapping[str, Staged],
) -> Reference:
    """The foreign key `name`.`column`: its columns at the source, and those of the parent that they name."""
    if parent not in decisions:
        raise InputError(f"{name}.{column} refers to table {parent!r}, which is not imported; {nearest(parent, decisions)}")
    said = (origin.get("references") or {}).get(name, {}).get(column)
    # folders of an earlier version list the columns alone
    said = {"columns": said} if isinstance(said, list) else dict(said or {})
    own = tuple(str(c) for c in said.get("columns") or [column])
    theirs = tuple(str(c) for c in said.get("parent_columns") or ()) if said.get("parent", parent) == parent else ()
    theirs = theirs or decisions[parent].key
    if not theirs:
        raise InputError(f"{name}.{column} refers to table {parent!r}, which has no primary key")
    _present(name, own, staged[name])
    _present(parent, theirs, staged[parent])
    if len(own) != len(theirs):
        raise InputError(f"{name}.{column} has {len(own)} columns, the key of {parent!r} {len(theirs)}")
    return Reference(own, parent, theirs)


def _lender(
    name: str, column: str | None, origin: Mapping[str, Any], decision: Decision, staged: Staged
) -> Reference | None:
    """The reference by which the time `column`, which the source lacks, was taken from a parent."""
    through = (origin.get("times") or {}).get(name)
    if column is None or through is None or column in staged.schema.names:
        return None
    return next((r for r in decision.references if ", ".join(r.columns) == through), None)


def _time(name: str, column: str, staged: Staged) -> str:
    _present(name, [column], staged)
    kind = staged.schema.field(column).type
    if not pa.types.is_timestamp(kind):
        raise InputError(f"{name}.{column} is {kind} and reads as no time")
    return column
