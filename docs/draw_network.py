"""Draws docs/network.svg: the relational network, its parts and what each reads.

    python docs/draw_network.py

The test `tests/test_docs.py` fails where the picture differs from what this draws.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

OUT = Path(__file__).parent / "network.svg"
WIDTH, HEIGHT = 960, 340
FONT = "font-family='system-ui, sans-serif'"


class Box(NamedTuple):
    """A part of the network at (x, y), with its module and a few lines of text."""

    x: int
    y: int
    width: int
    title: str
    module: str
    lines: tuple[str, ...]
    colour: str = "#eef4fb"

    @property
    def height(self) -> int:
        return 46 + 17 * len(self.lines)

    def draw(self) -> str:
        parts = [
            f"<rect x='{self.x}' y='{self.y}' width='{self.width}' height='{self.height}' rx='6' "
            f"fill='{self.colour}' stroke='#4a6a8a'/>",
            text(self.x + 10, self.y + 20, self.title, 14, "bold"),
            text(self.x + 10, self.y + 36, self.module, 11, colour="#5a6a7a"),
        ]
        parts += [text(self.x + 10, self.y + 55 + 17 * n, line, 12) for n, line in enumerate(self.lines)]
        return "\n".join(parts)


def text(x: int, y: int, words: str, size: int, weight: str = "normal", colour: str = "#1c2733") -> str:
    return f"<text x='{x}' y='{y}' font-size='{size}' font-weight='{weight}' fill='{colour}' {FONT}>{escape(words)}</text>"


def arrow(points: str) -> str:
    return f"<polyline points='{points}' fill='none' stroke='#4a6a8a' stroke-width='1.6' marker-end='url(#head)'/>"


PLAIN = "#f7f3e8"
BOXES = (
    Box(
        15,
        40,
        205,
        "Sampled rows",
        "graph/sampler.py",
        ("older than the cut-off,", "each row once, with", "its ancestors"),
        PLAIN,
    ),
    Box(
        255,
        40,
        200,
        "Encoder",
        "gnn/row_encoder.py",
        ("attributes → vector;", "messages from ancestors", "to rows, deepest first"),
    ),
    Box(
        490,
        40,
        200,
        "Temporal encoder",
        "gnn/temporal_encoder.py",
        ("age of the row at the", "example's cut-off", "→ one state per node"),
    ),
    Box(
        725,
        40,
        220,
        "Backbone",
        "gnn/message_passing.py,",
        ("or gnn/transformer.py", "GraphSAGE, GATv2, attention", "→ one state per example"),
    ),
    Box(
        15,
        230,
        205,
        "History",
        "features/entity_summary.py",
        ("statistics of the entity's", "own past, as of the cut-off"),
        PLAIN,
    ),
    Box(255, 230, 200, "Summary encoding", "gnn/predictor.py", ("one learned scale each,", "added to the state")),
    Box(490, 230, 200, "Fusion", "gnn/predictor.py", ("state + summary,", "one residual layer")),
    Box(
        725,
        230,
        220,
        "Head",
        "gnn/heads.py",
        ("one per task type:", "owns loss and decode"),
    ),
)
ARROWS = (
    "220,88 253,88", "455,88 488,88", "690,88 723,88", "835,137 835,190 590,190 590,228",
    "220,270 253,270", "455,270 488,270", "690,270 723,270",
)  # fmt: skip


def picture() -> str:
    """The SVG."""
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{HEIGHT}' viewBox='0 0 {WIDTH} {HEIGHT}'>\n"
        "<defs><marker id='head' markerWidth='8' markerHeight='8' refX='7' refY='4' orient='auto'>"
        "<path d='M0,0 L8,4 L0,8 z' fill='#4a6a8a'/></marker></defs>\n"
        f"<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>\n"
        + text(15, 22, "How one example becomes a prediction", 15, "bold")
    )
    return "\n".join([head, *(arrow(points) for points in ARROWS), *(box.draw() for box in BOXES), "</svg>", ""])


if __name__ == "__main__":
    OUT.write_text(picture(), encoding="utf-8")
