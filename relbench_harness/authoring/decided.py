"""Decisions read back from a manifest that a user has edited, for importing again by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from relbench_harness.authoring.numbering import Decision
from relbench_harness.authoring.sources import Reference
from relbench_harness.authoring.staging import Staged
from relbench_harness.errors import InputError, nearest


def decided(manifest: Mapping[str, Any], staged: Mapping[str, Staged]) -> dict[str, Decision]:
    """The decision on each staged table, as the manifest's `tables` and `origin` sections say.

    `origin.keys` and `origin.references` name the source's columns where a key of several columns became one.
    """
    tables: dict[str, Any] = manifest.get("tables") or {}
    origin: dict[str, Any] = manifest.get("origin") or {}
    decisions = {}
    for name in staged:
        if name not in tables:
            raise InputError(f"the manifest does not declare table {name!r}; {nearest(name, tables)}")
        decisions[name] = Decision(key=_key(name, tables, origin))
    for name, decision in decisions.items():
        entry = tables[name] or {}
        columns = staged[name].schema.names
        # a time that was taken from a parent is no column of the source, and is taken again
        decision.time = None if name in (origin.get("times") or {}) else entry.get("time_col")
        named = [*decision.key, *([decision.time] if decision.time else [])]
        for column, parent in (entry.get("fkeys") or {}).items():
            if parent not in decisions:
                raise InputError(
                    f"{name}.{column} refers to table {parent!r}, which is not imported; {nearest(parent, decisions)}"
                )
            if not decisions[parent].key:
                raise InputError(f"{name}.{column} refers to table {parent!r}, which has no primary key")
            own = tuple((origin.get("references") or {}).get(name, {}).get(column) or [column])
            decision.references.append(Reference(own, parent, decisions[parent].key))
            if len(own) != len(decisions[parent].key):
                raise InputError(
                    f"{name}.{column} has {len(own)} columns, the key of {parent!r} {len(decisions[parent].key)}"
                )
            named += own
        for column in named:
            if column not in columns:
                raise InputError(f"table {name!r} has no column {column!r}; {nearest(column, columns)}")
        if decision.time is not None and pa.types.is_string(staged[name].schema.field(decision.time).type):
            decision.moments.add(decision.time)
    return decisions


def _key(name: str, tables: Mapping[str, Any], origin: Mapping[str, Any]) -> tuple[str, ...]:
    key = (tables[name] or {}).get("pkey")
    if key is None:
        return ()
    if isinstance(key, list):
        return tuple(str(column) for column in key)
    return tuple((origin.get("keys") or {}).get(name) or [key])
