"""The leaderboard as LaTeX tables with the package booktabs: the best in bold, the second underlined.

Invariant: text comes out as it is, whatever signs it holds; nothing that a result says is a command. A document needs
`\\usepackage{booktabs}` and a LaTeX of 2020 or later; signs beyond Latin letters need LuaLaTeX or XeLaTeX.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from relbench_harness.board.leaderboard import GROUP
from relbench_harness.board.plain_text import printable

SIGNS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    # at the start of a row these would be arguments of the row before it
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    # two of them would be a dash
    "-": "{-}",
    # before an accent these would be signs turned round
    "?": "{?}",
    "!": "{!}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "‡": r"$\ddagger$",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


class ScoredRow(NamedTuple):
    """A method's line in a table.

    Attributes:
        value: The score that is compared; NaN where there is none.
        sd: Its standard deviation over seeds, NaN where there is none.
        low, high: Its interval, NaN where there is none.
        tied: Whether it ties with the best, where that was found by comparing them; None: intervals tell.
        others: What stands in the columns after the score.
    """

    method: str
    value: float
    sd: float = math.nan
    low: float = math.nan
    high: float = math.nan
    others: tuple[str, ...] = ()
    tied: bool | None = None


def escaped(text: str) -> str:
    """`text` on one line, each sign that means something to LaTeX as that sign."""
    return "".join(SIGNS.get(sign, sign) for sign in " ".join(printable(text).split()))


def table(caption: str, headings: Sequence[str], rows: Sequence[ScoredRow], higher_is_better: bool, digits: int = 4) -> str:
    """One table: a method a line, in the order given.

    Methods that tie with the best are bold as well: those marked so or, where nothing is marked, those whose interval holds the
    best value and whose value lies in the best one's interval.
    Where methods tie for the best, no second is underlined.

    Args:
        headings: Of the first column, the score's and the others'.
    """
    marked = zip(rows, marks(rows, higher_is_better, digits), strict=True)
    cells = [(escaped(row.method), score(row, mark, digits), *map(escaped, row.others)) for row, mark in marked]
    return plain_table(caption, headings, cells)


def plain_table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """One table whose cells are LaTeX already, while its caption and headings are text."""
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(caption)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}",
        r"\toprule",
        _line([escaped(heading) for heading in headings]),
        r"\midrule",
        *map(_line, rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def marks(rows: Sequence[ScoredRow], higher_is_better: bool, digits: int = 4) -> list[str]:
    """The command around each score: `textbf`, `underline` or none. Scores that are printed alike are marked alike."""
    printed = [round(row.value, digits) for row in rows]
    ranked = sorted({value for value in printed if not math.isnan(value)}, reverse=higher_is_better)
    if not ranked:
        return [""] * len(rows)
    best = [row for row, value in zip(rows, printed, strict=True) if value == ranked[0]]
    bold = [value == ranked[0] or any(_tied(row, one) for one in best) for row, value in zip(rows, printed, strict=True)]
    second = ranked[1] if len(ranked) > 1 and sum(bold) == 1 else math.nan
    return ["textbf" if tie else "underline" if value == second else "" for tie, value in zip(bold, printed, strict=True)]


def _tied(one: ScoredRow, best: ScoredRow) -> bool:
    if one.tied is not None:
        return one.tied
    return one.low <= best.value <= one.high and best.low <= one.value <= best.high


def score(row: ScoredRow, mark: str, digits: int = 4) -> str:
    """A score with its mark, deviation and interval, where it has them."""
    if math.isnan(row.value):
        return "--"
    text = _number(row.value, digits)
    text = rf"\{mark}{{{text}}}" if mark else text
    if not math.isnan(row.sd):
        text += rf" $\pm$ {row.sd:.{digits}f}"
    if not (math.isnan(row.low) or math.isnan(row.high)):
        text += rf" {{[}}{_number(row.low, digits)}, {_number(row.high, digits)}{{]}}"
    return text


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "$-$")


def board_tables(board: pd.DataFrame, low: str = "low", high: str = "high") -> str:
    """The tables of a leaderboard, one for each that ranks methods together.

    Args:
        low, high: Columns that hold each row's interval, where the board has them.
    """
    made = []
    for key, group in board.groupby(GROUP, sort=True):
        task, regime, data, metric = map(str, key)
        higher = bool(group["higher_is_better"].iloc[0])
        rows = [board_row(row, low, high) for row in group.to_dict("records")]
        caption = f"{task}, {regime}, data {data}: {metric}, {'higher' if higher else 'lower'} is better."
        made.append(table(caption, ("Method", metric, "Seconds", "Lines", "Runs"), rows, higher))
    return "\n".join(made)


def board_row(row: Mapping[Hashable, Any], low: str = "low", high: str = "high") -> ScoredRow:
    """A row of the leaderboard."""
    lines = f"{_cell(row['lines_task'], 0)} + {_cell(row['lines_method'], 0)}"
    others = (_cell(row["seconds"], 1), lines, f"{row['scored']}/{row['runs']}")
    ends = (_float(row.get(low)), _float(row.get(high)))
    tied = bool(row["tied"]) if "tied" in row and not math.isnan(ends[0]) else None
    return ScoredRow(str(row["method"]), _float(row["test"]), _float(row["test_sd"]), *ends, others, tied)


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _cell(value: object, digits: int) -> str:
    number = _float(value)
    return "–" if math.isnan(number) else f"{number:,.{digits}f}"
