"""Every method's score on every task in one table, as papers print it.

Invariant: a cell is what the leaderboard says of that method on that task; where it says nothing, the cell is a dash.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from relbench_harness.board.latex import ScoredRow, board_row, escaped, marks, plain_table, score
from relbench_harness.board.leaderboard import GROUP, Group, group_of
from relbench_harness.board.overall import in_order, of_several_tasks
from relbench_harness.board.sheets import GAVE_WAY, OF_GAVE_WAY, OF_TIED, OPTIMAL, Sheet, gave_way, score_text

Cells = Mapping[Hashable, Any]
OF_BEST = "Bold: the best of its task."


@dataclass(frozen=True)
class ScoreTable:
    """The scores of one regime.

    Attributes:
        methods: As the board calls them, in the order of the ranking across tasks.
        groups: What is ranked together: a task, with its version of the data and its metric.
        rows: (method, group) → that row of the leaderboard.
        optimal: Group → the score of the true answers, where it is known.
    """

    regime: str
    methods: tuple[str, ...]
    groups: tuple[Group, ...]
    rows: Mapping[tuple[str, Group], Cells]
    optimal: Mapping[Group, float]

    @property
    def title(self) -> str:
        return f"Scores on test, {self.regime}"

    @property
    def names(self) -> tuple[str, ...]:
        """The methods, and the true answers after them where those are known."""
        return (*self.methods, *((OPTIMAL,) * bool(self.optimal)))

    @property
    def methods_go_down(self) -> bool:
        """Whether each method has a line: the longer side goes down the page."""
        return len(self.methods) >= len(self.groups)

    def heading(self, group: Group) -> str:
        """The task, without its dataset where all are of one, what else tells the group from its task's others, and the metric."""
        task, _, data, metric = group
        datasets = {name.rpartition("/")[0] for name, *_ in self.groups}
        several = len({other[2] for other in self.groups if other[0] == task}) > 1
        parts = [task.rpartition("/")[2] if len(datasets) == 1 else task, *([f"data {data}"] if several else [])]
        return f"{', '.join(parts)}: {metric} {'↑' if self.higher_is_better(group) else '↓'}"

    def column(self, group: Group) -> list[Cells]:
        """The rows of a group, in the order of the methods; an empty one for a method that has none."""
        return [self.rows.get((method, group), {}) for method in self.methods]

    def higher_is_better(self, group: Group) -> bool:
        return next(bool(row["higher_is_better"]) for row in self.column(group) if row)

    def best(self, group: Group) -> list[bool]:
        """Which methods have the best score, as it is printed."""
        values = [round(_value(row), 4) for row in self.column(group)]
        known = [value for value in values if not math.isnan(value)]
        top = (max if self.higher_is_better(group) else min)(known, default=math.nan)
        return [value == top for value in values]


def score_tables(board: pd.DataFrame) -> Iterator[ScoreTable]:
    """One table for each regime with several tasks and methods."""
    several = of_several_tasks(board)
    for regime, part in several.groupby("regime", sort=True):
        methods = tuple(dict.fromkeys([*in_order(part), *part["method"]]))
        rows: dict[tuple[str, Group], Cells] = {}
        for key, group in part.groupby(GROUP, sort=True):
            rows |= {(str(row["method"]), group_of(key)): row for row in group.to_dict("records")}
        if len(methods) > 1:
            yield ScoreTable(str(regime), methods, tuple(dict.fromkeys(group for _, group in rows)), rows, _optimal(rows))


def _optimal(rows: Mapping[tuple[str, Group], Cells]) -> dict[Group, float]:
    return {
        group: value for (_, group), row in rows.items() if not math.isnan(value := float(row.get("optimal", math.nan)))
    }


def score_sheets(board: pd.DataFrame) -> list[Sheet]:
    """The tables as sheets."""
    return [_sheet(table) for table in score_tables(board)]


def _sheet(table: ScoreTable) -> Sheet:
    columns = [
        [*(score_text(row) for row in table.column(group)), *_of_optimal(table, group, "–")] for group in table.groups
    ]
    best = [[*table.best(group), *((False,) * bool(table.optimal))] for group in table.groups]
    first, others, cells = _placed(table, columns)
    is_best = _turned(best) if table.methods_go_down else best
    rows = tuple((name, *of) for name, of in zip(first, cells, strict=True))
    every = table.rows.values()
    notes = [OF_BEST]
    notes += [OF_TIED] if any(row.get("tied") is True for row in every) else []
    notes += [OF_GAVE_WAY] if any(map(gave_way, every)) else []
    return Sheet(
        table.title,
        ("method" if table.methods_go_down else "task", *others),
        rows,
        (False,) * len(rows),
        tuple(notes),
        frozenset((i, j + 1) for i, of in enumerate(is_best) for j, known in enumerate(of) if known),
    )


def latex_score_tables(board: pd.DataFrame) -> list[str]:
    """The tables in LaTeX: of each task the best and what ties with it bold, else the second underlined."""
    return [_latex(table) for table in score_tables(board)]


def _latex(table: ScoreTable) -> str:
    columns = []
    for group in table.groups:
        rows = [board_row(row) if row else ScoredRow("", math.nan) for row in table.column(group)]
        found = marks(rows, table.higher_is_better(group))
        cells = [score(row._replace(low=math.nan), mark) for row, mark in zip(rows, found, strict=True)]
        cells = [
            f"{cell} {escaped(GAVE_WAY)}" if gave_way(row) else cell
            for cell, row in zip(cells, table.column(group), strict=True)
        ]
        columns.append([*cells, *_of_optimal(table, group, "--")])
    first, others, lines = _placed(table, columns)
    headings = ("Method" if table.methods_go_down else "Task", *others)
    caption = f"{table.title}. {OF_GAVE_WAY}" if any(map(gave_way, table.rows.values())) else f"{table.title}."
    return plain_table(caption, headings, [(escaped(name), *of) for name, of in zip(first, lines, strict=True)])


def _of_optimal(table: ScoreTable, group: Group, nothing: str) -> tuple[str, ...]:
    """The cell of the true answers, which stands beside the methods and is none; empty where no task has them."""
    if not table.optimal:
        return ()
    return (f"{table.optimal[group]:.4f}" if group in table.optimal else nothing,)


def _placed(
    table: ScoreTable, columns: Sequence[Sequence[str]]
) -> tuple[Sequence[str], Sequence[str], Sequence[Sequence[str]]]:
    """The headings of the lines, those of the columns after them, and the cells line by line."""
    tasks = [table.heading(group) for group in table.groups]
    return (table.names, tasks, _turned(columns)) if table.methods_go_down else (tasks, table.names, columns)


def _turned(columns: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*columns, strict=True))


def _value(row: Cells) -> float:
    return float(row.get("test", math.nan))
