"""Tables as values: what stands in each cell, and by what number a column is sorted.

Invariant: a table says nothing that its cells do not; rows without a score come last, and stay last however a reader sorts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pandas as pd

from relbench_harness.board.score_table import OF_BEST, ScoreTable
from relbench_harness.board.sheets import GAVE_WAY, OF_GAVE_WAY, OF_SHARED, OPTIMAL, SHARED, gave_way, row_notes
from relbench_harness.protocol.result import Result
from relbench_harness.site.page_names import page_name
from relbench_harness.site.rankings import Line, Ranking
from relbench_harness.site.words import NOTHING, counted, fixed, metric_name, percent, span

MOST_SEEDS = 12
OF_BOLD = "Bold: the best, and every row that is not shown to differ from it."


class Column(NamedTuple):
    """A column's heading, whether it holds numbers, and what it means."""

    heading: str
    is_number: bool = False
    meaning: str = ""


@dataclass(frozen=True)
class Cell:
    """What a cell shows.

    Attributes:
        sort: By what number it is sorted; its text where this is None. NaN sorts last.
        href: Where it leads, from the top of the site.
        beside: Smaller text after it.
        strong: Whether it is the best of its column.
    """

    text: str
    sort: float | None = None
    href: str = ""
    beside: str = ""
    strong: bool = False

    @property
    def key(self) -> str:
        """The number to sort by as text; empty where there is none."""
        return "" if self.sort is None or not math.isfinite(self.sort) else repr(float(self.sort))


@dataclass(frozen=True)
class TableRow:
    """Cells, and whether the row stands for runs that failed."""

    cells: tuple[Cell, ...]
    failed: bool = False


@dataclass(frozen=True)
class Table:
    """A table with what is said below it.

    Attributes:
        caption: What it holds, for those who hear it.
        of: By what a reader may filter: `dataset`, `regime`, `type`.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...] = ()
    of: Mapping[str, str] = field(default_factory=dict)


def task_href(task: str) -> str:
    return f"tasks/{page_name(task)}"


def method_href(method: str) -> str:
    return f"methods/{page_name(method)}"


def quantity(value: float, digits: int = 0, mark: str = "") -> Cell:
    """A number with as many digits, sorted by its value."""
    return Cell(fixed(value, digits) + (mark if math.isfinite(value) else ""), value if math.isfinite(value) else math.nan)


def seconds(line: Line, column: str) -> Cell:
    return quantity(line.number(column), 1, SHARED if line.cells["shared"] == "yes" else "")


# -- a ranking ------------------------------------------------------------------------------------------------------------


def ranking_table(ranking: Ranking, whole: bool = False) -> Table:
    """The rows of a ranking.

    Args:
        whole: With every column, as on the page of the task.
    """
    shown = [part for part in _PARTS if (whole or not part.only_whole) and part.known(ranking)]
    best = ranking.scored[0].name if ranking.scored else None
    rows = tuple(
        TableRow(
            tuple(part.cell(line, line.name == best or line.cells.get("tied") is True) for part in shown),
            failed=not line.complete,
        )
        for line in ranking.lines
    )
    columns = tuple(
        part.column._replace(heading=metric_name(ranking.metric)) if part.column.heading == "score" else part.column
        for part in shown
    )
    where = {"dataset": ranking.dataset, "regime": ranking.regime, "type": ranking.task_type}
    caption = f"{ranking.task}, {ranking.regime}: {metric_name(ranking.metric)} on test"
    return Table(caption, columns, rows, _notes(ranking), where)


class _Part(NamedTuple):
    """A column of a ranking: what its cell is, and whether the ranking has something to say in it."""

    column: Column
    cell: Callable[[Line, bool], Cell]
    known: Callable[[Ranking], bool] = lambda _: True
    only_whole: bool = False


def _has(column: str) -> Callable[[Ranking], bool]:
    return lambda ranking: any(math.isfinite(line.number(column)) for line in ranking.lines)


def score(line: Line, best: bool = False) -> Cell:
    return _spread(line.number("test"), line.number("test_sd"), best)


def _val(line: Line, _: bool) -> Cell:
    return _spread(line.number("val"), line.number("val_sd"))


def _spread(value: float, sd: float, best: bool = False, sign: str = "") -> Cell:
    """A mean over seeds, with its standard deviation and a sign beside it."""
    beside = [*((f"± {fixed(sd)}",) * math.isfinite(sd)), *((sign,) * bool(sign))]
    return Cell(fixed(value), value, beside=" ".join(beside), strong=best)


def _interval(low: str, high: str) -> Callable[[Line, bool], Cell]:
    return lambda line, _: Cell(span(line.number(low), line.number(high), 3), line.number(low))


def lines(line: Line, _: bool = False) -> Cell:
    task, method = line.number("lines_task"), line.number("lines_method")
    return Cell(f"{fixed(task, 0)} + {fixed(method, 0)}", task + method)


def _plain(column: str) -> Callable[[Line, bool], Cell]:
    return lambda line, _: Cell(str(line.cells[column]) or NOTHING)


def _number(column: str, digits: int) -> Callable[[Line, bool], Cell]:
    return lambda line, _: quantity(line.number(column), digits)


def runs(line: Line, _: bool = False) -> Cell:
    return Cell(f"{line.cells['scored']}/{line.cells['runs']}", line.number("coverage"))


def status(line: Line, _: bool = False) -> Cell:
    return Cell(str(line.cells["status"]))


def _named(line: Line, _: bool) -> Cell:
    return Cell(line.name, href=method_href(line.method))


_PARTS: Sequence[_Part] = (
    _Part(Column("#", True, "Rank"), lambda line, _: quantity(line.number("rank"))),
    _Part(Column("Method"), _named),
    _Part(Column("score", True, "Mean over seeds, with its standard deviation"), score),
    _Part(
        Column("95 % interval", True, "By a bootstrap over entities and seeds"), _interval("low", "high"), _has("low")
    ),
    _Part(Column("Of the way", True, "From the best constant answer to the true ones"),
          lambda line, _: Cell(percent(line.number("way")), line.number("way")), _has("way")),
    _Part(Column("Validation", True), _val, only_whole=True),
    _Part(Column("Seconds", True, "Of a whole run; what came from a cache is charged"), lambda line, _: seconds(line, "seconds")),
    _Part(Column("Warm", True, "Seconds, what came from a cache for free"), lambda line, _: seconds(line, "seconds_warm"), only_whole=True),
    _Part(Column("Memory, MB", True, "At its peak"), _number("peak_memory_mb", 0)),
    _Part(Column("Lines", True, "Written for this task alone + of the method"), lines),
    _Part(Column("Runs", True, "That scored, of all"), runs),
    _Part(Column("Fitted on"), _plain("fitted_on"), only_whole=True),
    _Part(Column("Audited"), _plain("audited")),
    _Part(Column("Status"), status),
)  # fmt: skip


def _notes(ranking: Ranking) -> tuple[str, ...]:
    notes = []
    if sum(line.cells.get("tied") is True for line in ranking.lines) > 1:
        notes.append(OF_BOLD)
    if any(line.cells["shared"] == "yes" for line in ranking.lines):
        notes.append(OF_SHARED)
    for line in ranking.lines:
        notes += row_notes(line.name, line.cells)
    return tuple(notes)


def comparison_table(ranking: Ranking) -> Table | None:
    """Each row's difference to the one that all are compared with; None where no difference is known."""
    compared = [line for line in ranking.lines if isinstance(line.cells.get("verdict"), str)]
    if not compared:
        return None
    other = str(compared[0].cells["against"])
    columns = (
        Column("Method"), Column("Difference", True), Column("95 % interval", True), Column("p", True, "Holm-corrected"),
        Column("In words"),
    )  # fmt: skip
    between = _interval("difference_low", "difference_high")
    rows = tuple(
        TableRow(
            (
                _named(line, False),
                quantity(line.number("difference"), 4),
                between(line, False),
                quantity(line.number("p"), 3),
                Cell(str(line.cells["verdict"])),
            )
        )
        for line in compared
    )
    return Table(f"{ranking.task}, {ranking.regime}: compared with {other}", columns, rows)


def published_table(ranking: Ranking) -> Table | None:
    """Values of the literature in the ranking's regime and metric, None where there are none."""
    if not ranking.published:
        return None
    columns = (Column("Method"), Column(metric_name(ranking.metric), True), Column("Source"))
    rows = tuple(
        TableRow((Cell(row.method), Cell(fixed(row.value), row.value), Cell(row.source))) for row in ranking.published
    )
    caption = f"{ranking.task}, {ranking.regime}: published values, not rerun"
    others = ranking.other_metrics
    notes = (
        (f"{counted(others, 'more value')} in another metric {'is' if others == 1 else 'are'} left out.",) if others else ()
    )
    return Table(caption, columns, rows, notes)


def metrics_table(ranking: Ranking) -> Table:
    """Every metric of every row on test, the mean over seeds."""
    names = sorted({name for line in ranking.scored for r in line.results for name in r.scores.get("test", {})})
    names.sort(key=lambda name: name != ranking.metric)
    columns = (Column("Method"), *(Column(metric_name(name), True) for name in names))
    rows = tuple(
        TableRow((_named(line, False), *(quantity(_mean(line.results, name), 4) for name in names)))
        for line in ranking.scored
    )
    return Table(f"{ranking.task}, {ranking.regime}: every metric on test", columns, rows)


def _mean(results: Sequence[Result], metric: str) -> float:
    values = [v for r in results if r.ok and math.isfinite(v := r.scores.get("test", {}).get(metric, math.nan))]
    return math.fsum(values) / len(values) if values else math.nan


def seeds_table(ranking: Ranking) -> Table:
    """The score of every seed, of the first `MOST_SEEDS` of them."""
    every = sorted({result.seed for line in ranking.lines for result in line.results})
    shown = every[:MOST_SEEDS]
    columns = (Column("Method"), *(Column(f"Seed {seed}", True) for seed in shown))
    rows = []
    for line in ranking.lines:
        by_seed = {result.seed: result for result in line.results}
        cells = tuple(_of_seed(by_seed.get(seed)) for seed in shown)
        rows.append(TableRow((_named(line, False), *cells), failed=not line.complete))
    notes = (f"{counted(len(every) - len(shown), 'more seed')} left out of this table.",) if len(every) > len(shown) else ()
    return Table(f"{ranking.task}, {ranking.regime}: {metric_name(ranking.metric)} by seed", columns, tuple(rows), notes)


def _of_seed(result: Result | None) -> Cell:
    if result is None:
        return Cell(NOTHING, math.nan)
    return quantity(result.score, 4) if math.isfinite(result.score) else Cell(result.status, math.nan)


# -- across tasks ---------------------------------------------------------------------------------------------------------


def across_table(scores: ScoreTable, methods: Mapping[str, str]) -> Table:
    """The scores of every method on every task of a regime.

    Args:
        methods: Name on the board → method.
    """
    best = {group: scores.best(group) for group in scores.groups}
    rows = [
        TableRow(
            (
                Cell(name, href=method_href(methods[name])),
                *(_of_task(scores.rows.get((name, group), {}), best[group][i]) for group in scores.groups),
            )
        )
        for i, name in enumerate(scores.methods)
    ]
    if scores.optimal:
        known = (quantity(scores.optimal.get(group, math.nan), 4) for group in scores.groups)
        rows.append(TableRow((Cell(OPTIMAL), *known)))
    every = scores.rows.values()
    notes = [OF_BOLD if any(row.get("tied") is True for row in every) else OF_BEST]
    notes += [OF_GAVE_WAY] if any(map(gave_way, every)) else []
    columns = (Column("Method"), *(Column(scores.heading(group), True) for group in scores.groups))
    return Table(scores.title, columns, tuple(rows), tuple(notes), {"regime": scores.regime})


def _of_task(row: Mapping[Hashable, Any], best: bool) -> Cell:
    value, sd = (float(row.get(column, math.nan)) for column in ("test", "test_sd"))
    return _spread(value, sd, best or row.get("tied") is True, GAVE_WAY if gave_way(row) else "")


def overall_table(ranking: pd.DataFrame, methods: Mapping[str, str]) -> Table:
    """Methods across the tasks of a regime.

    Args:
        methods: Name on the board → method.
    """
    regime = str(ranking["regime"].iloc[0])
    columns = (
        Column("#", True), Column("Method"), Column("Mean rank", True), Column("Wins", True, "Share of other methods beaten"),
        Column("Elo", True, "400 points are odds of 10 to 1"), Column("Elo interval", True, "95 %, over tasks"), Column("Seconds", True, "Summed over tasks"),
        Column("Tasks", True), Column("Coverage", True, "Share of runs that scored"),
    )  # fmt: skip
    rows = tuple(_overall_row(cells, methods) for cells in ranking.to_dict("records"))
    notes = (OF_SHARED,) if bool(ranking["shared"].any()) else ()
    return Table(f"All tasks, {regime}", columns, rows, notes, {"regime": regime})


def _overall_row(cells: Mapping[Hashable, Any], methods: Mapping[str, str]) -> TableRow:
    name = str(cells["method"])
    elo, low, high = (float(cells[key]) for key in ("elo", "elo_low", "elo_high"))
    ends = NOTHING if math.isnan(elo) else f"{_end(low)} to {_end(high)}"
    return TableRow(
        (
            quantity(float(cells["rank"])),
            Cell(name, href=method_href(methods[name])),
            quantity(float(cells["mean_rank"]), 2),
            Cell(percent(float(cells["win_rate"])), float(cells["win_rate"])),
            Cell(fixed(elo, 0), elo),
            Cell(ends, low),
            quantity(float(cells["seconds"]), 1, SHARED if cells["shared"] else ""),
            quantity(float(cells["tasks"])),
            Cell(percent(float(cells["coverage"])), float(cells["coverage"])),
        ),
        failed=float(cells["coverage"]) <= 0,
    )


def _end(value: float) -> str:
    return "−∞" if value == -math.inf else "∞" if value == math.inf else fixed(value, 0)
