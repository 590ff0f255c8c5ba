"""Keys and times proposed from the data where the source declares none, each with the evidence for it.

A proposal is sure where the data bear it out and the name says so; otherwise it is left to the user.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from relbench_harness.authoring.column_profile import ColumnProfile, Workbench
from relbench_harness.authoring.identifiers import quoted
from relbench_harness.data.key_match import same_key

_EVENT = re.compile(r"(^|_)(date|time|timestamp|datetime|at|on|when|day|created|ts|occurred|ordered|posted)(_|$)", re.I)
_NOT_EVENT = re.compile(
    r"birth|dob|born|update|modif|delet|expir|due|end|until|cancel|clos|last|planned|expected|valid|deliver|ship|return",
    re.I,
)
_KEY = re.compile(r"(^|_)(id|key|no|nr|num|number|code|uuid|guid|pk)$", re.I)


@dataclass(frozen=True)
class Proposal:
    """`table`'s `columns` may be its key, its time, or refer to `parent`.

    `sure`: taken unasked; `likely`: taken where the user takes all proposals.
    """

    role: Literal["key", "time", "reference"]
    table: str
    columns: tuple[str, ...]
    evidence: str
    sure: bool
    parent: str = ""
    likely: bool = True

    @property
    def said(self) -> str:
        names = ", ".join(self.columns)
        what = {"key": "primary key", "time": "time column", "reference": f"foreign key to {self.parent}"}[self.role]
        return f"{self.table}.{names} as {what}: {self.evidence}"


Profiles = Mapping[str, Mapping[str, ColumnProfile]]


def words(name: str) -> str:
    """A name without case, separators and plural: what names are compared by."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    parts = [_singular(p) for p in re.split(r"[^a-z0-9]+", plain) if p]
    return "_".join(parts)


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 2 else word


def _names_of(table: str, key: str | None = None) -> set[str]:
    """What a column that holds `table`'s key may be called."""
    base = words(table)
    named = {base} | {f"{base}_{suffix}" for suffix in ("id", "key", "no", "nr", "number", "code", "uuid", "ref", "fk")}
    named |= {name.replace("_", "") for name in named}
    if key is not None and words(key) not in ("id", "key", "code", "name", "no", "number", "uuid", "pk"):
        named.add(words(key))
    return named


def key_proposal(table: str, profile: Mapping[str, ColumnProfile], bench: Workbench) -> Proposal | None:
    """The primary key of `table` that its values and names suggest."""
    if not profile:
        return None
    columns = list(profile.values())
    unique = [c for c in columns if c.unique and c.kind in ("whole", "text")]
    first = columns[0].name

    def rank(column: ColumnProfile) -> tuple[int, ...]:
        named = words(column.name) in _names_of(table) | {"id", "pk", "key", "uuid"}
        return (not named, not _KEY.search(_spaced(column.name)), column.name != first, column.kind != "whole")

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
    whole = [c for c in columns if c.missing == 0 and c.kind in ("whole", "text") and _KEY.search(_spaced(c.name))]
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
        event, other = bool(_EVENT.search(_spaced(column.name))), bool(_NOT_EVENT.search(column.name))
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


def _spaced(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name)


def reference_proposals(
    keys: Mapping[str, tuple[str, ...]], profiles: Profiles, bench: Workbench, taken: Iterable[tuple[str, str]] = ()
) -> list[Proposal]:
    """Foreign keys that names and values suggest, to tables with a key of one column.

    Args:
        keys: The primary key of each table, () where it has none.
        taken: (table, column) pairs that are settled and not looked at.
    """
    settled = set(taken)
    proposals = []
    for table, profile in profiles.items():
        for column in profile.values():
            if (table, column.name) in settled or column.present == 0 or column.kind not in ("whole", "text", "number"):
                continue
            if keys.get(table) == (column.name,) and not _another(table, column.name, keys):
                continue
            found = [
                p
                for parent, key in keys.items()
                if len(key) == 1 and (parent, key[0]) != (table, column.name)
                if (p := _reference(table, column, parent, profiles[parent][key[0]], bench)) is not None
            ]
            found.sort(key=lambda p: not p.sure)
            proposals += found[:1] if found and found[0].sure else found
    return proposals


def _another(table: str, column: str, keys: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a table's own key is called like another table's: a table that extends that one."""
    return any(parent != table and words(column) in _names_of(parent, *key[:1]) for parent, key in keys.items() if key)


def _reference(table: str, column: ColumnProfile, parent: str, key: ColumnProfile, bench: Workbench) -> Proposal | None:
    """`column` as a reference to `parent`, if names or values speak for it."""
    same_value = same_key("c.v", column.type, f"k.{quoted(key.name)}", key.type)
    if same_value is None or key.distinct == 0:
        return None
    name = words(column.name)
    likely = _names_of(parent, key.name)
    same = name in likely or name.replace("_", "") in likely
    alike = not same and any(name.endswith(f"_{n}") for n in likely)
    texts = column.kind == "text" and key.kind == "text"
    if not same and not alike and (not texts or column.distinct < 3):
        return None
    inside, different = bench.row(
        f"SELECT count(k.{quoted(key.name)}), count(*) FROM "
        f"(SELECT DISTINCT {quoted(column.name)} AS v FROM {quoted(table)} WHERE {quoted(column.name)} IS NOT NULL) c "
        f"LEFT JOIN {quoted(parent)} k ON {same_value}"
    )
    share = int(inside) / max(int(different), 1)  # type: ignore[call-overload]
    if share < 0.5 or (not (same or alike) and share < 1):
        return None
    evidence = f"{share:.1%} of its {int(different):,} different values are keys of {parent}"  # type: ignore[call-overload]
    evidence += "; the name fits" if same else "; the name ends like it" if alike else "; the name says nothing"
    return Proposal("reference", table, (column.name,), evidence, (same or alike) and share >= 0.95, parent)
