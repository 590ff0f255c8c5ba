"""Charts of a trial that a site does not have: gains, observed against predicted values, hit rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from relbench_harness.site.curves import HEIGHT, MOST_METHODS, PERCENTS, WIDTH, Bin, Real, by_method_lines, reference_line
from relbench_harness.site.drawing import Figure, number, svg
from relbench_harness.trial.targeting import at_share

MOST_LINES = MOST_METHODS
"""Methods in a chart: each has a colour and a shape of its own."""


def gain_plot(truth: Real, answers: Mapping[str, Real]) -> Figure:
    """Which part of all positives the highest predictions hold, a line a method."""
    rows: list[dict[str, Any]] = [
        {"name": name, "x": float(percent), "y": at_share(truth, given, percent).gain}
        for name, given in answers.items()
        for percent in PERCENTS
    ]
    x = number("x", "Share of examples taken, highest predictions first, %", (0, 100))
    y = number("y", "Share of all positives", (0, 1))
    y["axis"] = {"format": ".0%", "tickCount": 5}
    layers = [reference_line([(0, 0), (100, 1)], x, y), *by_method_lines(rows, list(answers), x, y)]
    caption = (
        "Which share of all positives is among the highest predictions. On the thin line examples are taken at random."
    )
    return Figure("Gain", caption, svg(WIDTH, HEIGHT, layers))


def observed_plot(groups: Mapping[str, Sequence[Bin]], what: str) -> Figure:
    """Mean observed against mean predicted values of groups of predictions, a line a method."""
    rows: list[dict[str, Any]] = [
        {"name": name, "x": one.predicted, "y": one.observed} for name, several in groups.items() for one in several
    ]
    values = np.array([[row["x"], row["y"]] for row in rows])
    low, high = float(min(values.min(), 0.0)), float(values.max())
    high = high if high > low else low + 1.0
    x, y = number("x", "Mean predicted", (low, 1.05 * high)), number("y", "Mean observed", (low, 1.05 * high))
    x["axis"] = y["axis"] = {"tickCount": 5, **({"format": "~s"} if high >= 1000 else {})}
    layers = [reference_line([(low, low), (1.05 * high, 1.05 * high)], x, y), *by_method_lines(rows, list(groups), x, y)]
    caption = f"{what} in ten groups of equal number, from the lowest predictions to the highest. On the thin line both are the same."
    return Figure("Observed against predicted", caption, svg(WIDTH, HEIGHT, layers))


def hit_plot(rates: Mapping[str, Sequence[float]]) -> Figure:
    """Hit rate by how many items are shown, a line a method."""
    rows: list[dict[str, Any]] = [
        {"name": name, "x": float(place), "y": rate}
        for name, several in rates.items()
        for place, rate in enumerate(several, start=1)
    ]
    most = max(len(several) for several in rates.values())
    x, y = (
        number("x", "Items shown", (0, most + 0.5)),
        number("y", "Examples with a hit", (0, min(1.0, 1.1 * max(row["y"] for row in rows) or 1.0))),
    )
    x["axis"], y["axis"] = {"tickCount": min(most, 6), "format": "d"}, {"format": ".0%", "tickCount": 5}
    caption = "For which share of test examples at least one of the items shown is a true one."
    return Figure("Hit rate", caption, svg(WIDTH, HEIGHT, by_method_lines(rows, list(rates), x, y)))
