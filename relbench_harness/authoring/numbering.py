"""From staged tables to a RelBench folder: rows in order of time, keys as row numbers, original keys kept beside.

`db/<table>.parquet` holds the rows, `keys/<table>.parquet` the original key of each row, in the same order, where it is not
the row number itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
from relbench.manifest import TableSpec

from relbench_harness.authoring.column_profile import Workbench
from relbench_harness.authoring.identifiers import quoted, text
from relbench_harness.authoring.sources import Reference
from relbench_harness.authoring.staging import Staged
from relbench_harness.errors import InputError


@dataclass
class Decision:
    """What a table's columns are.

    Attributes:
        moments: Text columns that hold times.
        declared: Whether the source itself vouches for the key.
    """

    key: tuple[str, ...] = ()
    time: str | None = None
    references: list[Reference] = field(default_factory=list)
    moments: set[str] = field(default_factory=set)
    declared: bool = False


@dataclass
class Written:
    """What became of a table: its manifest entry and what was lost on the way."""

    spec: TableSpec
    rows: int = 0
    without_time: int = 0
    dangling: dict[str, int] = field(default_factory=dict)
    columns_of: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Numbering:
    """Numbers the rows of staged tables as decided and writes them."""

    def __init__(
        self, bench: Workbench, staged: Mapping[str, Staged], decisions: Mapping[str, Decision], ordered: bool
    ) -> None:
        self.bench, self.staged, self.decisions = bench, staged, decisions
        self.index = {name: f"order {position}" for position, name in enumerate(staged)}
        for name, decision in decisions.items():
            if not decision.declared:
                self._check_key(name, decision.key)
            self._number(name, decision, ordered)

    def _check_key(self, name: str, key: Sequence[str]) -> None:
        if not key:
            return
        listed = ", ".join(quoted(c) for c in key)
        shown = f"{name}.{key[0]}" if len(key) == 1 else f"{name} ({', '.join(key)})"
        null = " OR ".join(f"{quoted(c)} IS NULL" for c in key)
        missing = self.bench.number(f"SELECT count(*) FROM {quoted(name)} WHERE {null}")
        if missing:
            raise InputError(f"the key {shown} is missing in {missing:,} rows")
        twice = self.bench.connection.execute(
            f"SELECT {listed}, count(*) FROM {quoted(name)} GROUP BY ALL HAVING count(*) > 1 LIMIT 1"
        ).fetchall()
        if twice:
            *values, count = twice[0]
            value = ", ".join(repr(v) for v in values)
            raise InputError(f"the key {shown} is not unique: {value} stands in {count} rows")

    def _number(self, name: str, decision: Decision, ordered: bool) -> None:
        """A table of (row, source_row): by time, then, where the source has no order of its own, by key."""
        order = [self._moment(decision, decision.time)] if decision.time else []
        keyed = [quoted(c) for c in decision.key]
        if not ordered:
            order += keyed or [quoted(f.name) for f in self.staged[name].schema if f.name != decision.time]
        order.append("file_row_number")
        where = f" WHERE {self._moment(decision, decision.time)} IS NOT NULL" if decision.time else ""
        single = f", {keyed[0]} AS original" if len(keyed) == 1 else ""
        self.bench.connection.execute(
            f"CREATE TABLE {quoted(self.index[name])} AS SELECT row_number() OVER (ORDER BY {', '.join(order)}) - 1 AS "
            f"number, file_row_number AS source{single} FROM {quoted(name)}{where}"
        )

    def _moment(self, decision: Decision, column: str | None, alias: str = "") -> str:
        name = alias + quoted(str(column))
        if column not in decision.moments:
            return name
        return f"CAST(CAST({name} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS TIMESTAMP_NS)"

    # -- writing ------------------------------------------------------------------------------------------------------

    def write(self, name: str, folder: Path) -> Written:
        """Write `db/<name>.parquet`, and `keys/<name>.parquet` where the key is not the row number."""
        decision, staged = self.decisions[name], self.staged[name]
        columns = [f.name for f in staged.schema]
        single = [r.columns[0] for r in decision.references if len(r.columns) == 1]
        parts = {c for r in decision.references if len(r.columns) > 1 for c in r.columns}
        gone = {c for c in parts | set(decision.key) if c not in single}
        kept = [c for c in columns if c not in gone]
        spec = TableSpec(None, decision.time, {})
        written = Written(spec)
        chosen: dict[str, str] = {}
        if decision.key:
            alone = len(decision.key) == 1 and decision.key[0] not in single
            spec.pkey = decision.key[0] if alone else _free(f"{name}_key", columns)
            chosen[spec.pkey] = "o.number"
        joins = [f"JOIN {quoted(self.index[name])} o ON o.source = r.file_row_number"]
        for position, reference in enumerate(decision.references):
            column = reference.columns[0]
            if len(reference.columns) > 1:
                column = _free("_".join(reference.columns), [*columns, *chosen])
                written.columns_of[column] = reference.columns
            elif column in spec.fkeys:
                continue
            joins.append(self._parent(position, name, reference))
            chosen[column] = f"p{position}.number"
            spec.fkeys[column] = reference.parent
        for column in kept:
            chosen.setdefault(column, self._moment(decision, column, "r."))
        if not chosen:
            raise InputError(f"table {name!r} has no columns left")
        order = [c for c in columns if c in chosen] + [c for c in chosen if c not in columns]
        if spec.pkey is not None and spec.pkey not in columns:
            order = [spec.pkey, *(c for c in order if c != spec.pkey)]
        select = ", ".join(f"{chosen[c]} AS {quoted(c)}" for c in order)
        body = f"FROM {quoted(name)} r {' '.join(joins)}"
        self._copy(f"SELECT {select} {body} ORDER BY o.number", folder / "db" / f"{name}.parquet")
        written.rows = self.bench.number(f"SELECT count(*) FROM {quoted(self.index[name])}")
        written.without_time = staged.rows - written.rows
        self._count_dangling(name, written, body, chosen, folder / "db" / f"{name}.parquet")
        if decision.key and not self._is_numbered(name, decision.key):
            keys = ", ".join(f"r.{quoted(c)}" for c in decision.key)
            self._copy(
                f"SELECT {keys} FROM {quoted(name)} r {joins[0]} ORDER BY o.number", folder / "keys" / f"{name}.parquet"
            )
        return written

    def _copy(self, select: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.bench.connection.execute(f"COPY ({select}) TO {text(str(path))} (FORMAT parquet, COMPRESSION zstd)")

    def _parent(self, position: int, name: str, reference: Reference) -> str:
        """A join that finds the number of each row's parent; types are reconciled as text or whole numbers."""
        parent = reference.parent
        theirs = self.staged[parent].schema
        ours = self.staged[name].schema
        conditions = []
        for mine, other in zip(reference.columns, reference.parent_columns, strict=True):
            left, right = f"r.{quoted(mine)}", f"p{position}.{quoted(other)}"
            if ours.field(mine).type != theirs.field(other).type:
                whole = "int" in str(ours.field(mine).type) or "int" in str(theirs.field(other).type)
                numeric = whole and "string" not in f"{ours.field(mine).type} {theirs.field(other).type}"
                cast = "TRY_CAST({} AS BIGINT)" if numeric else "CAST({} AS VARCHAR)"
                left, right = cast.format(left), cast.format(right)
            conditions.append(f"{left} = {right}")
        names = ", ".join(f"q.{quoted(c)}" for c in reference.parent_columns)
        unique = set(reference.parent_columns) == set(self.decisions[parent].key)
        if not unique and self.bench.number(
            f"SELECT count(*) FROM (SELECT {names} FROM {quoted(parent)} q GROUP BY ALL HAVING count(*) > 1)"
        ):
            raise InputError(
                f"foreign key {name} ({', '.join(reference.columns)}) refers to {parent} "
                f"({', '.join(reference.parent_columns)}), which is not unique there"
            )
        alias = f"p{position}"
        inner = (
            f"SELECT n.number, q.* FROM {quoted(parent)} q "
            f"JOIN {quoted(self.index[parent])} n ON n.source = q.file_row_number"
        )
        return f"LEFT JOIN ({inner}) {alias} ON {' AND '.join(conditions)}"

    def _count_dangling(self, name: str, written: Written, body: str, chosen: Mapping[str, str], path: Path) -> None:
        """Rows whose reference named no parent, read off the counts of nulls before and after where they can tell."""
        before = _nulls(self.staged[name].path) if not written.without_time else {}
        after = _nulls(path)
        for position, reference in enumerate(self.decisions[name].references):
            number = f"p{position}.number"
            column = next((c for c, sql in chosen.items() if sql == number), None)
            if column is None:
                continue
            if (
                len(reference.columns) == 1
                and reference.columns[0] in before
                and before[reference.columns[0]] == after.get(column)
            ):
                continue
            present = " AND ".join(f"r.{quoted(c)} IS NOT NULL" for c in reference.columns)
            lost = self.bench.number(f"SELECT count(*) {body} WHERE {number} IS NULL AND {present}")
            if lost:
                written.dangling[column] = lost

    def _is_numbered(self, name: str, key: Sequence[str]) -> bool:
        """Whether the key is the row number already."""
        if len(key) != 1 or "int" not in str(self.staged[name].schema.field(key[0]).type):
            return False
        return not self.bench.number(f"SELECT count(*) FROM {quoted(self.index[name])} WHERE original <> number")


def _free(name: str, taken: Sequence[str]) -> str:
    lower = {t.lower() for t in taken}
    while name.lower() in lower:
        name += "_"
    return name


def _nulls(path: Path) -> dict[str, int]:
    """How many nulls each column of a Parquet file has, as far as its own statistics say."""
    data = pq.read_metadata(path)
    counts: dict[str, int] = {}
    unknown: set[str] = set()
    for group in range(data.num_row_groups):
        for index in range(data.num_columns):
            column = data.row_group(group).column(index)
            known = column.is_stats_set and column.statistics.has_null_count
            if known:
                counts[column.path_in_schema] = counts.get(column.path_in_schema, 0) + column.statistics.null_count
            else:
                unknown.add(column.path_in_schema)
    return {name: count for name, count in counts.items() if name not in unknown}
