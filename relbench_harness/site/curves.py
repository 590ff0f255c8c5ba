"""Whether predicted probabilities are what comes about, and what a ranking by them is worth: curves of a binary task.

They come from stored predictions and the task's labels, all seeds of a row together; where one of these is not at hand, a
sentence says which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.board.predictions import SplitLabels, predictions_for, read_predictions
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.metrics import lift
from relbench_harness.site.drawing import Figure, Ink, Spec, layer, names, number, svg, unique
from relbench_harness.site.rankings import Line, Material, Ranking

Real = NDArray[np.float64]
MOST_METHODS = len(Ink.GROUPS)
MOST_SEEDS = 5
BINS = 10
WIDTH, HEIGHT = 300, 250
PERCENTS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 100)


class Bin(NamedTuple):
    """Predictions of about the same height: their mean, the share that came true, and how many there are."""

    predicted: float
    observed: float
    size: int


@dataclass(frozen=True)
class Curves:
    """The curves of a ranking.

    Attributes:
        figures: None where nothing could be drawn.
        missing: What is not there, a sentence each.
    """

    figures: tuple[Figure, ...] = ()
    missing: tuple[str, ...] = ()


def calibration(truth: Real, given: Real, bins: int = BINS) -> list[Bin]:
    """`bins` groups of equally many predictions from low to high; equal predictions stay together."""
    order = np.argsort(given, kind="stable")
    edges = np.linspace(0, len(given), bins + 1).round().astype(np.int64)
    values = given[order]
    group = np.searchsorted(edges[1:-1], np.searchsorted(values, values, side="left"), side="right")
    found = []
    for one in np.unique(group):
        rows = order[group == one]
        found.append(Bin(float(given[rows].mean()), float(truth[rows].mean()), len(rows)))
    return found


def lift_curve(truth: Real, given: Real) -> list[tuple[int, float]]:
    """(per cent of the highest predictions, how many times more positives they hold than chance would)."""
    return [(percent, lift(truth, given, percent)) for percent in PERCENTS]


def curves(ranking: Ranking, labels: SplitLabels | str, material: Material) -> Curves:
    """Calibration and lift of the best rows of a binary task."""
    if ranking.task_type != TaskType.BINARY:
        return Curves()
    if isinstance(labels, str):
        return Curves(missing=(f"There is no calibration or lift curve: {labels}.",))
    truth = np.asarray(labels.labels, dtype=np.float64)
    if not 0 < truth.sum() < len(truth):
        return Curves(missing=("There is no calibration or lift curve: the test labels are of one class only.",))
    missing: list[str] = []
    read: dict[str, list[Real]] = {}
    for line in ranking.scored:
        if len(read) < MOST_METHODS:
            found = list(_given(line, labels, material, missing))
            if found:
                read[line.name] = found
    if not read:
        return Curves(missing=(*missing, "There is no calibration or lift curve: no stored predictions are at hand."))
    labelled = unique(list(read))
    pooled = {name: np.concatenate(given) for name, given in zip(labelled, read.values(), strict=True)}
    calibrated = {n: calibration(np.tile(truth, len(g) // len(truth)), g) for n, g in pooled.items()}
    lifted = {n: [lift_curve(truth, one) for one in given] for n, given in zip(labelled, read.values(), strict=True)}
    return Curves((calibration_plot(calibrated), lift_plot(lifted)), tuple(missing))


def _given(line: Line, labels: SplitLabels, material: Material, missing: list[str]) -> Iterator[Real]:
    for result in [result for result in line.results if result.ok][:MOST_SEEDS]:
        path = material.predictions_of(result)
        if path is None:
            missing.append(f"The predictions of {line.name}, seed {result.seed}, are not there.")
            continue
        try:
            yield predictions_for(read_predictions(path), "test", labels, path.name).astype(np.float64)
        except InputError as error:
            missing.append(f"Predictions of {line.name}, seed {result.seed}, are left out: {str(error).rstrip('.')}.")


def by_method_lines(rows: Sequence[dict[str, Any]], methods: Sequence[str], x: Spec, y: Spec) -> list[Spec]:
    """A line and points for each method, with colour, dashes and shape of its own, so that colour alone distinguishes none."""

    def by_method(values: Sequence[object]) -> Spec:
        return names("name", scale={"domain": list(methods), "range": list(values[: len(methods)])})

    colour = by_method(Ink.GROUPS)
    shape = by_method(("circle", "square", "triangle-up", "diamond", "cross"))
    dashes = by_method(([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4]))
    return [
        layer(rows, {"type": "line", "size": 1.8}, x=x, y=y, color=colour, strokeDash=dashes),
        layer(rows, {"type": "point", "filled": True, "size": 34, "opacity": 1}, x=x, y=y, color=colour, shape=shape),
    ]


def reference_line(ends: Sequence[tuple[float, float]], x: Spec, y: Spec) -> Spec:
    """A thin line that curves are compared with."""
    return layer([{"x": a, "y": b} for a, b in ends], {"type": "line", "color": Ink.FAINT, "size": 1}, x=x, y=y)


def calibration_plot(bins: dict[str, list[Bin]]) -> Figure:
    """The share that came true by the mean predicted probability, a line a method."""
    rows: list[dict[str, Any]] = [
        {"name": n, "x": one.predicted, "y": one.observed} for n, several in bins.items() for one in several
    ]
    top = min(1.0, 1.05 * max(max(row["x"], row["y"]) for row in rows))
    x, y = number("x", "Predicted probability", (0, top)), number("y", "Share that came true", (0, top))
    x["axis"] = y["axis"] = {"format": ".0%", "tickCount": 5}
    layers = [reference_line([(0, 0), (top, top)], x, y), *by_method_lines(rows, list(bins), x, y)]
    caption = (
        f"Test predictions in {BINS} groups of equal number, all seeds together. On the thin line probabilities are what "
        f"comes about. The best {len(bins)} rows."
    )
    return Figure("Calibration", caption, svg(WIDTH, HEIGHT, layers))


def lift_plot(lifted: dict[str, list[list[tuple[int, float]]]]) -> Figure:
    """The lift by the share of examples taken, a line a method: the mean over its runs."""
    rows = []
    for name, seeds in lifted.items():
        means = np.mean([[value for _, value in seed] for seed in seeds], axis=0)
        rows += [{"name": name, "x": float(p), "y": float(value)} for p, value in zip(PERCENTS, means, strict=True)]
    x = number("x", "Share of examples taken, highest predictions first, %", (1, 100), type="log")
    x["axis"] = {"values": [1, 2, 5, 10, 20, 50, 100], "format": "d"}
    y = number("y", "Lift")
    layers = [reference_line([(1, 1), (100, 1)], x, y), *by_method_lines(rows, list(lifted), x, y)]
    caption = "How many times more positives the highest predictions hold than chance would, the mean over seeds."
    return Figure("Lift", caption, svg(WIDTH, HEIGHT, layers))
