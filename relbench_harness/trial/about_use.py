"""The parts of a report about what answers are worth in use: who is chosen, whether values come about, which items are hit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from relbench_harness.data.task import TaskType
from relbench_harness.protocol.method import Ragged
from relbench_harness.site.curves import Bin, curves
from relbench_harness.site.drawing import Figure
from relbench_harness.site.tables import Cell, Column, Table, quantity
from relbench_harness.site.words import counted, fixed, span
from relbench_harness.trial.facts import Trial
from relbench_harness.trial.parts import Part, plain, share, whole
from relbench_harness.trial.pictures import MOST_LINES, gain_plot, hit_plot, observed_plot
from relbench_harness.trial.targeting import (
    PERCENTS,
    Precisions,
    Real,
    at_capacity,
    at_share,
    deciles,
    hit_rate,
    interval,
    precisions,
)


def choosing(trial: Trial) -> Part | None:
    """Whom a binary task's answers choose: precision, gain and lift of the highest predictions."""
    found = _binary(trial)
    if found is None:
        return None
    truth, answers = found
    tables = [] if trial.capacity is None else [_at_capacity(trial, truth, answers)]
    tables.append(_at_shares(truth, answers))
    drawn = curves(trial.ranking, trial.labels, trial.material) if trial.ranking is not None else None
    figures = () if drawn is None else tuple(figure for figure in drawn.figures if figure.title == "Lift")
    informed = {name: given for name, given in answers.items() if len(np.unique(given)) > 1}
    figures += (gain_plot(truth, dict(list(informed.items())[:MOST_LINES])),) if informed else ()
    least = at_share(truth, truth, PERCENTS[0]).number
    said = [
        f"{truth.mean():.1%} of {len(truth):,} test examples are positive. Precision: the share of the chosen who are positive. "
        "Gain: the share of all positives who are among the chosen. Lift: how many times more than by chance.",
        f"The top {PERCENTS[0]} % are {counted(least, 'example')}: one more or less positive among them moves precision by {1 / least:.1%}.",
    ]
    return Part("choosing", "Whom to choose", tuple(said), tuple(tables), figures)


def _binary(trial: Trial) -> tuple[Real, dict[str, Real]] | None:
    """Labels and answers of a binary task whose test labels are of both classes."""
    if trial.task.type is not TaskType.BINARY or not trial.lines:
        return None
    truth, answers = np.asarray(trial.labels.labels, dtype=np.float64), _answers(trial)
    return (truth, answers) if answers and 0 < truth.sum() < len(truth) else None


def _answers(trial: Trial) -> dict[str, Real]:
    """Method → its answers to the test examples, the best on test first."""
    found = {name: trial.predictions(name) for name in trial.lines}
    return {name: np.asarray(given, dtype=np.float64) for name, given in found.items() if given is not None}


def _at_capacity(trial: Trial, truth: Real, answers: Mapping[str, Real]) -> Table:
    """Precision at the capacity with its interval, and the difference to the plain reference."""
    capacity, labels = trial.capacity or 1, trial.labels
    made: Precisions = precisions(labels, truth, answers, capacity)
    other = trial.reference
    columns = [
        Column("Method"), Column("Chosen", True), Column("Positive", True), Column("Precision", True), Column("95 % interval", True),
        Column("Gain", True), Column("Lift", True),
    ]  # fmt: skip
    columns += [Column(f"Against {other}, points", True), Column("Its 95 % interval", True)] if other in made else []
    rows = []
    for name, given in answers.items():
        one = at_capacity(truth, given, labels.time, capacity)
        low, high = interval(made[name], labels)
        cells = [
            Cell(name), whole(one.number), _positives(one.positives), share(one.precision), Cell(_percents(low, high), low),
            share(one.gain), quantity(one.lift, 2),
        ]  # fmt: skip
        if other is not None and other in made:
            drawn = made[name] - made[other]
            there = at_capacity(truth, answers[other], labels.time, capacity)
            below, above = (100 * end for end in interval(drawn, labels))
            same = name == other
            cells.append(quantity(float("nan") if same else 100 * (one.precision - there.precision), 1))
            cells.append(Cell("–", float("nan")) if same else Cell(span(below, above, 1), below))
        rows.append(tuple(cells))
    number = len(np.unique(labels.time))
    what = f"The {capacity:,} highest predictions" + (f" of each of {number} times" if number > 1 else "")
    return plain(what, tuple(columns), rows, (f"{what}. Intervals are over entities.",))


def _positives(value: float) -> Cell:
    return quantity(value, 0 if value == int(value) else 1)


def _percents(low: float, high: float) -> str:
    return f"{low:.1%} to {high:.1%}" if low == low and high == high else "–"


def _at_shares(truth: Real, answers: Mapping[str, Real]) -> Table:
    columns = [Column("Method")]
    for percent in PERCENTS:
        columns += [Column(f"{what} at {percent} %", True) for what in ("Precision", "Gain", "Lift")]
    rows = []
    for name, given in answers.items():
        cells = [Cell(name)]
        for percent in PERCENTS:
            one = at_share(truth, given, percent)
            cells += [share(one.precision), share(one.gain), quantity(one.lift, 2)]
        rows.append(tuple(cells))
    return plain("Precision, gain and lift of the highest predictions", tuple(columns), rows)


def coming_true(trial: Trial) -> Part | None:
    """Whether predicted probabilities, or amounts, come about."""
    if trial.ranking is None or not trial.lines:
        return None
    if trial.task.type is TaskType.BINARY:
        return _calibration(trial)
    return _amounts(trial) if trial.task.type is TaskType.REGRESSION else None


def _calibration(trial: Trial) -> Part | None:
    found = _binary(trial)
    if found is None or trial.ranking is None:
        return None
    truth, answers = found
    best = _shown_method(trial, answers)
    given = answers[best]
    drawn = curves(trial.ranking, trial.labels, trial.material)
    columns = (
        Column(f"Group of {best}"),
        Column("Examples", True),
        Column("Mean predicted", True),
        Column("Came true", True),
    )
    rows = [
        (Cell(str(n)), whole(g.size), share(g.predicted), share(g.observed)) for n, g in enumerate(deciles(truth, given), 1)
    ]
    table = plain(f"Calibration of {best}: predictions from low to high", columns, rows)
    said = [
        f"On average `{best}` predicts {given.mean():.1%} where {truth.mean():.1%} came true{_reading(given.mean(), truth)}"
    ]
    figures = tuple(figure for figure in drawn.figures if figure.title == "Calibration")
    return Part("calibration", "What a probability means", (*said, *drawn.missing), (table,), figures)


def _reading(mean: float, truth: Real) -> str:
    error = 2 * float(truth.std()) / len(truth) ** 0.5
    if abs(mean - truth.mean()) <= error:
        return "."
    word = "high" if mean > truth.mean() else "low"
    return (
        f": probabilities are too {word}, as happens where the share of positives moves from one time to the next. The order of the "
        "predictions does not suffer by that, but thresholds and expected values do."
    )


def _shown_method(trial: Trial, answers: Mapping[str, Real]) -> str:
    proposed = trial.proposed
    return proposed if proposed is not None and proposed in answers else next(iter(answers))


def _amounts(trial: Trial) -> Part | None:
    truth, answers = np.asarray(trial.labels.labels, dtype=np.float64), _answers(trial)
    if not answers:
        return None
    best, digits = _shown_method(trial, answers), _digits(truth)
    columns = (
        Column(f"Group of {best}"), Column("Examples", True), Column("Mean predicted", True), Column("Mean observed", True),
        Column("Sum predicted", True), Column("Sum observed", True),
    )  # fmt: skip
    rows = [_amount(str(place), group, digits) for place, group in enumerate(deciles(truth, answers[best]), 1)]
    drawn = {name: deciles(truth, given) for name, given in list(answers.items())[:MOST_LINES] if len(np.unique(given)) > 1}
    figures: tuple[Figure, ...] = (observed_plot(drawn, "Test predictions"),) if drawn else ()
    total, given = float(truth.sum()), float(answers[best].sum())
    said = [
        f"The mean of {len(truth):,} test labels is {fixed(float(truth.mean()), digits)}, their median "
        f"{fixed(float(np.median(truth)), digits)}. In all, `{best}` predicts {fixed(given, 0)} where {fixed(total, 0)} came"
        + (f": {given / total:.0%} of it." if total > 0 else "."),
    ]
    if total > 0 and given < 0.9 * total:
        said.append(
            "Models are fitted to absolute errors here and so predict medians: where labels are skewed, their sum is too low. Use the "
            "order of the predictions, not their sum."
        )
    nothing = float((truth == np.median(truth)).mean())
    if nothing > 0.5:
        said.append(
            f"{nothing:.0%} of the labels are {fixed(float(np.median(truth)), digits)}, which by absolute error is the best single answer. A "
            "query with a condition, such as `… > 0`, asks who differs from that, and ranks."
        )
    table = plain(f"Deciles of {best}, predictions from low to high", columns, rows)
    return Part("amounts", "Observed against predicted", tuple(said), (table,), figures)


def _amount(name: str, group: Bin, digits: int) -> tuple[Cell, ...]:
    return (
        Cell(name), whole(group.size), quantity(group.predicted, digits), quantity(group.observed, digits),
        quantity(group.predicted * group.size, 0), quantity(group.observed * group.size, 0),
    )  # fmt: skip


def _digits(values: Real) -> int:
    spread = float(np.abs(values).mean())
    return 3 if spread < 10 else 1 if spread < 1000 else 0


def hitting(trial: Trial) -> Part | None:
    """For how many the recommended items hit."""
    truth = trial.labels.labels if trial.lines else None
    if trial.task.type is not TaskType.RECOMMENDATION or not isinstance(truth, Ragged):
        return None
    answers = {name: given for name in trial.lines if (given := trial.predictions(name)) is not None}
    if not answers:
        return None
    k = next(iter(answers.values())).shape[1]
    shown = sorted({one for one in (1, 3, 5, 10, k) if one <= k})
    rates = {n: [hit_rate(truth, np.asarray(g, dtype=np.int64), m) for m in range(1, k + 1)] for n, g in answers.items()}
    columns = (Column("Method"), *(Column(f"Hit rate at {one}", True) for one in shown))
    rows = [(Cell(name), *(share(several[one - 1]) for one in shown)) for name, several in rates.items()]
    said = "Hit rate at k: for which share of test examples at least one of the first k recommended items is a true one."
    figure = hit_plot(dict(list(rates.items())[:MOST_LINES]))
    return Part("hits", "Which recommendations hit", (said,), (plain("Hit rates", columns, rows),), (figure,))
