"""What PostgreSQL's catalogue says of tables: which are whole, which are parts of others, and how they refer to each other.

The rows of a partition, or of a table that inherits, are rows of its parent: the parent is read, and its parts with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from relbench_harness.authoring.reflection import Declared, Place

_KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialised view", "f": "foreign table"}
_RELATIONS = """
SELECT n.nspname, c.relname, c.relkind::text, pn.nspname, p.relname,
    has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT'),
    EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'),
    ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN (pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace)
    ON i.inhrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' AND n.nspname = ANY(:schemas)
ORDER BY 1, 2, i.inhseqno
"""
_CONSTRAINTS = """
SELECT n.nspname, c.relname, con.contype::text, fn.nspname, f.relname,
    ARRAY(SELECT a.attname::text FROM unnest(con.conkey) WITH ORDINALITY k(number, place)
        JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.number ORDER BY k.place),
    ARRAY(SELECT a.attname::text FROM unnest(con.confkey) WITH ORDINALITY k(number, place)
        JOIN pg_attribute a ON a.attrelid = con.confrelid AND a.attnum = k.number ORDER BY k.place)
FROM pg_constraint con JOIN pg_class c ON c.oid = con.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN (pg_class f JOIN pg_namespace fn ON fn.oid = f.relnamespace) ON f.oid = con.confrelid
WHERE con.contype IN ('p', 'f') AND n.nspname = ANY(:schemas)
ORDER BY 1, 2, con.conname
"""


def base_type(kind: Any) -> Any:
    """The type that a domain is made of; any other type itself."""
    while isinstance(kind, postgresql.DOMAIN):
        kind = kind.data_type
    return kind


@dataclass
class Catalogue:
    """The relations of some schemas; `parents` leads from a part to the table that it is part of."""

    engine: sa.Engine
    parents: dict[Place, Place] = field(default_factory=dict)
    keys: dict[Place, tuple[str, ...]] = field(default_factory=dict)
    references: dict[Place, list[Declared]] = field(default_factory=dict)

    def relations(self, schemas: Sequence[str], notes: list[str]) -> list[tuple[str, str, str]]:
        """Every (schema, table, kind) that is whole and may be read.

        Args:
            notes: Takes what is left out, and which tables are read as part of another.
        """
        with self.engine.connect() as connection:
            rows = connection.execute(sa.text(_RELATIONS), {"schemas": list(schemas)}).fetchall()
            declared = connection.execute(sa.text(_CONSTRAINTS), {"schemas": list(schemas)}).fetchall()
        kinds: dict[Place, str] = {}
        columns: dict[Place, list[str]] = {}
        several: set[Place] = set()
        for schema, table, kind, parent_schema, parent, readable, extension, names in rows:
            place = (schema, table)
            if extension:
                continue
            if not readable:
                notes.append(f"{schema}.{table} may not be read by this user and is left out")
                continue
            several |= {place} if place in kinds else set()
            kinds[place], columns[place] = _KINDS[kind], list(names)
            if parent is not None:
                self.parents.setdefault(place, (parent_schema, parent))
        # a part whose parent is out of reach stands for itself
        self.parents = {part: parent for part, parent in self.parents.items() if parent in kinds}
        self._note_parts(columns, several, notes)
        self._take(declared)
        return [(*place, kind) for place, kind in kinds.items() if place not in self.parents]

    def constraints(self, schema: str, table: str) -> tuple[tuple[str, ...], list[Declared]]:
        """The primary key of a whole table and its foreign keys, those that all its parts declare among them."""
        place = (schema, table)
        return self.keys.get(place, ()), self.references.get(place, [])

    def whole(self, place: Place) -> Place:
        """The table that `place` is part of; itself where it is whole."""
        while place in self.parents:
            place = self.parents[place]
        return place

    def _note_parts(self, columns: dict[Place, list[str]], several: set[Place], notes: list[str]) -> None:
        parts: dict[Place, list[Place]] = {}
        for part in self.parents:
            parts.setdefault(self.whole(part), []).append(part)
        for place, found in sorted(parts.items()):
            shown = ", ".join(table for _, table in sorted(found)[:5]) + (", …" if len(found) > 5 else "")
            own = sorted({f"{p[1]}.{c}" for p in found for c in columns[p] if c not in columns[place]})
            lost = f"; the columns that only parts have are left out: {', '.join(own)}" if own else ""
            those = "the table that is" if len(found) == 1 else f"the {len(found)} tables that are"
            notes.append(f"{place[0]}.{place[1]} is read with {those} part of it ({shown}){lost}")
        for schema, table in sorted(several):
            notes.append(f"{schema}.{table} inherits from several tables; its rows come with each of them")

    def _take(self, declared: Sequence[Any]) -> None:
        """Keys as declared; a reference to a part is one to the whole, and one that all parts make is the whole's."""
        made: dict[Place, list[Declared]] = {}
        for schema, table, kind, parent_schema, parent, columns, theirs in declared:
            place = (schema, table)
            if kind == "p":
                self.keys[place] = tuple(columns)
            else:
                made.setdefault(place, []).append((tuple(columns), self.whole((parent_schema, parent)), tuple(theirs)))
        parts: dict[Place, list[Place]] = {}
        for part, parent in self.parents.items():
            parts.setdefault(parent, []).append(part)

        def of(place: Place) -> list[Declared]:
            below = [of(part) for part in parts.get(place, [])]
            shared = [r for r in below[0] if all(r in other for other in below[1:])] if below else []
            return list(dict.fromkeys([*made.get(place, []), *shared]))

        for place in {*made, *parts}:
            self.references[place] = of(place)
