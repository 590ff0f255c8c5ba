"""Learning curves: how the validation score of a network moved while it was trained, as charts of a task and of a method.

Invariant: curves come from what results hold; a run whose method trains no network has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from relbench_harness.protocol.epochs import Point, curves_of
from relbench_harness.protocol.result import Result
from relbench_harness.site.curves import HEIGHT, MOST_METHODS, WIDTH, by_method_lines
from relbench_harness.site.drawing import Figure, number, svg, unique
from relbench_harness.site.rankings import Line, Ranking

MOST_CHARTS = 6
MOST_POINTS = 100
READING = "Validation after each epoch by seconds since the run began, as training measured it; more is better."


def longest_curve(result: Result) -> list[Point]:
    """The longest curve of a run, which may train several networks; empty where it trained none."""
    return max(curves_of(result.learning_curves), key=len, default=[])


def learning_plot(curves: Mapping[str, Sequence[Point]], title: str = "Learning curves", caption: str = READING) -> Figure:
    """The validation score by the seconds since the run began, a line and points for each name; at most five names."""
    labels = unique(list(curves))
    rows: list[dict[str, Any]] = [
        {"name": label, "x": point.seconds, "y": point.validation}
        for label, curve in zip(labels, curves.values(), strict=True)
        for point in thinned(curve)
    ]
    x, y = number("x", "Seconds", (0, max(row["x"] for row in rows))), number("y", "Validation score")
    return Figure(title, caption, svg(WIDTH, HEIGHT, by_method_lines(rows, labels, x, y)))


def thinned(curve: Sequence[Point]) -> list[Point]:
    """At most `MOST_POINTS` of the points, evenly spread, the last among them."""
    step = -(-len(curve) // MOST_POINTS)
    return list(curve[::-1][::step][::-1])


def of_task(ranking: Ranking) -> list[Figure]:
    """One chart of the best rows of a ranking whose runs hold curves, the first run of each."""
    found = {
        line.name: curve for line in ranking.scored if (curve := next(filter(None, map(longest_curve, line.results)), None))
    }
    best = dict(list(found.items())[:MOST_METHODS])
    caption = f"{READING} The first run of the best {len(best)} rows that hold curves."
    return [learning_plot(best, caption=caption)] if best else []


def of_method(rows: Sequence[tuple[Ranking, Line]]) -> list[Figure]:
    """A chart for each row of a method, a line for each seed."""
    figures: list[Figure] = []
    for ranking, line in rows:
        curves = {f"seed {one.seed}": curve for one in line.results[:MOST_METHODS] if (curve := longest_curve(one))}
        if curves and len(figures) < MOST_CHARTS:
            figures.append(learning_plot(curves, f"{ranking.task}, {ranking.regime}", f"{line.name}. {READING}"))
    return figures
