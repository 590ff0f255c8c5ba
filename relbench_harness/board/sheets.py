"""A leaderboard as tables that people read: which columns stand where, and how a cell is written.

Invariant: what was not measured is a dash; no value stands in place of a missing one, and failed methods stand last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import pandas as pd

from relbench_harness.board.causes import CHANCE, by_cause
from relbench_harness.board.leaderboard import GROUP, UNKNOWN
from relbench_harness.board.overall import of_several_tasks, overall
from relbench_harness.board.plain_text import one_line

TIED = "≈"
"""The sign beside the best score and those from which it is not shown to differ."""
OF_TIED = f"{TIED}: no difference to the best is shown at the 5 % level (paired, with Holm's correction for how many are compared)."
OPTIMAL = "Bayes-optimal"
"""What the row of the true answers is called."""
GAVE_WAY = "\N{DOUBLE DAGGER}"
"""The sign beside scores of runs in which a trivial method answered."""
OF_GAVE_WAY = f"{GAVE_WAY}: a trivial method was better on validation and answered in its place, in some runs at least."
SHARED = "\N{DAGGER}"
"""The sign beside seconds that were measured on a shared machine."""
OF_SCORE = (
    "score: the mean over tasks of where a method lies between the best constant answer (0) and the best known score (1)."
)
OF_SHARED = f"{SHARED} measured while others used the machine, or beside other runs of the sweep: such seconds say less."


@dataclass(frozen=True)
class Sheet:
    """A table ready to be shown.

    Attributes:
        faint: Which rows are to be toned down.
        notes: What is said below it.
        strong: (row, column) of cells that are to be brought out.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    faint: tuple[bool, ...]
    notes: tuple[str, ...] = ()
    strong: frozenset[tuple[int, int]] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", one_line(self.title))
        object.__setattr__(self, "rows", tuple(tuple(map(one_line, row)) for row in self.rows))
        object.__setattr__(self, "notes", tuple(map(one_line, self.notes)))


def sheets(board: pd.DataFrame) -> list[Sheet]:
    """One sheet per task and regime, then one per regime across tasks."""
    several = board.groupby(["task", "regime"])["data"].nunique().max() if len(board) else 1
    tasks = [task_sheet(group, several > 1) for _, group in board.groupby(GROUP, sort=True)]
    return tasks + overall_sheets(board) + _cause_sheets(board)


def overall_sheets(board: pd.DataFrame) -> list[Sheet]:
    """One sheet for each regime that has several tasks."""
    ranking = overall(of_several_tasks(board))
    return [_overall_sheet(str(regime), group) for regime, group in ranking.groupby("regime", sort=True)]


def _cause_sheets(board: pd.DataFrame) -> list[Sheet]:
    """How much of each cause each method finds, where the board has worlds with one cause at a time."""
    table = by_cause(board)
    if table.empty:
        return []
    rows = tuple(
        (str(method), *map(_percent, shares)) for method, shares in zip(table.index, table.to_numpy(), strict=True)
    )
    note = (
        "Share of the way from the best constant answer to the true answers, each cause switched on alone. Last row: the "
        "standard deviation of the true answers' own score over labels drawn anew."
    )
    faint = tuple(method == CHANCE for method in table.index)
    return [Sheet("Which causes a method finds", ("method", *map(str, table.columns)), rows, faint, (note,))]


Cell = Callable[[Mapping[Hashable, Any]], str]


def task_sheet(group: pd.DataFrame, name_data: bool) -> Sheet:
    """The sheet of one ranking; `name_data` says which version of the data it is about."""
    first = group.iloc[0]
    arrow = "higher is better" if first["higher_is_better"] else "lower is better"
    unknown = first["data"] == UNKNOWN
    data = f", {UNKNOWN}" if unknown else f", data {first['data']}" if name_data else ""
    columns = dict(_columns(group))
    rows = tuple(tuple(cell(row) for cell in columns.values()) for row in group.to_dict("records"))
    optimal = _has(group, "way")
    return Sheet(
        f"{first['task']}, {first['regime']}{data}: {first['metric']} ({arrow})",
        tuple(columns),
        (_optimal(first, tuple(columns)), *rows) if optimal else rows,
        (*((False,) * optimal), *(group["status"] != "ok")),
        tuple(_task_notes(group)),
    )


def _columns(group: pd.DataFrame) -> Iterator[tuple[str, Cell]]:
    """(heading, how a row's cell is written) for each column that says something about the ranking `group`."""
    yield "#", lambda row: str(row["rank"])
    yield "method", lambda row: str(row["method"])
    yield "test", lambda row: _spread(row["test"], row["test_sd"]) + _tie(row)
    if _has(group, "low"):
        yield "95 % interval", lambda row: _ends(row["low"], row["high"])
    if _has(group, "difference"):
        yield "difference", lambda row: _difference(row["difference"], row["difference_low"], row["difference_high"])
    if _has(group, "way"):
        yield "of the way", lambda row: _percent(row["way"])
    yield "val", lambda row: _spread(row["val"], row["val_sd"])
    yield "seconds", lambda row: _seconds(row["seconds"], row["shared"] == "yes")
    if _has(group, "seconds_vs_anchor"):
        yield "× anchor", lambda row: _times(row["seconds_vs_anchor"])
    yield "warm", lambda row: _seconds(row["seconds_warm"], row["shared"] == "yes")
    yield "MB", lambda row: _whole(row["peak_memory_mb"])
    yield "lines", lambda row: f"{_whole(row['lines_task'])} + {_whole(row['lines_method'])}"
    yield "runs", lambda row: f"{row['scored']}/{row['runs']}"
    yield "fitted on", lambda row: str(row["fitted_on"])
    if "audited" in group and bool((group["audited"] != "no").any()):
        yield "audited", lambda row: str(row["audited"])
    yield "status", lambda row: str(row["status"])


def _has(group: pd.DataFrame, column: str) -> bool:
    return column in group and bool(group[column].notna().any())


def _optimal(row: pd.Series, headings: tuple[str, ...]) -> tuple[str, ...]:
    """The row of the true answers, which no method can beat but by luck."""
    known = {
        "method": OPTIMAL,
        "test": _spread(row["optimal"], math.nan),
        "of the way": "100%",
        "fitted on": "known",
    }
    return tuple(known.get(heading, "–") for heading in headings)


def _task_notes(group: pd.DataFrame) -> Iterator[str]:
    machines = sorted(set(group["machine"]) - {""})
    on = f" Run on {' and '.join(machines)}." if machines else ""
    shared = _whole(group["lines_harness"].max())
    yield f"lines: for this task + of the method; the harness that all share has {shared}.{on}"
    if _has(group, "seconds_vs_anchor"):
        yield f"× anchor: seconds in multiples of those of {group['anchor'].iloc[0]} on the same machine."
    if (group["shared"] == "yes").any():
        yield OF_SHARED
    if _has(group, "low"):
        first = group[group["low"].notna()].iloc[0]
        yield f"95 % interval: over {first['entities']:,.0f} entities with {first['examples']:,.0f} examples. {OF_TIED}"
    if _has(group, "difference"):
        yield f"difference: test minus that of {group['against'].dropna().iloc[0]} on the same examples, with its own 95 % interval."
    if _has(group, "way"):
        first = group.iloc[0]
        yield (
            f"of the way: from the best constant answer ({first['constant']:.4f}) to the true answers, which score "
            f"{_spread(first['stated'], first['stated_sd'])} on labels drawn from the truth."
        )
    for row in group.to_dict("records"):
        yield from row_notes(str(row["method"]), row)


def row_notes(name: str, row: Mapping[Hashable, Any]) -> Iterator[str]:
    """What a reader must know of one row of the leaderboard: a failed audit, a trivial method that answered, an error."""
    if row.get("audited") == "failed":
        yield f"{name} failed its audit, so its scores may rest on what it must not see."
    if row.get("fallback"):
        yield f"{name} is worse on validation than a trivial method and gave way to {row['fallback']}."
    if row.get("error"):
        yield f"{name} failed: {shorten(str(row['error']), 200, placeholder=' …')}"


def _overall_sheet(regime: str, group: pd.DataFrame) -> Sheet:
    rows = tuple(
        (
            str(row["rank"]),
            str(row["method"]),
            f"{row['mean_rank']:.2f}",
            _percent(row["win_rate"]),
            _elo(row["elo"], row["elo_low"], row["elo_high"]),
            _fraction(row["normalised"]),
            _seconds(row["seconds"], row["shared"]),
            str(row["tasks"]),
            _percent(row["coverage"]),
        )
        for row in group.to_dict("records")
    )
    apart = group["critical_difference"].iloc[0]
    tasks = int(group["tasks"].max())
    return Sheet(
        f"All tasks, {regime}",
        ("#", "method", "mean rank", "wins", "Elo", "score", "seconds", "tasks", "coverage"),
        rows,
        tuple(group["coverage"] < 1),
        (
            *(
                (f"Mean ranks over {tasks} tasks differ at the 5 % level when {apart:.2f} apart (Nemenyi).",)
                * math.isfinite(apart)
            ),
            *((OF_SCORE,) * bool(group["normalised"].notna().any())),
            *((OF_SHARED,) * bool(group["shared"].any())),
        ),
    )


# -- one cell -------------------------------------------------------------------------------------------------------------


def score_text(row: Mapping[Hashable, Any]) -> str:
    """A row's score with its signs, or a dash where there is none."""
    value = float(row.get("test", math.nan))
    return "–" if math.isnan(value) else " ".join([_spread(value, row["test_sd"]), *signs(row)])


def signs(row: Mapping[Hashable, Any]) -> list[str]:
    """What stands beside a row's score where all scores are in one table."""
    return [*((TIED,) * (row.get("tied") is True)), *((GAVE_WAY,) * gave_way(row))]


def gave_way(row: Mapping[Hashable, Any]) -> bool:
    """Whether a trivial method answered in the method's place, in some runs at least."""
    return isinstance(row.get("fallback"), str)


def _tie(row: Mapping[Hashable, Any]) -> str:
    return f" {TIED}" if row.get("tied") is True else ""


def _spread(mean: float, sd: float) -> str:
    if math.isnan(mean):
        return "–"
    return f"{mean:.4f}" + ("" if math.isnan(sd) else f" ± {sd:.4f}")


def _ends(low: float, high: float) -> str:
    return "–" if math.isnan(low) else f"[{low:.3f}, {high:.3f}]"


def _difference(value: float, low: float, high: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.3f} [{low:+.3f}, {high:+.3f}]".replace("-", "−")


def _fraction(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}".replace("-", "−")


def _seconds(value: float, shared: bool) -> str:
    return "–" if math.isnan(value) else f"{value:.1f}" + (SHARED if shared else "")


def _times(ratio: float) -> str:
    return "–" if math.isnan(ratio) else f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def _whole(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:,.0f}"


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{round(share, 2) + 0.0:.0%}"


def _elo(rating: float, low: float, high: float) -> str:
    if math.isnan(rating):
        return "–"
    ends = ("−∞" if low == -math.inf else f"{low:.0f}", "∞" if high == math.inf else f"{high:.0f}")
    return f"{rating:.0f} [{ends[0]}, {ends[1]}]"
