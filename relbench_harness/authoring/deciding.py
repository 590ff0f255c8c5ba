"""What an import decides by itself: keys, foreign keys and times, declared by the source, given by the user, or proposed.

Invariant: what is taken unasked is declared, given or sure; everything else stays in `open`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relbench_harness.authoring.column_profile import ColumnProfile, Workbench
from relbench_harness.authoring.entity_tables import entity_hints
from relbench_harness.authoring.numbering import Decision
from relbench_harness.authoring.proposals import Profiles, Proposal, key_proposal, referring, time_proposals
from relbench_harness.authoring.reference_proposals import reference_proposals
from relbench_harness.authoring.sources import Reference, SourceTable
from relbench_harness.authoring.staging import Staged
from relbench_harness.authoring.time_formats import EPOCHS, Recognised, read_as_times, recognised
from relbench_harness.authoring.wanted import Wanted
from relbench_harness.errors import InputError, nearest


@dataclass
class Decider:
    """Decides on the tables of a first import.

    Attributes:
        given: Foreign keys that the user names, by table.
        open: Proposals that were not taken.
        evidence: Why, by (table, "key" | "time" | foreign-key column).
        formats: Columns, as `table.column`, that were recognised as times of a format.
        hints: What the user may want to say.
    """

    wanted: Wanted
    tables: Mapping[str, SourceTable]
    staged: Mapping[str, Staged]
    given: Mapping[str, Sequence[Reference]]
    bench: Workbench
    open: list[Proposal] = field(default_factory=list)
    evidence: dict[tuple[str, str], str] = field(default_factory=dict)
    formats: dict[str, str] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)

    def decide(self) -> dict[str, Decision]:
        """The decision on every table. Raises `InputError` for a time that is given and is none."""
        maybe = {name: self._recognise(name) for name in self.tables}
        profiles = {
            name: self.bench.profile(name, self.staged[name], bool(table.key)) for name, table in self.tables.items()
        }
        decisions = {name: Decision() for name in self.tables}
        for name, table in self.tables.items():
            decisions[name].key = table.key or self._proposed_key(name, profiles)
            if table.key:
                self.evidence[name, "key"] = "declared"
        self._references(decisions, profiles)
        for name in self.tables:
            decisions[name].time = self._time(name, profiles[name], maybe[name], decisions[name])
        self._hint(decisions, profiles)
        return decisions

    def _recognise(self, name: str) -> list[Recognised]:
        """Read the columns that surely hold times as such; the others that may."""
        one, table = self.staged[name], self.tables[name]
        used = {c for r in (*table.references, *self.given.get(name, ())) for c in r.columns} | set(table.key)
        maybe = []
        for column in recognised(one, self.bench):
            if column.column in used:
                continue
            if column.sure or self.wanted.times.get(name) == column.column:
                read_as_times(one, column.column, column.format, self.wanted.zone_name, self.bench)
                self.formats[f"{name}.{column.column}"] = column.format
            else:
                maybe.append(column)
        return maybe

    def _taken(self, proposal: Proposal) -> bool:
        if proposal.sure or (self.wanted.take_all and proposal.likely):
            where = proposal.role if proposal.role != "reference" else proposal.columns[0]
            self.evidence[proposal.table, where] = proposal.evidence
            return True
        self.open.append(proposal)
        return False

    def _proposed_key(self, name: str, profiles: Profiles) -> tuple[str, ...]:
        others = referring(profiles, [other for other in profiles if other != name])
        proposal = key_proposal(name, profiles[name], self.bench, others)
        return proposal.columns if proposal is not None and self._taken(proposal) else ()

    def _references(self, decisions: Mapping[str, Decision], profiles: Profiles) -> None:
        declared = {name: [r for r in t.references if r.parent in self.tables] for name, t in self.tables.items()}
        for name, references in declared.items():
            given = list(self.given.get(name, ()))
            for reference in given:
                clash = next((r for r in references if r.columns == reference.columns), None)
                if clash is not None:
                    raise InputError(
                        f"--entity {reference.parent}={name}.{reference.columns[0]}: "
                        f"the column refers to table {clash.parent!r}"
                    )
                self.evidence[name, reference.columns[0]] = "as given"
            for reference in references:
                self.evidence[name, reference.columns[0]] = "declared"
            decisions[name].references = [*references, *given]
        keys = {name: decision.key for name, decision in decisions.items()}
        taken = {(name, c) for name, d in decisions.items() for r in d.references for c in r.columns}
        for proposal in reference_proposals(keys, profiles, self.bench, taken, any(declared.values())):
            pair = (proposal.table, proposal.columns[0])
            if pair not in taken and self._taken(proposal):
                taken.add(pair)
                reference = Reference(proposal.columns, proposal.parent, keys[proposal.parent])
                decisions[proposal.table].references.append(reference)

    def _time(
        self, name: str, profile: Mapping[str, ColumnProfile], maybe: Sequence[Recognised], decision: Decision
    ) -> str | None:
        if name in self.wanted.times:
            column = self.wanted.times[name]
            if column is not None and column not in profile:
                raise InputError(f"table {name!r} has no column {column!r}; {nearest(column, profile)}")
            if column is not None and profile[column].kind != "time":
                raise InputError(
                    f"--time {name}={column}: the column is {profile[column].type} and reads as no time; "
                    f"--time {name}={column}:FORMAT says how it does, by {', '.join(EPOCHS)} or a pattern such as %d/%m/%Y"
                )
            self.evidence[name, "time"] = "as given"
            return column
        proposals = time_proposals(name, profile, self.bench)
        if not proposals:
            used = {c for r in decision.references for c in r.columns} | set(decision.key)
            self.open += [
                Proposal("time", name, (m.column,), m.evidence, False, likely=False, format=m.format)
                for m in maybe
                if m.column not in used
            ]
            return None
        if self._taken(proposals[0]):
            column = proposals[0].columns[0]
            if f"{name}.{column}" in self.formats:
                self.evidence[name, "time"] += f"; read as {self.formats[f'{name}.{column}']}"
            return column
        self.open += proposals[1:]
        return None

    def _hint(self, decisions: Mapping[str, Decision], profiles: Profiles) -> None:
        settled = {(p.table, c) for p in self.open if p.role != "time" for c in p.columns if p.role == "reference"}
        for name, decision in decisions.items():
            settled |= {(name, c) for r in decision.references for c in r.columns}
            settled |= {(name, c) for c in decision.key if len(decision.key) == 1}
        if not any(table.references for table in self.tables.values()):
            self.hints += entity_hints(profiles, settled)
