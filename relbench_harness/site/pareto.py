"""Quality against cost: a chart with the front of what nothing beats in both, and names where they have room."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import pandas as pd

from relbench_harness.site.drawing import Figure, Ink, layer, names, number, svg, unique
from relbench_harness.site.rankings import Line, Ranking
from relbench_harness.site.words import counted, metric_name, sentence_case

WIDTH, HEIGHT = 320, 240
LETTER, LINE = 6.3, 13.0
"""What a label takes: pixels a letter, and in height."""


class Point(NamedTuple):
    """A method in a chart of quality against cost."""

    name: str
    cost: float
    quality: float


class Axes(NamedTuple):
    """What a chart of quality against cost shows."""

    cost: str
    quality: str
    higher_is_better: bool
    log: bool


COSTS = (("seconds", "Seconds", True), ("peak_memory_mb", "Memory, MB", True), ("lines", "Lines of code", False))
"""Columns of cost, what they are called, and whether they spread over orders of magnitude."""


def cost_plots(ranking: Ranking) -> list[Figure]:
    """Quality against seconds, memory and lines of code."""
    found = []
    for column, title, log in COSTS:
        points = [Point(line.name, cost_of(line, column), line.number("test")) for line in ranking.scored]
        axes = Axes(title, metric_name(ranking.metric), ranking.higher_is_better, log)
        figure = pareto(points, axes)
        if figure is not None:
            found.append(figure)
    return found


def cost_of(line: Line, column: str) -> float:
    """A row's cost: what `column` of the board says, or all lines that were written for its method and task."""
    if column == "lines":
        return line.number("lines_task") + line.number("lines_method")
    return line.number(column)


def front(points: Sequence[Point], higher_is_better: bool) -> list[Point]:
    """The points that no other beats in cost or quality without losing in the other, by cost."""
    sign = -1 if higher_is_better else 1
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, sign * p.quality, p.name)):
        if not found or sign * point.quality < sign * found[-1].quality:
            found.append(point)
    return found


def pareto(points: Sequence[Point], axes: Axes) -> Figure | None:
    """Quality against cost, the front drawn as the best quality that a cost buys; None with fewer than two points."""
    known = [p for p in points if math.isfinite(p.quality) and math.isfinite(p.cost) and (p.cost > 0 or not axes.log)]
    if len(known) < 2:
        return None
    best = front(known, axes.higher_is_better)
    space = _Space.around(known, axes)
    x = number("cost", axes.cost, space.x, type="log" if axes.log else "linear")
    y = number("quality", sentence_case(axes.quality), space.y, reverse=not axes.higher_is_better)
    x["axis"] = {
        "format": "~s" if axes.cost.startswith("Lines") else "~r",
        **({"values": ticks(*space.x)} if axes.log else {"tickCount": 5}),
    }
    rows = [{"cost": p.cost, "quality": p.quality, "front": p in best} for p in known]
    steps = space.steps(best)
    hollow = {"type": "point", "size": 55, "color": Ink.FAINT, "strokeWidth": 1.6, "opacity": 1}
    full = {"type": "point", "filled": True, "size": 75, "color": Ink.BLUE, "opacity": 1}
    line = {"type": "line", "interpolate": "step-after", "color": Ink.BLUE, "size": 1.5, "opacity": 0.5}
    layers = [
        layer([{"cost": cost, "quality": quality} for cost, quality in steps], line, x=x, y=y),
        layer([row for row in rows if not row["front"]], hollow, x=x, y=y),
        layer([row for row in rows if row["front"]], full, x=x, y=y),
    ]
    placed = space.labels(known, best)
    for align in ("left", "center", "right"):
        mark = {"type": "text", "align": align, "baseline": "middle", "fontSize": 11, "color": Ink.TEXT}
        layers.append(layer([row for row in placed if row["align"] == align], mark, x=x, y=y, text=names("name")))
    title = f"{sentence_case(axes.quality)} against {axes.cost[0].lower()}{axes.cost[1:].partition(',')[0]}"
    hidden = len(known) - len(placed)
    caption = "Full dots: nothing is both cheaper and better. The line is the best that a cost buys; up is better."
    return Figure(
        title,
        caption + (f" {counted(hidden, 'name has', 'names have')} no room." if hidden else ""),
        svg(WIDTH, HEIGHT, layers),
    )


def ticks(low: float, high: float) -> list[float]:
    """Round numbers on a logarithmic axis, about three to seven of them."""
    found: list[float] = []
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [
            float(f"{step * 10.0**power:.6g}") for power in powers for step in steps if low <= step * 10.0**power <= high
        ]
        if len(found) >= 3:
            break
    return found


class _Space(NamedTuple):
    """The plane of a chart: the ends of its axes, and where labels have room."""

    x: tuple[float, float]
    y: tuple[float, float]
    axes: Axes

    @classmethod
    def around(cls, points: Sequence[Point], axes: Axes) -> _Space:
        costs, values = [p.cost for p in points], [p.quality for p in points]
        low, high = min(values), max(values)
        pad = 0.1 * (high - low) or 0.1 * abs(high) or 0.1
        if axes.log:
            ratio = max(max(costs) / min(costs), 1.5) ** 0.12
            x = (min(costs) / ratio, max(costs) * ratio)
        else:
            wide = 0.1 * (max(costs) - min(costs)) or 1.0
            x = (min(0.0, min(costs)) - 0.3 * wide, max(costs) + wide)
        return cls(x, (low - pad, high + pad), axes)

    def pixel(self, cost: float, quality: float) -> tuple[float, float]:
        left, right, at = map(math.log, (*self.x, cost)) if self.axes.log else (*self.x, cost)
        up = (quality - self.y[0]) / (self.y[1] - self.y[0])
        return (at - left) / (right - left) * WIDTH, (1 - up if self.axes.higher_is_better else up) * HEIGHT

    def place(self, across: float, down: float) -> tuple[float, float]:
        """The inverse of `pixel`."""
        share, up = across / WIDTH, down / HEIGHT
        cost = (
            self.x[0] * (self.x[1] / self.x[0]) ** share if self.axes.log else self.x[0] + share * (self.x[1] - self.x[0])
        )
        return cost, self.y[0] + (1 - up if self.axes.higher_is_better else up) * (self.y[1] - self.y[0])

    def steps(self, best: Sequence[Point]) -> list[tuple[float, float]]:
        """The front from its cheapest point to the edge of the chart, as (cost, quality)."""
        return [*((p.cost, p.quality) for p in best), (self.x[1], best[-1].quality)]

    def labels(self, points: Sequence[Point], first: Sequence[Point]) -> list[dict[str, Any]]:
        """Where names stand so that none covers another or a point; a name without room is left out."""
        ordered = [*first, *(p for p in points if p not in first)]
        taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in (self.pixel(p.cost, p.quality) for p in points)]
        corners = [self.pixel(*step) for step in self.steps(first)]
        for (x, y), (right, up) in pairwise(corners):
            # along, then up
            taken += [(x, y - 1, right, y + 1), (right - 1, min(y, up), right + 1, max(y, up))]
        placed: list[dict[str, Any]] = []
        for point, name in zip(ordered, unique([p.name for p in ordered], 22), strict=True):
            (x, y), wide = self.pixel(point.cost, point.quality), LETTER * len(name)
            for align, across, down in _AROUND:
                at, left = x + across, x + across - {"left": 0.0, "center": wide / 2, "right": wide}[align]
                box = (left, y + down - LINE / 2, left + wide, y + down + LINE / 2)
                inside = box[0] >= -2 and box[2] <= WIDTH + 12 and box[1] >= -4 and box[3] <= HEIGHT + 2
                if inside and not any(_overlap(box, other) for other in taken):
                    taken.append(box)
                    cost, quality = self.place(at, y + down)
                    placed.append({"name": name, "cost": cost, "quality": quality, "align": align})
                    break
        return placed


_AROUND = tuple(
    (align, across, down)
    for distance in (0.0, 9.0, 16.0)
    for align, across, down in (
        ("left", 9.0, distance), ("right", -9.0, -distance), ("left", 9.0, -distance), ("right", -9.0, distance),
        ("center", 0.0, 13.0 + distance), ("center", 0.0, -13.0 - distance),
    )
)  # fmt: skip
"""How a label may stand about its point, nearest first."""
Box = tuple[float, float, float, float]


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def overall_cost_plots(ranking: pd.DataFrame, rows: pd.DataFrame) -> list[Figure]:
    """Mean rank against what a method costs over the tasks of a regime.

    Args:
        ranking: A regime's part of `overall`.
        rows: The rows of the board that it ranks.
    """
    by_method = rows.groupby("method")
    lines = by_method["lines_task"].sum(min_count=1) + by_method["lines_method"].max()
    costs = {
        "Seconds, all tasks": (by_method["seconds"].sum(min_count=1), True),
        "Memory, MB, at most": (by_method["peak_memory_mb"].max(), True),
        "Lines of code, all tasks": (lines, False),
    }
    ranks = ranking.set_index("method")["mean_rank"]
    found = []
    for title, (cost, log) in costs.items():
        points = [Point(str(name), float(cost[str(name)]), float(rank)) for name, rank in ranks.items()]
        figure = pareto(points, Axes(title, "mean rank", False, log))
        if figure is not None:
            found.append(figure)
    return found
