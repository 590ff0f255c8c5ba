"""The parts of a report: each is a function of the trial, and says nothing where it has nothing to say.

A new part is one more function in `PARTS` of `relbench_harness.trial.report`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from relbench_harness.site.drawing import Figure
from relbench_harness.site.tables import Cell, Column, Table, TableRow
from relbench_harness.site.words import NOTHING, fixed


@dataclass(frozen=True)
class Step:
    """What may be done next: why, and the command where there is one."""

    why: str
    command: str = ""


@dataclass(frozen=True)
class Part:
    """A part of a report, in the order in which it is read.

    Attributes:
        key: A name for links, unique in a report.
        said: Paragraphs. Words between backticks are code.
        after: Paragraphs below tables and figures.
    """

    key: str
    title: str
    said: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    steps: tuple[Step, ...] = ()
    after: tuple[str, ...] = ()


def whole(value: float) -> Cell:
    return Cell(fixed(value, 0), value)


def share(value: float, digits: int = 1) -> Cell:
    """A share as per cent."""
    return Cell(NOTHING if value != value else f"{value:.{digits}%}", value)


def plain(
    caption: str, columns: tuple[Column, ...], rows: Sequence[tuple[Cell, ...]], notes: tuple[str, ...] = ()
) -> Table:
    return Table(caption, columns, tuple(TableRow(cells) for cells in rows), notes)


def unlinked(table: Table) -> Table:
    """The table without links to pages that a report does not have."""
    rows = tuple(replace(row, cells=tuple(replace(cell, href="") for cell in row.cells)) for row in table.rows)
    return replace(table, rows=rows)


def without(table: Table, headings: tuple[str, ...]) -> Table:
    """The table without the columns called so."""
    kept = [place for place, column in enumerate(table.columns) if column.heading not in headings]
    rows = tuple(replace(row, cells=tuple(row.cells[place] for place in kept)) for row in table.rows)
    return replace(table, columns=tuple(table.columns[place] for place in kept), rows=rows)
