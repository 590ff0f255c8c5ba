"""Foreign keys that names and values suggest, where a source declares none or only some.

Whole numbers that lie in 1 … n say nothing, for every row counter of every table has them: the name must say which table is
meant. What speaks for several tables alike is left to the user.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from relbench_harness.authoring.column_profile import ColumnProfile, Workbench
from relbench_harness.authoring.identifiers import quoted
from relbench_harness.authoring.name_words import (
    bases,
    has_key_suffix,
    is_generic,
    is_named_after,
    names_of,
    without_prefix,
    words,
)
from relbench_harness.authoring.proposals import Profiles, Proposal
from relbench_harness.data.key_match import same_key

CONTAINED = 0.95
"""The least share of a column's values that must be keys of its parent."""
REACH = 0.5
"""How far up a parent's count of keys a column must reach, where its name says little: a position or a count stays low."""
_SHORTEST = 4
"""Names of tables that are shorter are not looked for at the end of a name without separators."""


class Evidence(IntEnum):
    """How a column's name points at a parent, the clearest first."""

    STEM = 0
    KEY = 1
    ENDING = 2
    RUN_TOGETHER = 3
    VALUES = 4


_SAID = {
    Evidence.STEM: "the name fits",
    Evidence.KEY: "the name is that of the key",
    Evidence.ENDING: "the name ends like it",
    Evidence.RUN_TOGETHER: "the name ends like it",
    Evidence.VALUES: "the name says nothing",
}


@dataclass(frozen=True)
class _Candidate:
    """A parent that a column may refer to. `length` is how much of the name speaks for it."""

    parent: str
    evidence: Evidence
    length: int
    share: float
    used: float
    different: int

    def said(self) -> str:
        return (
            f"{self.share:.1%} of its {self.different:,} different values are keys of {self.parent}, {self.used:.1%} of whose "
            f"keys are used; {_SAID[self.evidence]}"
        )


def reference_proposals(
    keys: Mapping[str, tuple[str, ...]],
    profiles: Profiles,
    bench: Workbench,
    taken: Iterable[tuple[str, str]] = (),
    some_declared: bool = False,
) -> list[Proposal]:
    """Foreign keys that names and values suggest, to tables with a key of one column.

    Args:
        keys: The primary key of each table, () where it has none.
        taken: (table, column) pairs that are settled and not looked at.
        some_declared: Whether the source declares foreign keys: then the rest is never sure, and names alone are looked at.
    """
    search = _Search(keys, profiles, bench, some_declared)
    settled = set(taken)
    found = [
        proposal
        for table, profile in profiles.items()
        for column in profile.values()
        if (table, column.name) not in settled and column.present and column.kind in ("whole", "text", "number")
        for proposal in search.of(table, column)
    ]
    return [replace(p, sure=False) for p in found] if some_declared else found


class _Search:
    def __init__(self, keys: Mapping[str, tuple[str, ...]], profiles: Profiles, bench: Workbench, names_only: bool) -> None:
        self.parents = {table: key[0] for table, key in keys.items() if len(key) == 1}
        self.keys, self.profiles, self.bench, self.names_only = keys, profiles, bench, names_only
        self.short = {table: without_prefix(profile) for table, profile in profiles.items()}
        self.counting = {(t, c) for t, profile in profiles.items() for c in self._counters(t, profile)}
        seen = [words(column) for table, column in self.counting if not is_named_after(column, table)]
        # a name that counts the rows of several tables says nothing, unless it is a table's own
        self.counter_names = {n for n in seen if seen.count(n) > 1 and not any(is_named_after(n, t) for t in profiles)}

    def _counters(self, table: str, profile: Mapping[str, ColumnProfile]) -> Iterator[str]:
        """The columns of `table` that number its rows from 0 or 1."""
        whole = [c for c in profile.values() if c.kind == "whole" and c.unique]
        if not whole:
            return
        ends = ", ".join(f"min({quoted(c.name)}), max({quoted(c.name)})" for c in whole)
        row = self.bench.row(f"SELECT {ends} FROM {quoted(table)}")
        for index, column in enumerate(whole):
            low, high = int(str(row[2 * index])), int(str(row[2 * index + 1]))
            if low in (0, 1) and high - low == column.rows - 1:
                yield column.name

    def of(self, table: str, column: ColumnProfile) -> list[Proposal]:
        """The proposals for one column: one that is sure, or all that are not."""
        own_key = self.keys.get(table) == (column.name,)
        if (own_key and is_named_after(column.name, table)) or words(column.name) in self.counter_names:
            return []
        found = [
            candidate
            for parent, key in self.parents.items()
            if (parent, key) != (table, column.name)
            if (candidate := self._candidate(table, column, parent, own_key)) is not None
        ]
        found.sort(key=lambda c: (c.evidence, -c.length))
        best = [c for c in found if (c.evidence, c.length) == (found[0].evidence, found[0].length)]
        # the table that lists all of them, before one that lists some: the movies, not their ratings
        best = [c for c in best if c.share >= CONTAINED] or best
        # tables that extend a parent share its keys: the parent is the table that the name means
        found = best if best and best[0].evidence is Evidence.STEM else found
        sure = len(best) == 1 and self._is_sure(table, column, best[0], own_key)
        return [
            Proposal("reference", table, (column.name,), c.said(), sure, c.parent, likely=self._is_likely(column.name, c))
            for c in (best if sure else found)
        ]

    def _is_likely(self, column: str, candidate: _Candidate) -> bool:
        """Whether a proposal that is not sure is more than small numbers under a table's name: the `pages` of a book."""
        dense = (candidate.parent, self.parents[candidate.parent]) in self.counting
        counts = words(column) in bases(candidate.parent) or not (
            has_key_suffix(column) or candidate.evidence < Evidence.ENDING
        )
        return candidate.share >= CONTAINED and not (dense and counts)

    def _candidate(self, table: str, column: ColumnProfile, parent: str, own_key: bool) -> _Candidate | None:
        key = self.profiles[parent][self.parents[parent]]
        same = same_key("c.v", column.type, f"k.{quoted(key.name)}", key.type)
        names = {(column.name, key.name), (self.short[table][column.name], self.short[parent][key.name])}
        evidence, length = min((self._evidence(own, parent, theirs) for own, theirs in names), key=lambda e: (e[0], -e[1]))
        if parent == table and evidence is Evidence.VALUES:
            evidence = Evidence.ENDING if words(column.name).partition("_")[0] == "parent" else evidence
            if evidence is Evidence.VALUES:
                return None  # a second key of the same rows
        if same is None or key.distinct == 0 or (own_key and evidence not in (Evidence.STEM, Evidence.KEY)):
            return None
        counts = (table, column.name) in self.counting
        if counts and evidence in (Evidence.KEY, Evidence.VALUES):
            return None
        texts = column.kind == "text" and key.kind == "text"
        if evidence is Evidence.VALUES and (self.names_only or not texts or column.distinct < 3):
            return None
        inside, different, keys = (
            int(str(value))
            for value in self.bench.row(
                f"SELECT count(k.{quoted(key.name)}), count(*), (SELECT count(*) FROM {quoted(parent)}) FROM "
                f"(SELECT DISTINCT {quoted(column.name)} AS v FROM {quoted(table)} WHERE {quoted(column.name)} IS NOT NULL) c "
                f"LEFT JOIN {quoted(parent)} k ON {same}"
            )
        )
        share = inside / max(different, 1)
        if share < (1 if evidence is Evidence.VALUES else 0.5):
            return None
        return _Candidate(parent, evidence, length, share, inside / max(keys, 1), different)

    def _evidence(self, column: str, parent: str, key: str) -> tuple[Evidence, int]:
        """How the name of a column speaks for `parent`, and how many letters do."""
        name = words(column)
        if is_named_after(column, parent):
            return Evidence.STEM, 0
        distinctive = words(key) if not is_generic(key) and words(key) not in self.counter_names else ""
        if name == distinctive:
            # of several tables with this key, `shop_orders` is the one that `order_id` is named after
            stem = name.rpartition("_")[0] if has_key_suffix(column) else name
            return Evidence.KEY, len(stem) if any(f"_{base}".endswith(f"_{stem}") for base in bases(parent)) else 0
        named = names_of(parent) | ({distinctive} if distinctive else set())
        ends = [len(n) for n in named if name.endswith(f"_{n}")]
        if ends:
            return Evidence.ENDING, max(ends)
        plain = [n for n in named if len(n.partition("_")[0]) >= _SHORTEST and "_" in n]
        run = [len(n) for n in plain if "_" not in name and name.endswith(n.replace("_", ""))]
        return (Evidence.RUN_TOGETHER, max(run)) if run else (Evidence.VALUES, 0)

    def _is_sure(self, table: str, column: ColumnProfile, candidate: _Candidate, own_key: bool) -> bool:
        if candidate.share < CONTAINED or candidate.evidence in (Evidence.RUN_TOGETHER, Evidence.VALUES):
            return False
        if own_key and candidate.evidence is not Evidence.STEM:
            return False
        dense = (candidate.parent, self.parents[candidate.parent]) in self.counting
        bare = words(column.name) in bases(candidate.parent)
        if dense and (bare or candidate.evidence is Evidence.ENDING):
            # chance puts small numbers among 1 … n: an `order` may be a position, a `work_order_no` a count
            named = bare or has_key_suffix(column.name)
            clear = named and candidate.share == 1.0 and (table, column.name) not in self.counting
            return clear and self._reach(table, column.name, candidate.parent) >= REACH
        return True

    def _reach(self, table: str, column: str, parent: str) -> float:
        """The greatest of a column's values as a share of the greatest key."""
        greatest = f"SELECT max({quoted(self.parents[parent])}) FROM {quoted(parent)}"
        row = self.bench.row(
            f"SELECT CAST(max(TRY_CAST({quoted(column)} AS DOUBLE)) / ({greatest}) AS DOUBLE) FROM {quoted(table)}"
        )
        return float(str(row[0])) if row[0] is not None else 0.0
