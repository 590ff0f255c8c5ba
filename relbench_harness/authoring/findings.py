"""What a check finds: errors, leaks with their number, and which of them the dataset's manifest documents as known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from relbench_harness.errors import InputError, nearest

Level = Literal["error", "leak"]

KINDS: Mapping[str, tuple[Level, str]] = {
    "unreadable": ("error", "a manifest or file that cannot be read"),
    "manifest": ("error", "manifest and data disagree"),
    "key": ("error", "primary keys missing or repeated, foreign keys without a parent"),
    "time": ("error", "times missing or impossible"),
    "sql": ("error", "labels that cannot be made"),
    "split": ("error", "a split that is empty or has one label only"),
    "window": ("error", "label windows that cross a cut point, or read past their end"),
    "hosted": ("error", "hosted labels that differ from regenerated ones"),
    "giveaway": ("leak", "a single column of the entity's row that gives the label away"),
    "afterwards": ("leak", "a column that is filled only where there is a label: written after the fact"),
    "older-child": ("leak", "child rows older than their parent"),
    "future-member": ("leak", "questions that are asked only because of what the entity does later"),
    "future-column": ("leak", "a column that tells what happens later better than the rows before can"),
    "late-date": ("leak", "a date that lies after its row's time, and columns that are filled only with it"),
    "growing": ("leak", "a table without a time whose rows come to be over time"),
}
"""Every kind of finding: its level, and what it means."""


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        kind: A key of `KINDS`.
        where: `table`, `table.column`, a task's name, or `task table.column`.
        number: The figure that made it a finding, where there is one.
        known: Why the dataset's author leaves it so, from the manifest's `known` section.
    """

    kind: str
    where: str
    what: str
    number: float | None = None
    known: str | None = None

    @property
    def level(self) -> Level:
        return KINDS[self.kind][0]

    def __str__(self) -> str:
        label = f"known {self.level}" if self.known is not None else self.level
        because = f" (known: {self.known})" if self.known is not None else ""
        return f"{label} {self.kind} {self.where}: {self.what}{because}"


def with_known(findings: Iterable[Finding], manifest: Mapping[str, Any], path: str) -> list[Finding]:
    """The findings, those that the manifest's `known` section lists marked with its reason.

    An entry reads `{kind: …, where: …, why: …}`; only exact kinds and places match, and every entry needs a reason.
    """
    reasons: dict[tuple[str, str], str] = {}
    for entry in manifest.get("known") or []:
        if not isinstance(entry, dict) or not {"kind", "where", "why"} <= set(entry):
            raise InputError(f"{path}: an entry of known needs the keys kind, where and why; got {entry!r}")
        if entry["kind"] not in KINDS:
            raise InputError(
                f"{path}: known names no kind of finding {entry['kind']!r}; {nearest(str(entry['kind']), KINDS)}"
            )
        reasons[str(entry["kind"]), str(entry["where"])] = str(entry["why"])
    return [replace(f, known=reasons.get((f.kind, f.where))) for f in findings]
