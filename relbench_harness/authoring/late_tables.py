"""What becomes known later is a row of its own: late columns move to a child table whose time is their date.

`orders.returned_at` with `refund` becomes table `orders_returned_at`: a row for each order that was returned, which names the
order, holds the refund, and is visible from the date on. The manifest's `origin.late` records each move.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from relbench_harness.authoring.column_profile import Workbench
from relbench_harness.authoring.decided import foreign_key
from relbench_harness.authoring.identifiers import free, quoted, text
from relbench_harness.authoring.late_columns import LateColumn, coupled_columns, late_columns
from relbench_harness.authoring.numbering import Decision
from relbench_harness.authoring.proposals import Proposal
from relbench_harness.authoring.sources import Reference
from relbench_harness.authoring.staging import Staged
from relbench_harness.authoring.wanted import Wanted
from relbench_harness.errors import InputError, nearest


@dataclass(frozen=True)
class Move:
    """Columns of `table` that become rows of the child table `child`: a date, its time there, and `companions`.

    `key` is the primary key that the table was given for it, where it had none.
    """

    child: str
    table: str
    column: str
    companions: tuple[str, ...]
    key: str | None = None

    @property
    def recorded(self) -> dict[str, Any]:
        said: dict[str, Any] = {"table": self.table, "column": self.column, "companions": list(self.companions)}
        return said if self.key is None else {**said, "key": self.key}


def recorded_moves(origin: Mapping[str, Any]) -> list[Move]:
    """The moves that a manifest's `origin.late` holds.

    Raises:
        InputError: An entry of another form.
    """
    late = origin.get("late") or {}
    if not isinstance(late, Mapping):
        raise InputError("the manifest's origin.late is no mapping of child tables to their columns")
    moves = []
    for child, said in late.items():
        if (
            not isinstance(said, Mapping)
            or not isinstance(said.get("companions", []), list)
            or not {"table", "column"} <= set(said)
        ):
            raise InputError(f"the manifest's origin.late.{child} needs table, column and a list of companions")
        companions = tuple(str(c) for c in said.get("companions", []))
        key = None if said.get("key") is None else str(said["key"])
        moves.append(Move(str(child), str(said["table"]), str(said["column"]), companions, key))
    return moves


def moved_columns(origin: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """(table, column) → the child table to which an import moved it."""
    return {(m.table, column): m.child for m in recorded_moves(origin) for column in (m.column, *m.companions)}


@dataclass(frozen=True)
class LateTables:
    """Finds late columns of staged tables and moves them, once keys, references and times are decided."""

    staged: dict[str, Staged]
    decisions: dict[str, Decision]
    bench: Workbench

    def found(self) -> list[LateColumn]:
        """The late columns of every table with a time."""
        ends = [
            self.bench.number(f"SELECT epoch_ns(max({quoted(d.time)})) FROM {quoted(name)}")
            for name, d in self.decisions.items()
            if d.time is not None
        ]
        return [
            late
            for name, decision in self.decisions.items()
            if decision.time is not None
            for late in late_columns(
                name, self._columns(name), decision.time, self._fixed(name), max(ends, default=0), self.bench.row
            )
        ]

    def named(self, said: str, companions: Sequence[str] | None) -> Move:
        """The move of `said`, a TABLE.COLUMN, with its companions; those that go with it where None.

        Raises:
            InputError: A table or column that is not there, is no date, or is the table's key or time.
        """
        table = next((n for n in sorted(self.staged, key=len, reverse=True) if said.startswith(f"{n}.")), None)
        if table is None:
            raise InputError(f"--late {said!r} names no table; {nearest(said.partition('.')[0], self.staged)}")
        column = said[len(table) + 1 :]
        self.check(said, table, column, companions or ())
        if companions is None:
            fixed = (column, self.decisions[table].time, *self._fixed(table))
            others = {c: kind for c, kind in self._columns(table).items() if c not in fixed}
            companions = [name for name, _ in coupled_columns(table, column, others, self.bench.row)]
        return self.move(table, column, companions)

    def check(self, said: str, table: str, column: str, companions: Sequence[str]) -> None:
        """Whether columns can move.

        Raises:
            InputError: It names what is not there, is no date, or stays.
        """
        if table not in self.staged:
            raise InputError(f"--late {said}: no table {table!r} is imported; {nearest(table, self.staged)}")
        schema = self.staged[table].schema
        for name in (column, *companions):
            if name not in schema.names:
                raise InputError(f"--late {said}: table {table!r} has no column {name!r}; {nearest(name, schema.names)}")
            if name == self.decisions[table].time or name in self.decisions[table].key:
                raise InputError(f"--late {said}: {name!r} is the time or the key of table {table!r}, which cannot move")
        if not pa.types.is_timestamp(schema.field(column).type):
            raise InputError(f"--late {said}: the column is {schema.field(column).type} and reads as no time")
        if self.decisions[table].time is None:
            raise InputError(
                f"--late {said}: table {table!r} has no time, so nothing of it can be late; --time gives it one"
            )

    def _fixed(self, table: str) -> list[str]:
        """Columns that stay: those of the key, and those of foreign keys of several columns."""
        decision = self.decisions[table]
        return [*decision.key, *(c for r in decision.references if len(r.columns) > 1 for c in r.columns)]

    def move(self, table: str, column: str, companions: Sequence[str]) -> Move:
        return Move(free(f"{table}_{column}", self.staged), table, column, tuple(companions))

    def _columns(self, table: str) -> dict[str, pa.DataType]:
        return {f.name: f.type for f in self.staged[table].schema}

    def apply(self, move: Move) -> Move:
        """Make the child table and take the columns off their own; returns the move with the key that it needed."""
        parent, decision = self.staged[move.table], self.decisions[move.table]
        assert decision.time is not None  # whoever calls has looked
        if not decision.key:
            move = replace(move, key=self._number(parent, decision))
        gone = {move.column, *move.companions}
        keys = [c for key in decision.key for c in dict.fromkeys((key, parent.keyed(key)[0]))]
        kept = [*decision.key, move.column, *move.companions]
        raw = [parent.raw[c] for c in (*decision.key, *move.companions) if c in parent.raw]
        date, time = quoted(move.column), quoted(decision.time)
        # a date without a time of day lies at the start of its day; nothing is known of a row before the row is there
        shown = {move.column: f"greatest({date}, {time}) AS {date}"}
        selected = ", ".join(shown.get(c, quoted(c)) for c in dict.fromkeys((*keys, *kept, *raw)))
        child = Staged(move.child, parent.path.with_name(f"{parent.path.name}.{len(self.staged)}.late.parquet"))
        child.position = free("position", [*kept, *raw])
        child.schema = pa.schema([parent.schema.field(c) for c in kept])
        child.raw = {c: parent.raw[c] for c in kept if c in parent.raw and c != move.column}
        child.ticks = parent.ticks & set(child.raw)
        child.numeric = parent.numeric & set(kept)
        there = f"{date} IS NOT NULL AND {time} IS NOT NULL"
        self.bench.connection.execute(
            f"COPY (SELECT {selected}, row_number() OVER (ORDER BY {quoted(parent.position)}) - 1 AS {quoted(child.position)} "
            f"FROM {quoted(move.table)} WHERE {there}) TO {text(str(child.path))} (FORMAT parquet)"
        )
        self.bench.view(move.child, child.path)
        child.rows = self.bench.number(f"SELECT count(*) FROM {quoted(move.child)}")
        moved = [r for r in decision.references if set(r.columns) & gone]
        self.staged[move.child] = child
        self.decisions[move.child] = Decision(
            (),
            move.column,
            [Reference(decision.key, move.table, decision.key), *(r for r in moved if set(r.columns) <= gone)],
        )
        decision.references = [r for r in decision.references if r not in moved]
        parent.schema = pa.schema([f for f in parent.schema if f.name not in gone])
        return move

    def _number(self, table: Staged, decision: Decision) -> str:
        """Give a table without a key one, so that its late rows can name its rows."""
        key = free(f"{table.name}_key", [*table.schema.names, table.position, *table.raw.values()])
        path = table.path.with_suffix(".keyed.parquet")
        self.bench.connection.execute(
            f"COPY (SELECT *, {quoted(table.position)} AS {quoted(key)} FROM {quoted(table.name)} "
            f"ORDER BY {quoted(table.position)}) TO {text(str(path))} (FORMAT parquet)"
        )
        table.path, table.schema = path, table.schema.append(pa.field(key, pa.int64()))
        self.bench.view(table.name, path)
        decision.key = (key,)
        return key


@dataclass
class LateMover:
    """Decides which late columns move: those that the manifest records, those that were named, and on a first import those that
    are surely late. Others are left open as proposals."""

    tables: LateTables
    wanted: Wanted
    previous: Mapping[str, Any] | None
    open: list[Proposal] = field(default_factory=list)
    evidence: dict[tuple[str, str], str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def moved(self) -> list[Move]:
        """Move the columns; returns what moved."""
        recorded = [] if self.previous is None else recorded_moves(self.previous["origin"])
        chosen = bool(self.wanted.tables or self.wanted.exclude)
        moves = [move for move in recorded if move.table in self.tables.staged or not chosen]
        for move in moves:
            self.tables.check(f"{move.table}.{move.column}", move.table, move.column, move.companions)
        for said, companions in self.wanted.late.items():
            moves.append(self.tables.named(said, companions))
            self.evidence[moves[-1].child, "time"] = "as given: known later than the row it belongs to"
        if self.previous is None and not self.wanted.none_late:
            moves += list(self._found({(m.table, m.column) for m in moves}))
        done = [self.tables.apply(move) for move in moves]
        for move in done if self.previous is not None else ():
            self._refer(move, self.previous or {})
        # the key that a table was given for its first move stays that of the others
        keys = {move.table: move.key for move in done if move.key is not None}
        return [replace(move, key=keys.get(move.table)) for move in done]

    def _found(self, given: set[tuple[str, str]]) -> Iterator[Move]:
        for late in self.tables.found():
            if (late.table, late.column) in given:
                continue
            if late.planned and not self.wanted.take_all:
                columns = (late.column, *late.companions)
                self.open.append(Proposal("late", late.table, columns, late.evidence, False))
                continue
            move = self.tables.move(late.table, late.column, tuple(late.companions))
            self.evidence[move.child, "time"] = f"known later: {late.evidence}"
            named = ", ".join((late.column, *late.companions))
            self.notes.append(
                f"{late.table}: {named} moved to table {move.child}, since {late.column} is known later ({late.evidence}); "
                "--late none declines"
            )
            yield move

    def _refer(self, move: Move, manifest: Mapping[str, Any]) -> None:
        """The foreign keys that moved with a late column, as the manifest's entry of the child says."""
        staged, decisions = self.tables.staged, self.tables.decisions
        entry = (manifest.get("tables") or {}).get(move.child) or {}
        for column, parent in (entry.get("fkeys") or {}).items():
            if column in move.companions:
                found = foreign_key(move.child, str(column), str(parent), manifest["origin"], decisions, staged)
                decisions[move.child].references.append(found)


def without_late(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest without the tables that late columns moved to, and the keys made for them, which the source lacks."""
    moves = recorded_moves(manifest.get("origin") or {})
    made = {move.table: move.key for move in moves if move.key is not None}
    tables = {}
    for name, entry in (manifest.get("tables") or {}).items():
        if name in made and (entry or {}).get("pkey") == made[name]:
            entry = {**entry, "pkey": None}
        if name not in {move.child for move in moves}:
            tables[name] = entry
    return {**manifest, "tables": tables}
