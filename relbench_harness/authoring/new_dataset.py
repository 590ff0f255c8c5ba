"""`dataset new`: a source becomes a dataset folder, whole or not at all.

Rows are streamed to disk, keys and times are declared or proposed, rows are numbered and written, and the folder appears
under its name in one step at the end.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from relbench_harness.authoring.again import check_tasks, keep_others, manifest_cuts, measured_cuts
from relbench_harness.authoring.column_profile import Workbench
from relbench_harness.authoring.cut_points import CutPoints, propose_cuts
from relbench_harness.authoring.decided import decided
from relbench_harness.authoring.deciding import Decider
from relbench_harness.authoring.declared import spelled
from relbench_harness.authoring.entity_tables import add_entities
from relbench_harness.authoring.import_manifest import Described, manifest_text
from relbench_harness.authoring.inherited_time import inherit, lender, written_later
from relbench_harness.authoring.late_tables import LateMover, LateTables, Move, without_late
from relbench_harness.authoring.manifest_comments import Comments, comments
from relbench_harness.authoring.numbering import Decision, Numbering, Written, check_keys
from relbench_harness.authoring.proposals import Proposal, time_advice
from relbench_harness.authoring.row_reading import AllRows, Desk, Rows
from relbench_harness.authoring.sensitive_columns import leave_out_secrets
from relbench_harness.authoring.source_choice import open_source
from relbench_harness.authoring.sources import Reference, Source, SourceTable
from relbench_harness.authoring.staging import Progress, Staged
from relbench_harness.authoring.table_choice import check_file_name, check_table_names, chosen_tables, found
from relbench_harness.authoring.time_formats import split_format
from relbench_harness.authoring.wanted import Wanted, recorded, remembered
from relbench_harness.data.writing import put_folder
from relbench_harness.errors import InputError, nearest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass
class Imported:
    """What an import made and what it left to the user.

    Attributes:
        open: Proposals that were not taken.
        notes: What was left out, changed or read in a way of its own; in the manifest, too.
        hints: Options that may be wanted.
    """

    folder: Path
    written: dict[str, Written]
    cuts: CutPoints
    open: list[Proposal]
    notes: list[str]
    hints: list[str]


def new_dataset(
    name: str,
    uri: str,
    out: Path,
    wanted: Wanted,
    progress: Progress = lambda table, rows: None,
    rows: Rows | None = None,
) -> Imported:
    """Make the dataset folder `out/name` from the tables at `uri`.

    Args:
        rows: How they are read; all of them where None.

    Raises:
        InputError: A name, source, table or key that will not do. Nothing is left behind then, nor when interrupted.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name for a dataset: letters, digits, '.', '_' and '-' make one")
    target = out / name
    if target.exists() and not wanted.again:
        raise InputError(
            f"{target} is there already; choose another name, or --again imports with its manifest's decisions"
        )
    previous = _previous(target) if wanted.again else None
    wanted = _formats_apart(wanted)
    given, wanted = wanted, remembered(wanted, (previous or {}).get("origin", {}).get("choices"))
    _check_zone(wanted.zone_name)
    source = open_source(uri)
    out.mkdir(parents=True, exist_ok=True)
    with _whole(out, target) as folder, tempfile.TemporaryDirectory(prefix=f".{name}-staging-", dir=out) as scratch:
        return _Import(name, source, wanted, given, Path(scratch), target, previous, rows or AllRows()).run(
            folder, progress
        )


def _formats_apart(wanted: Wanted) -> Wanted:
    """`wanted`, the formats that its times name (`column:epoch_s`) among its formats."""
    apart = {table: split_format(spec) for table, spec in wanted.times.items() if spec is not None}
    formats = {f"{table}.{column}": form for table, (column, form) in apart.items() if form is not None}
    times = {table: apart[table][0] if table in apart else None for table in wanted.times}
    return replace(wanted, times=times, formats={**wanted.formats, **formats})


def _check_zone(zone: str) -> None:
    try:
        pd.Timestamp(0, tz=zone)
    except Exception:
        raise InputError(f"no time zone {zone!r}; names are those of the IANA database, such as Europe/London") from None


def _previous(target: Path) -> dict[str, Any]:
    """The manifest that an import is repeated by."""
    path = target / "manifest.yaml"
    if not path.is_file():
        raise InputError(f"{target} has no manifest to import again by")
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(loaded, dict):
        raise InputError(f"{path} is no mapping of keys to values")
    for key in ("tables", "origin"):
        if not isinstance(loaded.setdefault(key, {}) or {}, dict):
            raise InputError(f"{path}: {key!r} is no mapping")
        loaded[key] = loaded[key] or {}
    return loaded


@contextmanager
def _whole(out: Path, target: Path) -> Iterator[Path]:
    """A folder that takes `target`'s place when all went well and is removed otherwise."""
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-partial-", dir=out))
    try:
        yield partial
        partial.chmod(0o755)
        if target.exists():
            keep_others(target, partial)
        put_folder(partial, target, partial.with_name(partial.name + "-old"))
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@dataclass
class _Import:
    """One import.

    Attributes:
        wanted: What the manifest's choices and this call say together.
        given: What this call alone says: it goes before the manifest's tables.
        previous: The manifest to import again by, None for a first import.
    """

    name: str
    source: Source
    wanted: Wanted
    given: Wanted
    scratch: Path
    target: Path
    previous: dict[str, Any] | None
    rows: Rows
    notes: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    open: list[Proposal] = field(default_factory=list)
    evidence: dict[tuple[str, str], str] = field(default_factory=dict)
    inherited: dict[str, str] = field(default_factory=dict)
    kept: Comments = field(default_factory=Comments)
    known: set[str] = field(default_factory=set)

    def run(self, folder: Path, progress: Progress) -> Imported:
        bench = Workbench(self.scratch)
        try:
            desk, staged = self._stage(progress, bench)
            tables = spelled(desk.tables, {name: one.schema.names for name, one in staged.items()})
            self.rows.read_times(staged, desk)
            entities = {
                name: self._still(places, self.given.entities.get(name, ()), staged)
                for name, places in self.wanted.entities.items()
            }
            given = add_entities(entities, staged, self.scratch, bench)
            lent: dict[str, Reference] | None = None
            if self.previous is None:
                decisions = self._decide(tables, staged, given, bench)
            else:
                decisions, lent = decided(without_late(self.previous), staged, self.given.times, self.known)
                self._keep_evidence()
            read = sorted(self._still(self.wanted.formats, self.given.formats, staged))
            self.notes += [f"{place} is read as times: {self.wanted.formats[place]}" for place in read]
            keep = self._still(self.wanted.keep, self.given.keep, staged)
            self.notes += leave_out_secrets(staged, decisions, keep)
            check_keys(bench, staged, decisions)
            if self.previous is None:
                self._doubt_times(staged, decisions, bench)
            self._inherit_times(lent, staged, decisions, bench)
            moves = self._move_late(staged, decisions, bench)
            numbering = Numbering(bench, staged, decisions, self.source.ordered)
            written = {name: numbering.write(name, folder) for name in staged}
        finally:
            bench.connection.close()
        cuts = self._cuts(written, folder)
        self._note_losses(staged, written)
        keys = {name: d.key for name, d in decisions.items() if d.key}
        described = Described(
            self.name, self.source.label, written, keys, self.inherited, cuts, self.evidence, self.open, self.notes,
            recorded(self.wanted), self.kept, moves,
        )  # fmt: skip
        (folder / "manifest.yaml").write_text(manifest_text(described, self.previous), encoding="utf-8")
        if self.previous is not None:
            check_tasks(self.target, folder)
        return Imported(self.target, written, cuts, self.open, self.notes, self.hints)

    def _decide(
        self,
        tables: Mapping[str, SourceTable],
        staged: Mapping[str, Staged],
        given: Mapping[str, list[Reference]],
        bench: Workbench,
    ) -> dict[str, Decision]:
        made = {name: SourceTable(name, tuple(staged[name].schema.names)) for name in self.wanted.entities}
        decider = Decider(self.wanted, {**tables, **made}, staged, given, bench)
        decisions = decider.decide()
        self.open, self.evidence = decider.open, decider.evidence
        self.evidence |= {
            (name, "key"): "as given: the different values of the columns that name its rows" for name in made
        }
        self.hints = decider.hints
        self.wanted = replace(self.wanted, formats={**decider.formats, **self.wanted.formats})
        return decisions

    def _keep_evidence(self) -> None:
        """What the manifest's comments say stays: evidence, and proposals that are still open."""
        self.kept = comments((self.target / "manifest.yaml").read_text(encoding="utf-8"))
        assert self.previous is not None
        references = self.previous["origin"].get("references") or {}
        for (table, what), said in self.kept.evidence.items():
            named = references.get(table, {}).get(what)
            columns = named.get("columns") if isinstance(named, dict) else named
            self.evidence[table, str(columns[0]) if columns else what] = said

    # -- reading ------------------------------------------------------------------------------------------------------

    def _stage(self, progress: Progress, bench: Workbench) -> tuple[Desk, dict[str, Staged]]:
        with self.source.open() as reading:
            wanted, label = self.wanted, self.source.label
            tables = reading.tables()
            self.known = {table.name for table in tables}
            chosen = chosen_tables(tables, wanted.tables, wanted.exclude, label, self.notes)
            chosen = self._declared(chosen, {found(name, tables, label) for name in self.given.tables})
            check_table_names(chosen)
            for name in wanted.entities:
                check_file_name(name)
            _check_times(self.given.times, [*chosen, *wanted.entities])
            formats = {place: wanted.formats[place] for place in self._still(wanted.formats, self.given.formats, chosen)}
            desk = Desk(chosen, self.scratch, bench, progress, wanted.zone_name, formats, wanted.keep)
            staged = self.rows.read(reading, desk)
            self.notes += reading.notes
        return desk, staged

    @staticmethod
    def _still(places: Iterable[str], given: Iterable[str], staged: Iterable[str]) -> list[str]:
        """The `places` (TABLE.COLUMN) that are given now, and those remembered whose table is still imported."""
        now = set(given)
        return [p for p in places if p in now or any(p.startswith(f"{name}.") for name in staged)]

    def _declared(self, tables: Mapping[str, SourceTable], now: set[str]) -> dict[str, SourceTable]:
        """The tables that the manifest to import again by declares, and those given now; all on a first import."""
        if self.previous is None:
            return dict(tables)
        kept = {n: t for n, t in tables.items() if n in self.previous["tables"] or n in now}
        for name in sorted(set(tables) - set(kept)):
            self.notes.append(f"table {name} of the source is not in the manifest and was left out")
        return kept

    def _doubt_times(self, staged: Mapping[str, Staged], decisions: Mapping[str, Decision], bench: Workbench) -> None:
        """A time that was not given, and that most rows which name the table's rows precede, is left open."""
        given = self.wanted.times
        doubted = {
            name: said
            for name, decision in decisions.items()
            if decision.time is not None and name not in given
            if (said := written_later(name, staged, decisions, bench)) is not None
        }
        for name, said in doubted.items():
            self.open.append(Proposal("time", name, (decisions[name].time or "",), said, False, likely=False))
            decisions[name].time = None
            self.evidence.pop((name, "time"), None)

    def _inherit_times(
        self,
        lent: Mapping[str, Reference] | None,
        staged: Mapping[str, Staged],
        decisions: Mapping[str, Decision],
        bench: Workbench,
    ) -> None:
        """Tables without a time take that of the one parent that created their rows; so do their own children in turn.

        Args:
            lent: The references by which the manifest says that times were taken; None where that is still to be found.
        """
        waiting = [n for n, d in decisions.items() if d.time is None and n not in self.given.times]
        waiting = [n for n in waiting if lent is None or n in lent]
        while waiting:
            lenders = {n: lender(n, staged, decisions, bench) if lent is None else (lent[n], "") for n in waiting}
            ready = {n: one for n, one in lenders.items() if one is not None and decisions[one[0].parent].time is not None}
            for name, (reference, said) in ready.items():
                inherit(name, reference, staged, decisions, bench)
                self.inherited[name] = ", ".join(reference.columns)
                if said:
                    self.evidence[name, "time"] = f"taken from {reference.parent}: {said}"
                waiting.remove(name)
                self.open = [p for p in self.open if (p.role, p.table) != ("time", name)]
            if not ready:
                break
        for name, decision in decisions.items():
            timed = sorted({r.parent for r in decision.references if decisions[r.parent].time is not None})
            if decision.time is None and timed:
                self.notes.append(
                    f"{name}: it has no time, so all its rows are visible from the start; they are not created with rows of "
                    f"{', '.join(timed)}"
                )

    def _move_late(self, staged: dict[str, Staged], decisions: dict[str, Decision], bench: Workbench) -> list[Move]:
        """Columns that are filled in after their row's time become rows of tables of their own."""
        mover = LateMover(LateTables(staged, decisions, bench), self.wanted, self.previous)
        moves = mover.moved()
        # what is said of a column that moved is said of it where it is now
        now = {(move.table, column): move.child for move in moves for column in move.companions}
        self.open = [replace(p, table=now.get((p.table, p.columns[0]), p.table)) for p in self.open]
        self.evidence |= {(now[place], place[1]): said for place, said in self.evidence.items() if place in now}
        self.open += mover.open
        self.evidence |= mover.evidence
        self.notes += mover.notes
        return moves

    def _cuts(self, written: Mapping[str, Written], folder: Path) -> CutPoints:
        """The manifest's own cut points in figures; proposed ones where it has none."""
        bench = Workbench(self.scratch)
        try:
            times = {n: w.spec.time_col for n, w in written.items() if w.spec.time_col is not None and w.rows}
            for name in times:
                bench.view(name, folder / "db" / f"{name}.parquet")
            said = manifest_cuts(self.previous or {})
            if said is not None and times:
                return measured_cuts(said, times, bench)
            try:
                return propose_cuts(times, bench)
            except InputError as error:
                found = [f"{w.spec.time_col} of {n}" for n, w in written.items() if n in times]
                taken = f"; the times taken are {', '.join(found)}" if found else ""
                raise InputError(f"{error}{taken}; {time_advice(self.open)}") from None
        finally:
            bench.connection.close()

    def _note_losses(self, staged: Mapping[str, Staged], written: Mapping[str, Written]) -> None:
        for name, one in staged.items():
            for column, count in one.impossible.items():
                self.notes.append(
                    f"{name}.{column}: {count:,} times outside 1677 to 2262, or that name no day or hour, became null"
                )
        for name, table in written.items():
            if table.without_time:
                self.notes.append(f"{name}: {table.without_time:,} rows without a time were left out")
            for column, count in table.dangling.items():
                self.notes.append(f"{name}.{column}: {count:,} rows name a parent that is not there; they became null")


def _check_times(times: Mapping[str, str | None], tables: Sequence[str]) -> None:
    for name in times:
        if name not in tables:
            raise InputError(f"--time {name}={times[name]}: no table {name!r} is imported; {nearest(name, tables)}")
