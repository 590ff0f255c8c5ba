"""An import that reads what came since the one before: later rows from the source, older ones from what is kept.

Invariant: the tables are those of a whole import, as long as no row that is older than the bound changed. A table is read whole where
that cannot hold: it has no time of its own, its columns, their types or their texts read otherwise than before, or the source has another
number of older rows. Rows that carry the key of a row that was read stand in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from relbench_harness.authoring.column_profile import rows_of
from relbench_harness.authoring.identifiers import free, quoted, text
from relbench_harness.authoring.kept_rows import KeptRows, KeptTable, keep
from relbench_harness.authoring.late_tables import recorded_moves
from relbench_harness.authoring.older_rows import Older, form_of
from relbench_harness.authoring.row_reading import Desk
from relbench_harness.authoring.sensitive_columns import sensitive
from relbench_harness.authoring.sources import PartReading, Reading, SourceTable
from relbench_harness.authoring.staging import Staged, TextCounts
from relbench_harness.authoring.text_times import count_texts, read_texts, times_among
from relbench_harness.errors import InputError

_DAY = pd.Timedelta(days=1)


class _Whole(Exception):
    """Why a table is read whole."""


@dataclass(frozen=True)
class Appended:
    """What was read of a table: `read` rows that are not older than `day`, beside `kept` that are."""

    read: int
    kept: int
    day: pd.Timestamp


@dataclass
class LaterRows:
    """Reads the rows that are later than those of `before`, less the overlap.

    Attributes:
        manifest: The manifest that the import is repeated by.
        before: What an import before has kept; None where none has.
        now: When the source is read, UTC.
        folder: A folder that is not there yet, for the rows that the next import is appended to.
        appended: Table → what was read of it.
        whole: Table → why it was read whole.
    """

    manifest: Mapping[str, Any]
    before: KeptRows | None
    overlap: pd.Timedelta
    now: pd.Timestamp
    folder: Path
    appended: dict[str, Appended] = field(default_factory=dict)
    whole: dict[str, str] = field(default_factory=dict)

    def read(self, reading: Reading, desk: Desk) -> dict[str, Staged]:
        staged = {}
        for name, table in desk.tables.items():
            try:
                staged[name] = self._appended(reading, table, desk)
            except _Whole as why:
                self.whole[name] = str(why)
                staged[name] = desk.stage(name, reading.batches(table))
        return staged

    def read_times(self, staged: Mapping[str, Staged], desk: Desk) -> None:
        whole = {name: one for name, one in staged.items() if name in self.whole}
        desk.read_texts(whole)
        desk.read_formats(whole, {p: f for p, f in desk.formats.items() if _table_of(p, staged) not in self.appended})
        tables = {}
        for name, one in staged.items():
            desk.bench.view(name, one.path)
            time = self._time(one)
            if time is None or self._secrets(one, desk):
                continue
            latest = desk.bench.row(f"SELECT CAST(max({quoted(time)}) AS VARCHAR) FROM {quoted(name)}")[0]
            if latest is not None:
                tables[name] = KeptTable(one, pd.Timestamp(str(latest)))
        # now, as what the import goes on to do with a table is no part of what is kept
        keep(KeptRows(self.now, tables), self.folder)

    # -- one table ----------------------------------------------------------------------------------------------------

    def _appended(self, reading: Reading, table: SourceTable, desk: Desk) -> Staged:
        """The later rows of `table` after the older ones that are kept. Raises `_Whole` where they do not go together."""
        name = table.name
        if self.before is None:
            raise _Whole("nothing of it was kept before")
        if name in {move.table for move in recorded_moves(self.manifest.get("origin") or {})}:
            raise _Whole("columns of its rows are filled in later")
        if not isinstance(reading, PartReading):
            raise _Whole("its source hands out no part of a table")
        before = self.before.tables.get(name)
        if before is None:
            raise _Whole(self._why_not(name))
        older = self._older(before, desk)
        part = desk.stage(name, reading.rest(table, older, before.staged.source), ".later")
        if not part.source.equals(before.staged.source):
            raise _Whole("its columns or their types have changed")
        merging = _Merging(before.staged, part, older, self._key(table, before.staged), desk)
        merged = merging.merged(reading.count(table, older))
        self.appended[name] = Appended(part.rows, merged.rows - part.rows, older.day)
        return merged

    def _older(self, before: KeptTable, desk: Desk) -> Older:
        """The rows that are not read again. Rows that were dated ahead when they were read are, as rows may come before them."""
        assert self.before is not None  # whoever calls has looked
        staged, time = before.staged, self._time(before.staged)
        if time is None:
            raise _Whole(self._why_not(staged.name))
        form = form_of(staged.source.field(time).type, desk.formats.get(f"{staged.name}.{time}"))
        if form is None or (form == "text" and time not in staged.raw):
            raise _Whole("its time is written in a form that sources cannot compare")
        # a day more, since the clocks of a zone may be half a day away from UTC
        latest = min(before.latest, self.before.read)
        return Older(time, form, (latest - self.overlap).floor("D") - _DAY)

    def _entry(self, table: str) -> Mapping[str, Any]:
        return (self.manifest.get("tables") or {}).get(table) or {}

    def _time(self, staged: Staged) -> str | None:
        """The table's time, where it is a column of the source."""
        time = self._entry(staged.name).get("time_col")
        return str(time) if time in staged.source.names else None

    def _why_not(self, table: str) -> str:
        """Why the rows of a table are not kept."""
        if self._entry(table).get("time_col") is None:
            return "it has no time"
        inherited = table in ((self.manifest.get("origin") or {}).get("times") or {})
        return "its time is that of another table" if inherited else "its rows were not kept"

    def _key(self, table: SourceTable, staged: Staged) -> tuple[str, ...]:
        """The columns that name the rows of the table, as far as the manifest or the source says."""
        named = self._entry(table.name).get("pkey")
        made = ((self.manifest.get("origin") or {}).get("keys") or {}).get(table.name)
        spelled = {name.lower(): name for name in staged.schema.names}
        for columns in (named, made, list(table.key)):
            listed = columns if isinstance(columns, list) else [columns] if columns else []
            names = tuple(spelled.get(str(column).lower(), "") for column in listed)
            if names and all(names):
                return names
        return ()

    @staticmethod
    def _secrets(staged: Staged, desk: Desk) -> set[str]:
        """Columns that an import leaves out, so that no copy of them may be kept."""
        found = sensitive(zip(staged.schema.names, staged.schema.types, strict=True))
        return {column for column in found if f"{staged.name}.{column}" not in desk.keep}


def _table_of(place: str, tables: Mapping[str, Staged]) -> str | None:
    """The table of a `table.column`."""
    found = (n for n, one in tables.items() if place.startswith(f"{n}.") and place[len(n) + 1 :] in one.schema.names)
    return next(found, None)


@dataclass(frozen=True)
class _Merging:
    """The older rows of `kept` and the rows of `part`, one after the other.

    Attributes:
        key: The columns that name rows; empty where nothing does.
    """

    kept: Staged
    part: Staged
    older: Older
    key: tuple[str, ...]
    desk: Desk

    def merged(self, counted: int) -> Staged:
        """The rows of both. Raises `_Whole` where the source has not `counted` as many older rows, or texts read otherwise."""
        self._read_part()
        kept, part, bench = self.kept, self.part, self.desk.bench
        gone, position = quoted(free("gone", self.desk.tables)), quoted(kept.position)
        bench.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {gone} AS SELECT k.* FROM {rows_of(kept.path)} k WHERE NOT {self._stays()}"
        )
        count = kept.rows - bench.number(f"SELECT count(*) FROM {gone}")
        if count != counted:
            raise _Whole(f"the source has {counted:,} rows before {self.older.day.date()}, the import before had {count:,}")
        texts = self._texts(gone)
        if times_among(texts) != times_among(kept.texts):
            raise _Whole("its texts no longer read as times as they did, or do now")
        path = self.desk.scratch / f"{part.path.name}.merged.parquet"
        listed = ", ".join(f"k.{quoted(n)}" for n in _layout(kept).names if n != kept.position)
        start = bench.number(f"SELECT max({position}) + 1 FROM {rows_of(kept.path)}")
        bench.connection.execute(
            f"COPY (SELECT {listed}, k.{position} FROM {rows_of(kept.path)} k "
            f"WHERE k.{position} NOT IN (SELECT {position} FROM {gone}) UNION ALL "
            f"SELECT {listed}, k.{position} + {start} AS {position} FROM {rows_of(part.path)} k) "
            f"TO {text(str(path))} (FORMAT parquet)"
        )
        bench.connection.execute(f"DROP TABLE {gone}")
        lost = {c: kept.impossible.get(c, 0) + part.impossible.get(c, 0) for c in {*kept.impossible, *part.impossible}}
        return replace(kept, path=path, rows=count + part.rows, texts=texts, impossible=lost)

    def _read_part(self) -> None:
        """Make times of the part's columns as of those that are kept."""
        part, bench, name = self.part, self.desk.bench, self.part.name
        bench.view(name, part.path)
        part.texts = count_texts(part, bench, quoted(name))
        found = times_among(self.kept.texts)
        if any(part.texts[c].present != part.texts[c].times for c in found):
            raise _Whole("its texts no longer read as times as they did")
        try:
            read_texts(part, found, self.desk.zone, bench)
            formats = {p: f for p, f in self.desk.formats.items() if _table_of(p, {name: part})}
            self.desk.read_formats({name: part}, formats)
        except InputError as error:
            raise _Whole(str(error)) from None
        if _layout(part) != _layout(self.kept) or part.raw != self.kept.raw:
            raise _Whole("its columns are kept in another form")

    def _stays(self) -> str:
        """The condition on a kept row, called k, that it is older and that no row of the part has its key."""
        condition = f"coalesce({self.older.staged(self.kept, self.desk.zone)}, false)"
        if not self.key:
            return condition
        columns = [quoted(self.kept.keyed(c)[0]) for c in self.key]
        same = " AND ".join(f"n.{c} = k.{c}" for c in columns)
        return f"({condition} AND NOT EXISTS (SELECT 1 FROM {rows_of(self.part.path)} n WHERE {same}))"

    def _texts(self, gone: str) -> dict[str, TextCounts]:
        """What the texts of the merged rows hold: those that were kept, less the rows that go, and those of the part."""
        left = count_texts(self.kept, self.desk.bench, gone)
        return {
            column: TextCounts(*(a - b + c for a, b, c in zip(counts, left[column], self.part.texts[column], strict=True)))
            for column, counts in self.kept.texts.items()
        }


def _layout(staged: Staged) -> pa.Schema:
    """The columns of the file, as they are once its texts are read."""
    beside = [(n, pa.int64() if c in staged.ticks else pa.string()) for c, n in staged.raw.items()]
    return pa.schema([*staged.schema, *beside, (staged.position, pa.int64())])


def overlap_of(said: str) -> pd.Timedelta:
    """The span that `said` names, such as 7d. Raises `InputError` for one that is none or below zero."""
    try:
        found = pd.Timedelta(said)
    except ValueError:
        found = -_DAY
    if not found >= pd.Timedelta(0) or said.strip().replace(".", "").isdigit():
        raise InputError(f"--overlap {said!r} is no span of time; 7d is a week, 12h half a day, 0d none")
    return found
