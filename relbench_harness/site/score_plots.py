"""The scores of one ranking as a chart: a dot a row, with its interval, its seeds and published values beside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from relbench_harness.site.drawing import Figure, Ink, layer, names, number, svg, unique
from relbench_harness.site.rankings import Line, Ranking
from relbench_harness.site.words import metric_name, sentence_case

MOST_ROWS = 40
MOST_PUBLISHED = 5
MOST_SEEDS = 10
WIDTH = 190


def score_plot(ranking: Ranking) -> Figure | None:
    """Each row's score with its interval and its seeds; None where nothing scored."""
    lines, published = ranking.scored[:MOST_ROWS], ranking.published[:MOST_PUBLISHED]
    if not lines:
        return None
    labels = unique([*(line.name for line in lines), *(row.method for row in published)])
    ours: list[dict[str, Any]] = [
        {"name": name, "value": line.number("test"), "low": line.number("low"), "high": line.number("high")}
        for name, line in zip(labels, lines, strict=False)
    ]
    seeds = [
        {"name": name, "value": result.score}
        for name, line in zip(labels, lines, strict=False)
        for result in line.results[:MOST_SEEDS]
        if math.isfinite(result.score)
    ]
    theirs = [{"name": name, "value": row.value} for name, row in zip(labels[len(lines) :], published, strict=True)]
    known = [row for row in ours if math.isfinite(row["low"]) and math.isfinite(row["high"])]
    y = names(
        "name", sort=labels, scale={"domain": labels}, axis={"labelColor": Ink.TEXT, "labelLimit": 165, "domain": False}
    )
    x = number("value", metric_name(ranking.metric))
    layers = [layer(seeds, {"type": "tick", "color": Ink.FAINT, "thickness": 1.5, "size": 9, "opacity": 0.7}, x=x, y=y)]
    if known:
        bar = {"type": "rule", "color": Ink.BLUE, "size": 2.5, "opacity": 0.55}
        layers.append(layer(known, bar, x=number("low", metric_name(ranking.metric)), x2={"field": "high"}, y=y))
    layers.append(layer(ours, {"type": "point", "filled": True, "size": 70, "color": Ink.BLUE, "opacity": 1}, x=x, y=y))
    diamond = {"type": "point", "shape": "diamond", "strokeWidth": 1.8, "size": 60, "color": Ink.PUBLISHED, "opacity": 1}
    layers.append(layer(theirs, diamond, x=x, y=y))
    caption = [f"Dots are means over seeds, thin ticks the seeds{_first(lines)}."]
    caption += ["Bars are 95 % intervals over entities and seeds."] if known else ["No intervals are known."]
    caption += ["Diamonds are published values, not rerun."] if theirs else []
    left_out = len(ranking.scored) - len(lines)
    caption += [f"{left_out} more rows stand in the table."] if left_out else []
    title = f"{sentence_case(metric_name(ranking.metric))} on test"
    return Figure(
        title, " ".join([*caption, _better(ranking.higher_is_better)]), svg(WIDTH, 24 * len(labels), layers), "tall"
    )


def _first(lines: Sequence[Line]) -> str:
    return f", {MOST_SEEDS} of each row" if any(len(line.results) > MOST_SEEDS for line in lines) else ""


def _better(higher: bool) -> str:
    return "Higher is better." if higher else "Lower is better."
