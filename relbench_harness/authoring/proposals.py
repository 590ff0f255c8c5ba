"""Keys and times proposed from the data where the source declares none, each with the evidence for it.

A proposal is sure where the data bear it out and the name says so; otherwise it is left to the user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from relbench_harness.authoring.column_profile import ColumnProfile, Workbench
from relbench_harness.authoring.name_words import is_named_after, spaced, words

_EVENT = re.compile(
    r"(^|_)(date|time|timestamp|datetime|at|on|when|day|created|ts|occurred|ordered|posted|from|since|start\w*|begin)(_|$)|"
    r"(date|time)$",
    re.I,
)
_NOT_EVENT = re.compile(
    r"birth|dob|born|update|modif|delet|expir|cancel|planned|expected|deliver|return|"
    r"(^|_)(due|ends?|ended|until|clos\w*|last\w*|ship|shipped|shipping)(date|time|_|$)|valid_?(to|until|thru|through|end)",
    re.I,
)
_KEY = re.compile(r"(^|_)(id|key|no|nr|num|number|code|uuid|guid|pk)$", re.I)


@dataclass(frozen=True)
class Proposal:
    """`table`'s `columns` may be its key, its time, or refer to `parent`.

    `sure`: taken unasked; `likely`: taken where the user takes all proposals.
    """

    role: Literal["key", "time", "reference", "late"]
    table: str
    columns: tuple[str, ...]
    evidence: str
    sure: bool
    parent: str = ""
    likely: bool = True

    @property
    def said(self) -> str:
        names = ", ".join(self.columns)
        roles = {"key": "primary key", "time": "time column", "reference": f"foreign key to {self.parent}"}
        what = {**roles, "late": "known later than the row (--late moves it)"}[self.role]
        return f"{self.table}.{names} as {what}: {self.evidence}"


Profiles = Mapping[str, Mapping[str, ColumnProfile]]


def key_proposal(table: str, profile: Mapping[str, ColumnProfile], bench: Workbench) -> Proposal | None:
    """The primary key of `table` that its values and names suggest."""
    if not profile:
        return None
    columns = list(profile.values())
    unique = [c for c in columns if c.unique and c.kind in ("whole", "text")]
    first = columns[0].name

    def rank(column: ColumnProfile) -> tuple[int, ...]:
        named = is_named_after(column.name, table) or words(column.name) in ("id", "pk", "key", "uuid")
        run_together = column.kind == "whole" and column.name == first and column.name.lower().endswith("id")
        keyed = bool(_KEY.search(spaced(column.name))) or run_together
        return (not named, not keyed, column.name != first, column.kind != "whole")

    if unique:
        best = min(unique, key=rank)
        named = not rank(best)[0] or (not rank(best)[1] and best.name == first)
        others = [c.name for c in unique if c.name != best.name]
        evidence = f"{best.rows:,} rows, {best.distinct:,} different values, none missing"
        evidence += "; the name fits" if named else "; the name says nothing"
        evidence += f"; {', '.join(others)} would do too" if others else ""
        return Proposal("key", table, (best.name,), evidence, named and best.rows > 1)
    return _pair(table, columns, bench)


def _pair(table: str, columns: list[ColumnProfile], bench: Workbench) -> Proposal | None:
    """Two key-like columns that are unique together; never sure, since chance makes such pairs."""
    whole = [c for c in columns if c.missing == 0 and c.kind in ("whole", "text") and _KEY.search(spaced(c.name))]
    if not whole or not columns[0].rows:
        return None
    for index, left in enumerate(whole):
        for right in whole[index + 1 :]:
            if left.distinct * right.distinct < columns[0].rows:
                continue
            if bench.distinct(table, [left.name, right.name]) == columns[0].rows:
                evidence = f"{columns[0].rows:,} rows, all different in the two together; no single column is unique"
                return Proposal("key", table, (left.name, right.name), evidence, False)
    return None


def time_proposals(table: str, profile: Mapping[str, ColumnProfile]) -> list[Proposal]:
    """The time columns of `table`, the likeliest first; only the first may be sure."""
    found = []
    for column in profile.values():
        if column.kind != "time" or column.rows == 0:
            continue
        event, other = bool(_EVENT.search(spaced(column.name))), bool(_NOT_EVENT.search(spaced(column.name)))
        share = column.missing / column.rows
        evidence = ["all its values are times"]
        evidence.append("none missing" if not column.missing else f"{share:.1%} missing")
        if event and not other:
            evidence.append("named like an event's time")
        if other:
            evidence.append("named like something that is set later or long before")
        found.append((other, share > 0.01, not event, column, "; ".join(evidence)))
    found.sort(key=lambda entry: entry[:3])
    plain = [entry for entry in found if not entry[0] and not entry[1]]
    clear = len(plain) == 1 or (len(plain) > 1 and plain[0][2] != plain[1][2])
    return [
        Proposal("time", table, (column.name,), evidence, index == 0 and clear and not other and not gaps, likely=not other)
        for index, (other, gaps, _, column, evidence) in enumerate(found)
    ]
