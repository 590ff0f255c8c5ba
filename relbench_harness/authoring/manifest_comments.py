"""The comments of an import's manifest, read back so that importing again keeps them: evidence and open proposals.

Comments are found by where YAML's own parser says that a value ends, so that a `#` in a name or text is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml

_OPEN = {"key": "    # pkey: ", "time": "    # time_col: ", "late": "    # late: ", "reference": "    #   "}
_ROLES = {"pkey": "key", "time_col": "time"}


@dataclass
class Comments:
    """What a manifest's comments say.

    Attributes:
        evidence: Why, by (table, "key" | "time" | foreign-key column).
        open: Lines of undecided proposals, by (table, "key" | "time" | "reference").
    """

    evidence: dict[tuple[str, str], str] = field(default_factory=dict)
    open: dict[tuple[str, str], list[str]] = field(default_factory=dict)


def comments(text: str) -> Comments:
    """The comments in the `tables` section of the manifest `text`."""
    found = Comments()
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    section = _child(root, "tables")
    if not isinstance(section, yaml.MappingNode):
        return found
    lines = text.split("\n")
    for name, entry in section.value:
        table = str(name.value)
        if not isinstance(entry, yaml.MappingNode):
            continue
        decided = _evidence(table, entry, lines, found)
        for line in lines[name.start_mark.line + 1 : entry.end_mark.line]:
            role = next((r for r, start in _OPEN.items() if line.startswith(start) and "  # undecided: " in line), None)
            if role is not None and role not in decided and _column(line) not in decided:
                found.open.setdefault((table, role), []).append(line)
    return found


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    entries = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in entries if name.value == key), None)


def _evidence(table: str, entry: yaml.MappingNode, lines: list[str], found: Comments) -> set[str]:
    """Notes the evidence of one table; returns what is decided of it: roles, and foreign-key columns as `: column`."""
    decided = set()
    for key, value in entry.value:
        fields = value.value if key.value == "fkeys" and isinstance(value, yaml.MappingNode) else []
        parts = [(_ROLES.get(str(key.value)), value), *((f": {c.value}", parent) for c, parent in fields)]
        for what, node in parts:
            if what is None:
                continue
            if node.tag != "tag:yaml.org,2002:null":
                decided.add(what)
            said = re.match(r"\s+# (.*)$", lines[node.end_mark.line][node.end_mark.column :])
            if said:
                found.evidence[table, what.removeprefix(": ")] = said.group(1).strip()
    return decided


def _column(line: str) -> str:
    """The foreign-key column that the line of a proposal would add, as `: column`."""
    try:
        loaded = yaml.safe_load(line.strip().removeprefix("#").strip())
    except yaml.YAMLError:
        return ""
    return f": {next(iter(loaded))}" if isinstance(loaded, dict) and loaded else ""
