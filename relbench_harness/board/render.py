"""A leaderboard in the media that people read: in the terminal, as Markdown, CSV, HTML, LaTeX, as a picture.

Invariant: text comes out as text in each of them, whatever a method is called and whatever its error says.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from html import escape
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from relbench_harness.board.latex import board_tables
from relbench_harness.board.score_table import latex_score_tables, score_sheets
from relbench_harness.board.sheets import Sheet, sheets
from relbench_harness.data.writing import write_whole

SPARE = ("warm", "MB", "fitted on", "audited", "difference", "val", "× anchor", "tasks", "lines")
"""Columns that a narrow terminal goes without, first to go first; Markdown and CSV always have all."""
TEXT = frozenset(
    {
        "method",
        "fitted on",
        "audited",
        "status",
        "what",
        "detail",
        "metric",
        "source",
        "dataset",
        "task",
        "regime",
        "version",
        "check",
    }
)
"""Columns of words; the others are numbers."""


def show(board: pd.DataFrame, console: Console) -> None:
    """Prints the leaderboard; what is no terminal gets lines as long as they need to be."""
    for sheet in sheets(board):
        console.print(_fitting(sheet, console), crop=False)
        for note in sheet.notes:
            console.print(Text(note, style="dim"), soft_wrap=True)
        console.print()


def _fitting(sheet: Sheet, console: Console) -> Table:
    """The sheet as a table as wide as it needs to be; on a narrow terminal without some of its spare columns."""
    left_out: set[str] = set()
    endless = console.options.update(max_width=10_000)
    for spare in (*SPARE, None):
        table = _rich(sheet, left_out)
        table.width = Measurement.get(console, endless, table).maximum
        if table.width <= console.width or not console.is_terminal or spare is None:
            break
        left_out.add(spare)
    return table


def _rich(sheet: Sheet, left_out: set[str]) -> Table:
    shown = [i for i, heading in enumerate(sheet.headings) if heading not in left_out]
    table = Table(title=Text(sheet.title, style="bold"), title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    for i in shown:
        table.add_column(sheet.headings[i], justify="left" if sheet.headings[i] in TEXT else "right")
    for cells, faint in zip(sheet.rows, sheet.faint, strict=True):
        table.add_row(*(Text(cells[i]) for i in shown), style="dim" if faint else "bold" if cells[0] == "1" else "")
    return table


# -- Markdown -------------------------------------------------------------------------------------------------------------


def markdown(board: pd.DataFrame) -> str:
    """The leaderboard as Markdown tables."""
    return "\n".join(line for sheet in _on_pages(board) for line in (f"## {escaped(sheet.title)}", "", *sheet_lines(sheet)))


def sheet_lines(sheet: Sheet) -> Iterator[str]:
    """The lines of one table in Markdown, without its title, and of its notes."""
    yield from table_lines(sheet.headings, sheet.rows, sheet.strong)
    yield from ("", *(line for note in sheet.notes for line in (paragraph(note), "")))


def table_lines(
    headings: tuple[str, ...], rows: Iterable[tuple[str, ...]], strong: Container[tuple[int, int]] = ()
) -> Iterator[str]:
    """The lines of a table in Markdown whose cells are plain text.

    Args:
        strong: (row, column) of cells in bold.
    """
    yield _markdown_row(headings)
    yield _markdown_row(tuple("---" if heading in TEXT else "---:" for heading in headings))
    for i, row in enumerate(rows):
        yield _markdown_row(row, frozenset(j for j in range(len(row)) if (i, j) in strong))


def _markdown_row(cells: tuple[str, ...], strong: Container[int] = ()) -> str:
    shown = (f"**{escaped(cell)}**" if j in strong else escaped(cell) for j, cell in enumerate(cells))
    return f"| {' | '.join(shown)} |"


def escaped(text: str) -> str:
    """`text` on one line of Markdown, each sign that means something to it as that sign."""
    return re.sub(r"([\\|`*_<>\[\]$&~])", r"\\\1", " ".join(text.split()))


def paragraph(text: str) -> str:
    """`text` as a paragraph of Markdown, which begins no heading and no list."""
    return re.sub(r"^(\d*)([#+\-=.)])", r"\1\\\2", escaped(text))


# -- CSV, HTML, LaTeX -----------------------------------------------------------------------------------------------------


def csv(board: pd.DataFrame) -> str:
    """Every column of the leaderboard, unrounded. Text that a spreadsheet would calculate begins with an apostrophe."""
    words = board.select_dtypes(["object", "string"]).columns
    shown = board.assign(**{name: board[name].map(_no_formula) for name in words})
    text: str = shown.to_csv(index=False, lineterminator="\n")
    # half a character, as in the name of a file that is no text, has no place in UTF-8
    return text.encode("utf-8", "replace").decode("utf-8")


def _no_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else value


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Leaderboard</title>
<style>
:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
div { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: bold; padding: 1.5rem 0 0.5rem; }
th, td { padding: 0.2rem 0.6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid color-mix(in srgb, currentColor 25%%, transparent); }
.text { text-align: left; font-weight: normal; }
tr.faint { opacity: 0.6; }
</style>
</head>
<body>
<h1>Leaderboard</h1>
%s
</body>
</html>
"""


def html(board: pd.DataFrame) -> str:
    """The leaderboard as a page that fetches nothing: plain tables with captions and headings of columns and rows."""
    return PAGE % "\n".join(line for sheet in _on_pages(board) for line in _html(sheet))


def _on_pages(board: pd.DataFrame) -> list[Sheet]:
    """What pages show: they have room for the table of all scores, and a terminal has not."""
    return [*sheets(board), *score_sheets(board)]


def _html(sheet: Sheet) -> Iterator[str]:
    kinds = [' class="text"' if heading in TEXT else "" for heading in sheet.headings]
    yield f'<div role="region" tabindex="0" aria-label="{escape(sheet.title)}"><table><caption>{escape(sheet.title)}</caption>'
    cells = (f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(sheet.headings, kinds, strict=True))
    yield f"<thead><tr>{''.join(cells)}</tr></thead><tbody>"
    for i, (row, faint) in enumerate(zip(sheet.rows, sheet.faint, strict=True)):
        shown = (
            f"<strong>{escape(text)}</strong>" if (i, j) in sheet.strong else escape(text) for j, text in enumerate(row)
        )
        each = (
            f'<th scope="row"{kind}>{text}</th>' if heading == "method" else f"<td{kind}>{text}</td>"
            for text, kind, heading in zip(shown, kinds, sheet.headings, strict=True)
        )
        yield ('<tr class="faint">' if faint else "<tr>") + "".join(each) + "</tr>"
    yield "</tbody></table></div>"
    yield from (f"<p>{escape(note)}</p>" for note in sheet.notes)


def latex(board: pd.DataFrame) -> str:
    """A table for each ranking, then one of all scores for each regime."""
    return "\n".join([board_tables(board), *latex_score_tables(board)])


FORMATS: Mapping[str, tuple[str, Callable[[pd.DataFrame], str]]] = {
    "md": ("leaderboard.md", markdown),
    "csv": ("leaderboard.csv", csv),
    "latex": ("leaderboard.tex", latex),
    "html": ("leaderboard.html", html),
}
"""Name of a format → its file, and how that is made."""


def svg(board: pd.DataFrame, width: int = 120) -> str:
    """The leaderboard as the terminal shows it, as a picture that fetches nothing."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    show(board, console)
    picture = console.export_svg(title="relbench-harness rank", unique_id="leaderboard")
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.S) + "\n"


def write(board: pd.DataFrame, folder: Path) -> list[Path]:
    """Writes a file of each of the `FORMATS`, made anew from the results each time."""
    made = {folder / name: make(board) for name, make in FORMATS.values()}
    for path, text in made.items():
        write_whole(path, text)
    return list(made)
