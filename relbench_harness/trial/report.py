"""A trial as a page that needs nothing else, and the same as Markdown.

Invariant: both are functions of the same parts. Every value is text to both, but for charts, whose making ends in `drawing.svg`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from relbench_harness.board.plain_text import printable
from relbench_harness.data.writing import write_whole
from relbench_harness.site.tables import Table
from relbench_harness.trial.about_data import data, findings
from relbench_harness.trial.about_model import looking
from relbench_harness.trial.about_next import following, made
from relbench_harness.trial.about_scores import costs, leaderboard, metrics
from relbench_harness.trial.about_use import choosing, coming_true, hitting
from relbench_harness.trial.facts import Trial
from relbench_harness.trial.page_of_parts import page_of_parts
from relbench_harness.trial.parts import Part
from relbench_harness.trial.prose import CODE
from relbench_harness.trial.verdict import Verdict, verdict

PARTS: tuple[Callable[[Trial], Part | None], ...] = (
    leaderboard,
    choosing,
    coming_true,
    hitting,
    looking,
    data,
    findings,
    costs,
    following,
    metrics,
    made,
)
"""In the order in which they are read."""


@dataclass(frozen=True)
class TrialReport:
    """What is written about a trial.

    Attributes:
        task: `dataset/task`.
    """

    task: str
    query: str
    verdict: Verdict
    parts: tuple[Part, ...]


def report_of(trial: Trial) -> TrialReport:
    found = [part for make in PARTS if (part := make(trial)) is not None]
    return TrialReport(trial.chosen.address, trial.chosen.query, verdict(trial), tuple(found))


def write_report(report: TrialReport, folder: Path) -> Path:
    """Writes `report.html` and `report.md`; returns the page's path."""
    write_whole(folder / "report.md", "\n".join(markdown(report)) + "\n")
    write_whole(folder / "report.html", page(report))
    return folder / "report.html"


# -- a page -----------------------------------------------------------------------------------------------------------------


def page(report: TrialReport) -> str:
    """The whole page, its style sheet and its script within."""
    return page_of_parts("report.html", report.verdict.said, report.parts, report=report)


# -- Markdown -----------------------------------------------------------------------------------------------------------------


def markdown(report: TrialReport) -> Iterator[str]:
    """The report's lines. Charts are left out; the tables beside them hold what they show."""
    yield from (f"# {_text(report.task)}", "", _code_block(report.query), "", f"**{_prose(report.verdict.headline)}**", "")
    yield from (f"- {_prose(one)}" for one in report.verdict.said)
    for part in report.parts:
        yield from ("", f"## {_text(part.title)}", "")
        for one in part.said:
            yield from (_prose(one), "")
        for table in part.tables:
            yield from _table(table)
        for step in part.steps:
            if step.why:
                yield from (_prose(step.why), "")
            if step.command:
                yield from (_code_block(step.command), "")
        for one in part.after:
            yield from (_prose(one), "")


def _code_block(text: str) -> str:
    return "    " + " ".join(printable(text).split())


def _table(table: Table) -> Iterator[str]:
    # the heading of the first column may repeat what the table is called
    yield from (f"{_text(table.caption)}:", "")
    yield "| " + " | ".join(_text(column.heading) for column in table.columns) + " |"
    yield "|" + "|".join(" ---: " if column.is_number else " --- " for column in table.columns) + "|"
    for row in table.rows:
        cells = (" ".join(filter(None, (_text(cell.text), _text(cell.beside)))) for cell in row.cells)
        marked = (f"**{text}**" if cell.strong else text for text, cell in zip(cells, row.cells, strict=True))
        yield "| " + " | ".join(marked) + " |"
    yield ""
    for note in table.notes:
        yield from (_prose(note), "")


def _prose(text: str) -> str:
    """A sentence as Markdown: what stands between backticks is code, all else is text."""
    parts = CODE.split(" ".join(printable(text).split()))
    return "".join(f"`{part}`" if place % 2 else _text(part) for place, part in enumerate(parts))


def _text(text: str) -> str:
    """`text` as Markdown that shows it as it is."""
    line = re.sub(r"\s+", " ", printable(text))
    return re.sub(r"([\\`*\[\]<>|#]|(?<!\w)_|_(?!\w))", r"\\\1", line)
