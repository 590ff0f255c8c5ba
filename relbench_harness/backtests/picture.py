"""The chart of a backtest: the score at each origin, a line a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relbench_harness.site.curves import HEIGHT, by_method_lines
from relbench_harness.site.drawing import Ink, layer, number, svg

WIDTH = 460
ALONE = '<svg font-family="sans-serif" style="background:#fff" '
"""A file of its own has no page that would set its font and background."""


def picture(lines: Sequence[Mapping[str, Any]], policies: Sequence[str], metric: str) -> str:
    """An SVG document; the 95 % interval of each score is a vertical line through it.

    Args:
        lines: As `Report.lines` returns them.
    """
    rows = [
        {"name": line["policy"], "x": float(line["origin"]), "y": line["score"], "low": line["low"], "high": line["high"]}
        for line in lines
        if line["score"] is not None
    ]
    x, y, low = number("x", "Origin"), number("y", metric), number("low", metric)
    x["axis"] = {"format": "d", "values": sorted({row["x"] for row in rows})}
    bars = [
        layer(
            [row for row in rows if row["name"] == policy and row["low"] is not None],
            {"type": "rule", "size": 1, "opacity": 0.5, "color": colour},
            x=x, y=low, y2={"field": "high"},
        )
        for policy, colour in zip(policies, Ink.GROUPS, strict=False)
    ]  # fmt: skip
    drawn = svg(WIDTH, HEIGHT, [*bars, *by_method_lines(rows, policies, x, y)])
    return str(drawn).replace("<svg ", ALONE, 1) + "\n"
