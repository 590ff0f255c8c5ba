"""Keys and times proposed from the data where the source declares none, each with the evidence for it.

A proposal is sure where the data bear it out and the name says so; otherwise it is left to the user.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from relbench_harness.authoring.column_profile import ColumnProfile, Workbench
from relbench_harness.authoring.identifiers import quoted
from relbench_harness.authoring.name_words import bases, is_generic, is_named_after, spaced, without_prefix, words

_EVENT = re.compile(
    r"(^|_)(date|time|timestamp|datetime|datum|zeit|fecha|at|on|when|day|occurred|from|since|start\w*|begin|creation|"
    r"t|ts|dt|moment|instant|(?!upd|modifi|delet|chang|expir)\w+ed)(_|$)|(date|time|datum|zeit|dat)$",
    re.I,
)
_NOT_EVENT = re.compile(
    r"birth|dob|born|geburt|update|modif|delet|expir|cancel|planned|expected|estimated|promised|scheduled|required|deliver|return|"
    r"(^|_)(due|ends?|ended|until|clos\w*|last\w*|final|ship|shipped|shipping)(date|time|_|$)|valid_?(to|until|thru|through|end)",
    re.I,
)
_CREATED = re.compile(r"(^|_)(created|creation|inserted|insertion)", re.I)
_ORDERED = 0.99
"""The least share of rows in which a time precedes another that it is said to precede."""
_REPEATED = 0.9
"""Different values per row at most where values come back."""
_KEY = re.compile(r"(^|_)(id|key|no|nr|nbr|num|number|code|uuid|guid|pk|sk)$", re.I)


_NOTHING = 3
"""How a name ranks that says nothing of a key."""


@dataclass(frozen=True)
class Proposal:
    """`table`'s `columns` may be its key, its time, or refer to `parent`.

    `sure`: taken unasked; `likely`: taken where the user takes all proposals; `format`: what a time is read by, where its type
    does not say.
    """

    role: Literal["key", "time", "reference", "late"]
    table: str
    columns: tuple[str, ...]
    evidence: str
    sure: bool
    parent: str = ""
    likely: bool = True
    format: str = ""

    @property
    def said(self) -> str:
        names = ", ".join(self.columns)
        roles = {"key": "primary key", "time": "time column", "reference": f"foreign key to {self.parent}"}
        what = {**roles, "late": "known later than the row (--late moves it)"}[self.role]
        return f"{self.table}.{names} as {what}: {self.evidence}"


Profiles = Mapping[str, Mapping[str, ColumnProfile]]


def key_proposal(
    table: str, profile: Mapping[str, ColumnProfile], bench: Workbench, referring: Collection[str] = ()
) -> Proposal | None:
    """The primary key of `table` that its values and names suggest.

    Args:
        referring: Names, as `words` gives them, of columns whose values come back in other tables: what they refer to is a key.
    """
    if not profile:
        return None
    columns = list(profile.values())
    unique = [c for c in columns if c.unique and c.kind in ("whole", "text")]
    first, short = columns[0].name, without_prefix(profile)

    def rank(column: ColumnProfile) -> tuple[int, ...]:
        names = (column.name, short[column.name])
        keyed = any(_KEY.search(spaced(name)) for name in names)
        if column.kind == "whole" and column.name == first:
            keyed = keyed or column.name.lower().endswith(("id", "key"))
        # a table's own name alone is that of a measure, too: the `salary` of `salaries`
        own = any(is_named_after(n, table) and (keyed or column.name == first or column.kind == "text") for n in names)
        referred = words(column.name) in referring and (keyed or column.name == first)
        generic = any(words(n) in ("id", "pk", "key", "uuid") for n in names)
        tier = (own, referred, generic, True).index(True)
        return (tier, not keyed, column.name != first, column.kind != "whole")

    if unique:
        best = min(unique, key=rank)
        named = rank(best)[0] < _NOTHING or (not rank(best)[1] and best.name == first)
        others = [c.name for c in unique if c.name != best.name]
        evidence = f"{best.rows:,} rows, {best.distinct:,} different values, none missing"
        evidence += "; the name fits" if named else "; the name says nothing"
        evidence += f"; {', '.join(others)} would do too" if others else ""
        return Proposal("key", table, (best.name,), evidence, named and best.rows > 1)
    return _pair(table, columns, bench)


def referring(profiles: Profiles, tables: Iterable[str]) -> set[str]:
    """The names of columns of other tables whose values come back, and after which no table is named; a counter refers to nothing."""
    return {
        words(column.name)
        for table in tables
        for column in profiles[table].values()
        if column.kind in ("whole", "text") and column.distinct < _REPEATED * column.present
        if not is_generic(column.name) and not any(is_named_after(column.name, other) for other in profiles)
    }


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


def time_proposals(table: str, profile: Mapping[str, ColumnProfile], bench: Workbench) -> list[Proposal]:
    """The time columns of `table`, the likeliest first; only the first may be sure.

    Of several that are named like an event's time, the one that no other precedes comes first. It is sure where its name says
    that the row was made then, and left to the user otherwise: an accident happens before the row that reports it.
    """
    times = [c for c in profile.values() if c.kind == "time" and c.rows]
    kinds = {c.name: _time_kind(c) for c in times}
    events = [c.name for c in times if kinds[c.name] == (False, False, False)]
    events = events or [c.name for c in times if not any(kinds[c.name][:2])]
    first = _first(table, events, bench) if len(events) > 1 else (events[0] if events else None)
    made = first is not None and (bool(_CREATED.search(spaced(first))) or words(first) in _own_times(table))
    sure = first is not None and (len(events) == 1 or made)
    times.sort(key=lambda c: (c.name != first, kinds[c.name]))
    found = []
    for column in times:
        other, _, unnamed = kinds[column.name]
        evidence = ["all its values are times"]
        evidence.append(f"{column.missing / column.rows:.1%} missing" if column.missing else "none missing")
        evidence += ["named like an event's time"] if not unnamed and not other else []
        evidence += ["named like something that is set later or long before"] if other else []
        if column.name == first and len(events) > 1:
            rest = ", ".join(e for e in events if e != first)
            evidence.append(f"no later than {rest} in {_ORDERED:.0%} of the rows or more, to the day")
        sure_now = sure and column.name == first
        found.append(Proposal("time", table, (column.name,), "; ".join(evidence), sure_now, likely=not other))
    return found


def _time_kind(column: ColumnProfile) -> tuple[bool, bool, bool]:
    """Whether a column of times is named like no event of its row, has gaps, or bears a name that says nothing."""
    name = spaced(column.name)
    other = bool(_NOT_EVENT.search(name))
    return other, column.missing > 0.01 * column.rows, not _EVENT.search(name)


def _own_times(table: str) -> set[str]:
    """What the time of a table's rows is called after it: the `order_date` of `orders`."""
    return {f"{base}_{suffix}" for base in bases(table) for suffix in ("date", "time", "timestamp", "datetime", "at", "on")}


def _first(table: str, columns: Sequence[str], bench: Workbench) -> str | None:
    """The one of `columns` that lies on no later day than each of the others in nearly all rows; None where several do."""
    days = {c: f"CAST({quoted(c)} AS DATE)" for c in columns}
    pairs = [(a, b) for a in columns for b in columns if a != b]
    shares = ", ".join(f"avg(CAST({days[a]} <= {days[b]} AS INTEGER))" for a, b in pairs)
    row = bench.row(f"SELECT {shares} FROM {quoted(table)}")
    held = {pair for pair, share in zip(pairs, row, strict=True) if float(str(share or 0)) >= _ORDERED}
    leading = [a for a in columns if all((a, b) in held for b in columns if b != a)]
    return leading[0] if len(leading) == 1 else None


def time_advice(proposals: Sequence[Proposal]) -> str:
    """What to do where the times taken do not do: which columns there are, the likely ones first."""
    maybe = sorted((p for p in proposals if p.role == "time"), key=lambda p: not p.likely)
    if not maybe:
        return (
            "no other column reads as times; --time TABLE=COLUMN:FORMAT says how one does, by epoch_s, epoch_ms or a pattern such "
            "as %Y (years) or %d/%m/%Y"
        )
    # the likeliest of a table come first
    shown = [f"--time {p.table}={p.columns[0]}{':' + p.format if p.format else ''}" for p in maybe[:8]]
    yes = " (--yes takes the likeliest)" if maybe[0].likely else ""
    return f"name one with {' or '.join(shown)}{' or …' if len(maybe) > 8 else ''}{yes}"
