"""The chart of a backtest: the score at each origin, a line a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relbench_harness.site.curves import HEIGHT, by_method_lines
from relbench_harness.site.drawing import layer, names, number, svg

WIDTH = 460


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
    x, y = number("x", "Origin"), number("y", metric)
    x["axis"] = {"format": "d", "tickMinStep": 1}
    bars = [row for row in rows if row["low"] is not None]
    palette = by_method_lines(rows, policies, x, y)
    spread = layer(
        bars, {"type": "rule", "size": 1, "opacity": 0.5},
        x=x, y=number("low", metric), y2={"field": "high"}, color=palette[0]["encoding"]["color"], detail=names("name"),
    )  # fmt: skip
    return str(svg(WIDTH, HEIGHT, [spread, *palette])) + "\n"
