"""The manifest an import writes: what was decided with its evidence, and what was not as comments to decide by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relbench_harness.authoring.cut_points import CutPoints
from relbench_harness.authoring.late_tables import Move
from relbench_harness.authoring.manifest_comments import Comments
from relbench_harness.authoring.manifest_text import dumped, scalar
from relbench_harness.authoring.numbering import Written
from relbench_harness.authoring.proposals import Proposal


@dataclass(frozen=True)
class Described:
    """Everything a manifest says.

    Attributes:
        keys: The columns of each table's key at the source.
        inherited: The foreign key by which a table took its parent's time.
        evidence: Why, by (table, "key" | "time" | foreign-key column).
        choices: What the import was given (`wanted.recorded`).
        comments: Open proposals of the manifest that the import was repeated by.
        late: Late columns that moved to tables of their own.
    """

    name: str
    source: str
    written: Mapping[str, Written]
    keys: Mapping[str, tuple[str, ...]]
    inherited: Mapping[str, str]
    cuts: CutPoints
    evidence: Mapping[tuple[str, str], str]
    open: list[Proposal]
    notes: list[str]
    choices: Mapping[str, Any]
    comments: Comments
    late: Sequence[Move] = ()


_OWN = {"name", "manifest_version", "description", "val_timestamp", "test_timestamp", "tables", "origin"}
_ENTRY = {"pkey", "time_col", "fkeys"}


def manifest_text(described: Described, previous: Mapping[str, Any] | None = None) -> str:
    """The manifest as YAML.

    Args:
        previous: The user's own, whose description is kept, and so are keys that an import does not write.
    """
    previous = previous or {}
    description = previous.get("description") or f"Imported from {described.source}."
    cuts = described.cuts
    lines = [
        f"name: {scalar(described.name)}",
        "manifest_version: 1",
        *_dumped({"description": description}),
        f"# {_one_line(cuts.evidence)}",
        f"val_timestamp: {scalar(str(cuts.val))}",
        f"test_timestamp: {scalar(str(cuts.test))}",
        "tables:",
    ]
    for name in described.written:
        lines += _table(described, name)
        entry = (previous.get("tables") or {}).get(name) or {}
        lines += [f"    {line}" for line in _dumped({k: v for k, v in entry.items() if k not in _ENTRY})]
    lines += _origin(described)
    lines += _dumped({key: value for key, value in previous.items() if key not in _OWN})
    lines += [f"# note: {_one_line(note)}" for note in described.notes]
    return "\n".join(lines) + "\n"


def _dumped(content: Mapping[str, Any]) -> list[str]:
    return dumped(content).rstrip("\n").split("\n") if content else []


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _because(described: Described, table: str, what: str) -> str:
    said = described.evidence.get((table, what))
    return f"  # {_one_line(said)}" if said else ""


def _table(described: Described, name: str) -> list[str]:
    spec = described.written[name].spec
    lines = [
        f"  {scalar(name)}:",
        f"    pkey: {scalar(spec.pkey)}{_because(described, name, 'key')}",
        *_comments(described, name, "key", "    # pkey: {0}"),
        f"    time_col: {scalar(spec.time_col)}{_because(described, name, 'time')}",
        *_comments(described, name, "time", "    # time_col: {0}"),
        *_comments(described, name, "late", "    # late: {0}"),
    ]
    open_references = _comments(described, name, "reference", "    #   {0}: {1}")
    if not spec.fkeys:
        lines.append("    fkeys: {}")
    else:
        lines.append("    fkeys:")
        for column, parent in spec.fkeys.items():
            first = described.written[name].references[column].columns[0]
            lines.append(f"      {scalar(column)}: {scalar(parent)}{_because(described, name, first)}")
    return lines + open_references


def _comments(described: Described, table: str, role: str, form: str) -> list[str]:
    """Open proposals as comments; a decision is to write them as keys and import again."""
    lines = []
    for proposal in described.open:
        if (proposal.table, proposal.role) == (table, role):
            columns = proposal.columns
            shown = scalar(columns[0]) if len(columns) == 1 else "[" + ", ".join(scalar(c) for c in columns) + "]"
            said = form.format(shown, scalar(proposal.parent) if proposal.parent else "")
            lines.append(f"{said}  # undecided: {_one_line(proposal.evidence)}")
    return lines + described.comments.open.get((table, role), [])


def _origin(described: Described) -> list[str]:
    """Where the tables came from, what the import was given, and what is behind keys and times that the source lacks."""
    origin: dict[str, Any] = {"source": described.source}
    keys = {name: list(key) for name, key in described.keys.items() if key != (described.written[name].spec.pkey,)}
    references = {name: found for name in described.written if (found := _references(described, name))}
    for section, content in (
        ("choices", described.choices),
        ("keys", keys),
        ("references", references),
        ("times", described.inherited),
        ("late", {move.child: move.recorded for move in described.late}),
    ):
        if content:
            origin[section] = dict(content)
    return _dumped({"origin": origin})


def _references(described: Described, table: str) -> dict[str, dict[str, Any]]:
    """The columns of each foreign key that has several, or another name, or that names other columns than the parent's key."""
    found: dict[str, dict[str, Any]] = {}
    for column, reference in described.written[table].references.items():
        said: dict[str, Any] = {}
        if reference.columns != (column,):
            said["columns"] = list(reference.columns)
        if reference.parent_columns != described.keys.get(reference.parent):
            said |= {"parent": reference.parent, "parent_columns": list(reference.parent_columns)}
        if said:
            found[column] = said
    return found
