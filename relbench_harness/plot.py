"""Charts for notebooks: those of the report of `try`, of a trial or of runs that have ended."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from relbench_harness.comparing import Runs, SideBySide, runs_of, side_by_side
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.epochs import Point
from relbench_harness.site.curves import MOST_METHODS, calibration_plot, lift_curve, lift_plot
from relbench_harness.site.curves import calibration as groups_of
from relbench_harness.site.drawing import Figure
from relbench_harness.site.learning import learning_plot, longest_curve
from relbench_harness.site.publish import check_extra
from relbench_harness.trial.pictures import gain_plot, observed_plot
from relbench_harness.trial.targeting import deciles

Real = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Chart:
    """A chart as a notebook shows it; `svg` is its text."""

    figure: Figure

    @property
    def svg(self) -> str:
        return str(self.figure.svg)

    def __repr__(self) -> str:
        return f"<chart: {self.figure.title}>"

    def _repr_html_(self) -> str:
        one = self.figure
        ground = "background:#fff;color:#1f2328;display:inline-block;padding:8px;max-width:100%"
        return (
            f'<div style="{ground}"><b>{escape(one.title)}</b><br>{one.svg}<br><small>{escape(one.caption)}</small></div>'
        )


def lift(results: Runs) -> Chart:
    """How many times more positives the highest predictions hold than chance would, of a task with two classes."""
    beside = _of(results, TaskType.BINARY)
    truth = _truth(beside)
    return Chart(lift_plot({name: [lift_curve(truth, _real(g)) for g in given] for name, given in _first(beside)}))


def gain(results: Runs) -> Chart:
    """Which share of all positives the highest predictions hold, of a task with two classes; the first run of each method."""
    beside = _of(results, TaskType.BINARY)
    return Chart(gain_plot(_truth(beside), {name: _real(given[0]) for name, given in _first(beside)}))


def calibration(results: Runs) -> Chart:
    """Whether predicted probabilities come about, of a task with two classes; all runs of a method together."""
    beside = _of(results, TaskType.BINARY)
    truth = _truth(beside)
    pooled = {name: np.concatenate([_real(one) for one in given]) for name, given in _first(beside)}
    return Chart(calibration_plot({n: groups_of(np.tile(truth, len(g) // len(truth)), g) for n, g in pooled.items()}))


def learning_curves(results: Runs) -> Chart:
    """The validation score of each epoch by the seconds since the run began; the first run of each method that holds a curve.

    Raises:
        InputError: No run trained a network and validated it.
    """
    check_extra()
    curves: dict[str, list[Point]] = {}
    for one in runs_of(results):
        if one.method not in curves and (curve := longest_curve(one)):
            curves[one.method] = curve
    if not curves:
        raise InputError("none of these runs holds a learning curve; methods that train a network do")
    return Chart(learning_plot(dict(list(curves.items())[:MOST_METHODS])))


def observed(results: Runs) -> Chart:
    """Observed against predicted values by decile of the predictions, of a regression; the first run of each method."""
    beside = _of(results, TaskType.REGRESSION)
    truth = _truth(beside)
    return Chart(observed_plot({n: deciles(truth, _real(given[0])) for n, given in _first(beside)}, "Test predictions"))


def _of(results: Runs, kind: TaskType) -> SideBySide:
    check_extra()
    beside = side_by_side(results)
    if beside.labels.task.type is not kind:
        raise InputError(
            f"this chart is for a {kind.replace('_', ' ')}, and {beside.task} is a {beside.labels.task.type.replace('_', ' ')}"
        )
    return beside


def _first(beside: SideBySide) -> list[tuple[str, list[NDArray[np.generic]]]]:
    return list(beside.answers.items())[:MOST_METHODS]


def _truth(beside: SideBySide) -> Real:
    return np.asarray(beside.labels.labels, dtype=np.float64)


def _real(values: NDArray[np.generic]) -> Real:
    return np.asarray(values, dtype=np.float64)
