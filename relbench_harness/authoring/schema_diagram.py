"""The schema as an SVG drawing: a card per table, a line per foreign key, laid out in columns without any other program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

import pyarrow as pa

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table

ROW, HEAD, GAP_X, GAP_Y, MARGIN = 20, 28, 110, 26, 24
CHARACTER = 7.0
"""Width of a character of the 12 px font, on the safe side."""
MOST = 14
"""Attributes shown per table; the rest are counted."""

_STYLE = """
  .card { fill: #ffffff; stroke: #b8bfc9; } .head { fill: #34495e; } .name { fill: #ffffff; font-weight: 600; }
  .count { fill: #c9d3de; } .kind { fill: #7b8794; } .key { fill: #fdf3d6; } .time { fill: #e2f2e4; } .ref { fill: #e4edf8; }
  .column { fill: #1f2933; } .line { fill: none; stroke: #8595a8; stroke-width: 1.4; }
  text { font: 12px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; }
"""


@dataclass(frozen=True)
class _Line:
    """One line of a card."""

    name: str
    kind: str
    role: str


@dataclass(frozen=True)
class _Card:
    table: str
    rows: int
    lines: tuple[_Line, ...]
    x: float = 0
    y: float = 0

    @property
    def width(self) -> float:
        inner = max((len(line.name) + len(line.kind) for line in self.lines), default=0)
        return (max(inner, len(self.table) + len(_rows(self.rows))) + 5) * CHARACTER

    @property
    def height(self) -> float:
        return HEAD + ROW * len(self.lines) + 4

    def middle(self, column: str | None) -> float:
        """The height of the middle of a column's line, the head's where it has none."""
        for index, line in enumerate(self.lines):
            if line.name == column and line.role != "more":
                return self.y + HEAD + ROW * (index + 0.5)
        return self.y + HEAD / 2


def schema_svg(database: Database) -> str:
    """The drawing as SVG text. Parents stand left of their children as far as the keys allow."""
    cards = _placed([_card(table) for table in database.values()], database)
    width = max((c.x + c.width for c in cards.values()), default=0) + MARGIN
    height = max((c.y + c.height for c in cards.values()), default=0) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-label="schema"><style>{_STYLE}</style>'
    ]
    for table in database.values():
        for column, parent in table.references.items():
            parts.append(_edge(cards[table.name], column, cards[parent], database[parent].key))
    parts += [_drawn(card) for card in cards.values()]
    return "\n".join([*parts, "</svg>"])


def _card(table: Table) -> _Card:
    fields = {f.name: f.type for f in table.rows.schema}
    roles = dict.fromkeys(table.references, "ref")
    if table.time is not None:
        roles[table.time] = "time"
    if table.key is not None:
        roles[table.key] = "key"
    order = {"key": 0, "ref": 1, "time": 2}
    named = sorted((n for n in fields if n in roles), key=lambda n: order[roles[n]])
    plain = [n for n in fields if n not in roles]
    lines = [_Line(n, _kind(fields[n]), roles.get(n, "column")) for n in [*named, *plain[:MOST]]]
    if len(plain) > MOST:
        lines.append(_Line(f"… {len(plain) - MOST} more", "", "more"))
    return _Card(table.name, len(table), tuple(lines))


def _kind(kind: pa.DataType) -> str:
    for test, name in (
        (pa.types.is_boolean, "bool"),
        (pa.types.is_integer, "int"),
        (pa.types.is_floating, "float"),
        (pa.types.is_decimal, "decimal"),
        (pa.types.is_temporal, "time"),
        (pa.types.is_list, "list"),
        (pa.types.is_large_list, "list"),
        (pa.types.is_binary, "bytes"),
    ):
        if test(kind):
            return name
    return "text"


def _rows(count: int) -> str:
    return f"{count:,}"


def _levels(database: Database) -> dict[str, int]:
    """Column of each table: one right of its rightmost parent; circles are cut where they close."""
    levels: dict[str, int] = {}

    def level(name: str, path: frozenset[str]) -> int:
        if name not in levels:
            parents = [p for p in database[name].references.values() if p not in path and p != name]
            levels[name] = max((level(p, path | {name}) + 1 for p in parents), default=0)
        return levels[name]

    for name in database:
        level(name, frozenset({name}))
    return levels


def _placed(cards: list[_Card], database: Database) -> dict[str, _Card]:
    levels = _levels(database)
    placed: dict[str, _Card] = {}
    x = float(MARGIN)
    for number in range(max(levels.values(), default=0) + 1):
        column = [c for c in cards if levels[c.table] == number]
        column.sort(key=lambda c: _height_of_parents(c.table, database, placed))
        y = float(MARGIN)
        for card in column:
            placed[card.table] = _Card(card.table, card.rows, card.lines, x, y)
            y += card.height + GAP_Y
        x += max((c.width for c in column), default=0) + GAP_X
    return placed


def _height_of_parents(name: str, database: Database, placed: Mapping[str, _Card]) -> float:
    heights = [placed[p].y for p in database[name].references.values() if p in placed]
    return sum(heights) / len(heights) if heights else 0.0


def _edge(child: _Card, column: str, parent: _Card, key: str | None) -> str:
    """From the foreign key (a crow's foot: many) to the parent's key (a bar: one)."""
    y1, y2 = child.middle(column), parent.middle(key)
    right = parent.x >= child.x
    x1 = child.x + child.width if right else child.x
    x2 = parent.x + parent.width if parent.x <= child.x else parent.x
    out = 1 if right else -1
    back = 1 if parent.x <= child.x else -1
    reach = max(40.0, abs(x2 - x1) / 2) if parent.table != child.table else 36.0
    path = (
        f"M{x1 + out * 9:.1f},{y1:.1f} C{x1 + out * reach:.1f},{y1:.1f} {x2 + back * reach:.1f},{y2:.1f} {x2:.1f},{y2:.1f}"
    )
    foot = "".join(f" M{x1 + out * 9:.1f},{y1:.1f} L{x1:.1f},{y1 + d:.1f}" for d in (-5, 0, 5))
    bar = f" M{x2 + back * 6:.1f},{y2 - 5:.1f} v10"
    return f'<path class="line" d="{path}{foot}{bar}"><title>{escape(f"{child.table}.{column} → {parent.table}")}</title></path>'


def _drawn(card: _Card) -> str:
    w = card.width
    parts = [
        f'<g transform="translate({card.x:.1f},{card.y:.1f})"><rect class="card" width="{w:.1f}" height="{card.height:.1f}" '
        f'rx="5"/><path class="head" d="M0,{HEAD} v-{HEAD - 5} q0,-5 5,-5 h{w - 10:.1f} q5,0 5,5 v{HEAD - 5} z"/>'
        f'<text class="name" x="9" y="19">{escape(card.table)}</text>'
        f'<text class="count" x="{w - 9:.1f}" y="19" text-anchor="end">{_rows(card.rows)}</text>'
    ]
    for index, line in enumerate(card.lines):
        y = HEAD + ROW * index
        if line.role in ("key", "time", "ref"):
            parts.append(f'<rect class="{line.role}" x="1" y="{y}" width="{w - 2:.1f}" height="{ROW}"/>')
        style = "kind" if line.role == "more" else "column"
        parts.append(f'<text class="{style}" x="9" y="{y + 14}">{escape(line.name)}</text>')
        parts.append(f'<text class="kind" x="{w - 9:.1f}" y="{y + 14}" text-anchor="end">{line.kind}</text>')
    return "".join(parts) + "</g>"
