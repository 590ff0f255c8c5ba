"""The parts of a report about the methods: leaderboard, differences, what each cost, and how good the answers are for use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from relbench_harness.board.paired import Difference
from relbench_harness.board.sheets import SHARED
from relbench_harness.site.pareto import cost_plots
from relbench_harness.site.score_plots import score_plot
from relbench_harness.site.tables import Cell, Column, Table, TableRow, metrics_table, quantity, ranking_table
from relbench_harness.site.words import NOTHING, fixed, metric_name, span
from relbench_harness.trial.facts import Trial
from relbench_harness.trial.parts import Part, plain, unlinked, whole, without
from relbench_harness.trial.plan import RULES

ELSEWHERE = ("Memory, MB", "Lines", "Runs", "Audited", "Seconds", "Warm", "Fitted on")
"""Columns of a site's ranking that a report shows among the costs, or that say the same in each row."""


def leaderboard(trial: Trial) -> Part | None:
    """Scores with intervals, and paired differences to the plain reference and to the simple rule."""
    ranking = trial.ranking
    if ranking is None:
        return None
    direction = "higher" if ranking.higher_is_better else "lower"
    said = [
        f"{metric_name(ranking.metric)} on test, {direction} is better, with 95 % intervals over entities. "
        f"Nobody saw a test label; choices were made on validation."
    ]
    tables = [_with_left_out(trial, without(unlinked(ranking_table(ranking, whole=True)), ELSEWHERE))]
    others = [name for name in dict.fromkeys((trial.reference, trial.rule)) if name is not None]
    tables += [table for name in others if (table := _differences(trial, name)) is not None]
    figure = score_plot(ranking)
    return Part("leaderboard", "Leaderboard", tuple(said), tuple(tables), () if figure is None else (figure,))


def _with_left_out(trial: Trial, table: Table) -> Table:
    """The ranking with a row for each method that could not begin, and why a method failed in the place of its status."""
    why = {one.method: one.why for one in trial.attempts}
    status = [column.heading for column in table.columns].index("Status")
    rows = [
        TableRow(
            tuple(
                Cell(why[_method(row)]) if place == status and why.get(_method(row)) else cell
                for place, cell in enumerate(row.cells)
            ),
            row.failed,
        )
        for row in table.rows
    ]
    missing = [one for one in trial.attempts if one.result is None]
    for one in missing:
        cells = [Cell(NOTHING, math.nan) for _ in table.columns]
        cells[1], cells[status] = Cell(one.method), Cell(one.why)
        rows.append(TableRow(tuple(cells), failed=True))
    notes = tuple(note for note in table.notes if not note.startswith(SHARED))
    found = Table(table.caption, table.columns, tuple(rows), notes)
    return found if any(row.failed for row in rows) else without(found, ("Status",))


def _method(row: TableRow) -> str:
    return row.cells[1].text


def _differences(trial: Trial, other: str) -> Table | None:
    """Every method's difference to `other`, in the order of the leaderboard."""
    found = trial.compared_with(other)
    if not found:
        return None
    columns = (
        Column(f"Against {other}"), Column("Score", True), Column("Difference", True), Column("95 % interval", True),
        Column("p", True, "Of no difference, corrected by Holm for how many are compared"), Column("In words"),
    )  # fmt: skip
    rows = [_difference(name, found[name], trial.higher_is_better) for name in trial.lines if name in found]
    note = (
        "Intervals are of each difference alone; p is corrected for how many are compared, so that no difference may be shown where an "
        "interval leaves out zero."
    )
    return plain(f"Differences to {other} on the same test examples", columns, rows, (note,))


def _difference(name: str, one: Difference, higher: bool) -> tuple[Cell, ...]:
    better = (one.difference > 0) == higher
    words = "no difference shown" if not one.shown else "better" if better else "worse"
    p = "< 0.001" if one.corrected < 0.001 else fixed(one.corrected, 3)
    return (
        Cell(name), quantity(one.first, 4), quantity(one.difference, 4), Cell(span(one.low, one.high, 3), one.low),
        Cell(p, one.corrected), Cell(words, strong=one.shown and better),
    )  # fmt: skip


def costs(trial: Trial) -> Part | None:
    """Seconds, memory and lines of each method, and where the minutes of the command went."""
    columns = (
        Column("Method"), Column("Given, s", True, "Its part of the minutes"), Column("Taken, s", True, "Of a whole run"),
        Column("Memory, MB", True, "At its peak"), Column("Lines for this task", True, "Written for this task alone"),
        Column("Lines of the method", True, "Shared by all tasks"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for one in trial.attempts:
        if one.result is None:
            continue
        lines = one.result.lines
        rows.append(
            (
                Cell(one.method), quantity(one.seconds or math.nan, 0), quantity(one.result.seconds_warm.get("total", math.nan), 1),
                whole(one.result.peak_memory_mb), whole(_lines(lines, "task")), whole(_lines(lines, "method")),
            )
        )  # fmt: skip
    if not rows:
        return None
    steps = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in trial.seconds.items())
    said = [
        f"Of {trial.minutes:g} minutes: {steps}.",
        "No line was written for this task: labels come from the query, and the methods read the schema. Hand-written "
        "features would add theirs to the column of this task.",
    ]
    if any(one.result is not None and one.result.shared.get("is_shared") for one in trial.attempts):
        said.append("Others used the machine meanwhile, so that seconds say less.")
    figures = [] if trial.ranking is None else list(cost_plots(trial.ranking)[:1])
    return Part("costs", "What it cost", tuple(said), (plain("Cost of each method", columns, rows),), tuple(figures))


def _lines(lines: Mapping[str, Any], part: str) -> float:
    value = lines.get(part)
    return float(value) if isinstance(value, int | float) else math.nan


def metrics(trial: Trial) -> Part | None:
    """Every metric of every method on test."""
    if trial.ranking is None or not trial.lines:
        return None
    rules = ", ".join(f"`{name}`" for name in RULES)
    said = f"{rules} learn no model; they say what can be had for nothing."
    return Part("metrics", "Every metric", (said,), (unlinked(metrics_table(trial.ranking)),))
