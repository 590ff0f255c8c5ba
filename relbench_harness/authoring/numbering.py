"""From staged tables to a RelBench folder: rows in order of time, keys as row numbers, original keys kept beside.

`db/<table>.parquet` holds the rows, `keys/<table>.parquet` the original key of each row, in the same order, where it is not
the row number itself. Invariants: every row that has a time is written once, and no name of a user's can be taken for one of
ours (relations have `free` names, columns are qualified or named by place).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from relbench.manifest import TableSpec

from relbench_harness.authoring.column_profile import Workbench
from relbench_harness.authoring.identifiers import free, quoted, text
from relbench_harness.authoring.sources import Reference
from relbench_harness.authoring.staging import Staged
from relbench_harness.data.key_match import same_key
from relbench_harness.errors import InputError


@dataclass
class Decision:
    """What a table's columns are."""

    key: tuple[str, ...] = ()
    time: str | None = None
    references: list[Reference] = field(default_factory=list)


@dataclass
class Written:
    """What became of a table: its manifest entry and what was lost on the way.

    Attributes:
        references: The source's reference behind each foreign-key column.
    """

    spec: TableSpec
    rows: int = 0
    without_time: int = 0
    dangling: dict[str, int] = field(default_factory=dict)
    references: dict[str, Reference] = field(default_factory=dict)


def check_keys(bench: Workbench, staged: Mapping[str, Staged], decisions: Mapping[str, Decision]) -> None:
    """Every key is there in each row and unique, whoever vouches for it; so is what foreign keys refer to, where it is there.

    Raises:
        InputError: A key that is not, with the first value at fault.
    """
    for name, decision in decisions.items():
        if decision.key:
            shown = f"{name}.{decision.key[0]}" if len(decision.key) == 1 else f"{name} ({', '.join(decision.key)})"
            names = _keyed(staged[name], decision.key)
            missing = bench.number(
                f"SELECT count(*) FROM {quoted(name)} WHERE {' OR '.join(f'{n} IS NULL' for n in names)}"
            )
            if missing:
                raise InputError(f"the key {shown} is missing in {missing:,} rows")
            _check_unique(bench, name, names, f"the key {shown} is not unique")
        for reference in decision.references:
            parent = reference.parent
            if set(reference.parent_columns) != set(decisions[parent].key):
                what = f"foreign key {name} ({', '.join(reference.columns)}) refers to {parent} "
                what += f"({', '.join(reference.parent_columns)}), which is not unique there"
                _check_unique(bench, parent, _keyed(staged[parent], reference.parent_columns), what)


def _keyed(staged: Staged, columns: Sequence[str]) -> list[str]:
    return [quoted(staged.keyed(c)[0]) for c in columns]


def _check_unique(bench: Workbench, table: str, names: Sequence[str], what: str) -> None:
    there = " AND ".join(f"{n} IS NOT NULL" for n in names)
    twice = bench.connection.execute(
        f"SELECT {', '.join(names)}, count(*) FROM {quoted(table)} WHERE {there} GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1"
    ).fetchall()
    if twice:
        *values, count = twice[0]
        raise InputError(f"{what}: {', '.join(str(v) for v in values)} stands in {count} rows")


def parent_join(staged: Mapping[str, Staged], name: str, reference: Reference, child: str, parent: str) -> str:
    """The condition that a row aliased `child` names a row of its parent, aliased `parent`.

    Raises:
        InputError: Columns whose types cannot be compared.
    """
    conditions = []
    for mine, other in zip(reference.columns, reference.parent_columns, strict=True):
        (left, left_type), (right, right_type) = _compared(staged[name], mine, staged[reference.parent], other)
        same = same_key(f"{child}.{quoted(left)}", left_type, f"{parent}.{quoted(right)}", right_type)
        if same is None:
            raise InputError(
                f"foreign key {name}.{mine} is {left_type}, {reference.parent}.{other} is {right_type}, "
                "which cannot be compared"
            )
        conditions.append(same)
    return " AND ".join(conditions)


def _compared(child: Staged, mine: str, parent: Staged, other: str) -> list[tuple[str, pa.DataType]]:
    """The columns, and their types, that a foreign key and a key are compared by: as the source has them where both are alike."""
    ticks = (mine in child.ticks, other in parent.ticks)
    if any(ticks) and not all(ticks):
        return [(mine, child.schema.field(mine).type), (other, parent.schema.field(other).type)]
    return [child.keyed(mine), parent.keyed(other)]


class Numbering:
    """Numbers the rows of staged tables as decided and writes them. Keys must have passed `check_keys`."""

    def __init__(
        self, bench: Workbench, staged: Mapping[str, Staged], decisions: Mapping[str, Decision], ordered: bool
    ) -> None:
        self.bench, self.staged, self.decisions = bench, staged, decisions
        self.index = {name: free(f"order {place}", staged) for place, name in enumerate(staged)}
        for name, decision in decisions.items():
            self._number(name, decision, ordered)

    def _number(self, name: str, decision: Decision, ordered: bool) -> None:
        """A table of (number, source, original): by time, then, where the source has no order of its own, by key."""
        staged = self.staged[name]
        order = [quoted(decision.time)] if decision.time else []
        keyed = _keyed(staged, decision.key)
        if not ordered:
            order += keyed or [quoted(f.name) for f in staged.schema if f.name != decision.time]
        order.append(quoted(staged.position))
        ranked = ", ".join(f"r.{column}" for column in order)
        where = f" WHERE r.{quoted(decision.time)} IS NOT NULL" if decision.time else ""
        single = f", r.{keyed[0]} AS original" if len(keyed) == 1 else ""
        self.bench.connection.execute(
            f"CREATE TABLE {quoted(self.index[name])} AS SELECT row_number() OVER (ORDER BY {ranked}) - 1 AS number, "
            f"r.{quoted(staged.position)} AS source{single} FROM {quoted(name)} r{where}"
        )

    # -- writing ------------------------------------------------------------------------------------------------------

    def write(self, name: str, folder: Path) -> Written:
        """Write `db/<name>.parquet`, and `keys/<name>.parquet` where the key is not the row number."""
        decision, staged = self.decisions[name], self.staged[name]
        written, chosen, joins = self._columns(name)
        order = [f.name for f in staged.schema if f.name in chosen]
        order += [c for c in chosen if c not in order]
        if written.spec.pkey is not None and written.spec.pkey not in staged.schema.names:
            order = [written.spec.pkey, *(c for c in order if c != written.spec.pkey)]
        select = ", ".join(f"{chosen[c]} AS {quoted(c)}" for c in order)
        body = f"FROM {quoted(name)} r {' '.join(joins)}"
        path = folder / "db" / f"{name}.parquet"
        self._copy(f"SELECT {select} {body} ORDER BY o.number", path)
        self._count_rows(name, written, path)
        self._count_dangling(name, written, body, chosen, path)
        if decision.key and not self._is_numbered(name, decision.key):
            keys = ", ".join(f"{self._original(name, c)} AS {quoted(c)}" for c in decision.key)
            self._copy(
                f"SELECT {keys} FROM {quoted(name)} r {joins[0]} ORDER BY o.number", folder / "keys" / f"{name}.parquet"
            )
        return written

    def _columns(self, name: str) -> tuple[Written, dict[str, str], list[str]]:
        """The manifest entry of a table, the expression of each column that is written, and the joins they need."""
        decision, staged = self.decisions[name], self.staged[name]
        columns = staged.schema.names
        single = {r.columns[0] for r in decision.references if len(r.columns) == 1} - {decision.time}
        written = Written(TableSpec(None, decision.time, {}))
        chosen: dict[str, str] = {}
        if decision.key:
            alone = len(decision.key) == 1 and decision.key[0] not in (*single, decision.time)
            written.spec.pkey = decision.key[0] if alone else free(f"{name}_key", columns)
            chosen[written.spec.pkey] = "o.number"
        joins = [f"JOIN {quoted(self.index[name])} o ON o.source = r.{quoted(staged.position)}"]
        for place, reference in enumerate(decision.references):
            column = reference.columns[0]
            if column not in single or len(reference.columns) > 1:
                joined = "_".join(reference.columns)
                column = free(joined if len(reference.columns) > 1 else f"{joined}_key", [*columns, *chosen])
            elif column in written.spec.fkeys:
                continue
            joins.append(self._parent(place, name, reference))
            chosen[column] = f"p{place}.number"
            written.spec.fkeys[column] = reference.parent
            written.references[column] = reference
        gone = {c for r in decision.references for c in r.columns} | set(decision.key)
        for column in columns:
            if column == decision.time or column not in gone:
                chosen.setdefault(column, self._attribute(name, column))
        if not chosen:
            raise InputError(f"table {name!r} has no columns left")
        return written, chosen, joins

    def _attribute(self, name: str, column: str) -> str:
        """A column that is no key, as a type that RelBench, pandas and pytorch-frame know."""
        staged, value = self.staged[name], f"r.{quoted(column)}"
        kind = staged.schema.field(column).type
        if kind == pa.uint64():
            largest = self.bench.number(f"SELECT max({value}) FROM {quoted(name)} r")
            return f"CAST({value} AS {'BIGINT' if largest < 2**63 else 'DOUBLE'})"
        return f"CAST({value} AS DOUBLE)" if pa.types.is_decimal(kind) or column in staged.numeric else value

    def _original(self, name: str, column: str) -> str:
        """A key column as the source has it."""
        staged = self.staged[name]
        value = f"r.{quoted(staged.keyed(column)[0])}"
        return f"make_timestamp({value})" if column in staged.ticks else value

    def _copy(self, select: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.bench.connection.execute(f"COPY ({select}) TO {text(str(path))} (FORMAT parquet, COMPRESSION zstd)")

    def _parent(self, place: int, name: str, reference: Reference) -> str:
        """A join that finds the number of each row's parent, `p<place>.number`."""
        parent, row, number = reference.parent, f"q{place}", f"p{place}"
        numbered = f"{number}.source = {row}.{quoted(self.staged[parent].position)}"
        rows = f"{quoted(parent)} {row} JOIN {quoted(self.index[parent])} {number} ON {numbered}"
        return f"LEFT JOIN ({rows}) ON {parent_join(self.staged, name, reference, 'r', row)}"

    # -- what was lost ------------------------------------------------------------------------------------------------

    def _count_rows(self, name: str, written: Written, path: Path) -> None:
        """How many rows were written and how many had no time; all others must be there once."""
        staged = self.staged[name]
        written.rows = int(pq.read_metadata(path).num_rows)
        if written.spec.time_col is not None:
            time = quoted(written.spec.time_col)
            written.without_time = self.bench.number(f"SELECT count(*) FROM {quoted(name)} WHERE {time} IS NULL")
        if written.rows + written.without_time != staged.rows:
            raise InputError(
                f"table {name!r} has {staged.rows:,} rows at the source, {written.without_time:,} of them without a time, "
                f"yet {written.rows:,} would be written: its keys do not name rows one by one"
            )

    def _count_dangling(self, name: str, written: Written, body: str, chosen: Mapping[str, str], path: Path) -> None:
        """Rows whose reference named no parent, read off the counts of nulls before and after where they can tell."""
        staged = self.staged[name]
        before = _nulls(staged.path) if not written.without_time else {}
        after = _nulls(path)
        for column, reference in written.references.items():
            columns = [staged.keyed(c)[0] for c in reference.columns]
            known = before.get(columns[0])
            if len(columns) == 1 and known is not None and known == after.get(column):
                continue
            present = " AND ".join(f"r.{quoted(c)} IS NOT NULL" for c in columns)
            lost = self.bench.number(f"SELECT count(*) {body} WHERE {chosen[column]} IS NULL AND {present}")
            if lost:
                written.dangling[column] = lost

    def _is_numbered(self, name: str, key: Sequence[str]) -> bool:
        """Whether the key is the row number already."""
        if len(key) != 1 or not pa.types.is_integer(self.staged[name].schema.field(key[0]).type):
            return False
        return not self.bench.number(f"SELECT count(*) FROM {quoted(self.index[name])} WHERE original <> number")


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
