"""The part of a method's page about what the method looks at, where an explanation is stored beside its results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from relbench_harness.board.importance import Importance, Weighed
from relbench_harness.site.tables import Cell, Column, Table, TableRow
from relbench_harness.site.words import counted, fixed, metric_name, percent, span

TITLES = {"column": "Columns", "table": "Tables"}


@dataclass(frozen=True)
class LookedAt:
    """What a method looks at on one task.

    Attributes:
        said: Over how many examples, how far the ways agree, and how much of the answers a query reproduces.
    """

    task: str
    said: tuple[str, ...]
    tables: tuple[Table, ...]


def looked_at(method: str, tasks: Iterable[str], found: Iterable[Importance]) -> list[LookedAt]:
    """In the order of the tasks; of other methods and tasks nothing."""
    mine: Mapping[str, Importance] = {one.task: one for one in found if one.method == method}
    return [_of(mine[task]) for task in dict.fromkeys(tasks) if task in mine]


def _of(one: Importance) -> LookedAt:
    said = [f"{counted(one.examples, 'validation example')}, {one.regime}."]
    for agreement in one.agreements:
        first, second = agreement.ways
        kind = TITLES.get(agreement.kind, agreement.kind).lower()
        said.append(
            f"{first.capitalize()} and {second} agree on {kind} with a rank correlation of {fixed(agreement.correlation, 2)} "
            f"over {counted(agreement.parts, 'part')}."
        )
    if one.as_sql is not None:
        columns, r2, low, high = one.as_sql
        said.append(
            f"A query of {counted(columns, 'column')} reproduces the answers with an R² of {fixed(r2, 2)} ({span(low, high, 2)})."
        )
    tables = tuple(made for kind in TITLES if (made := _table(one, kind)) is not None)
    return LookedAt(one.task, tuple(said), tables)


def _table(one: Importance, kind: str) -> Table | None:
    """A line per part, a share per way; the amount is that of the first way."""
    by_way = {way: {part.part: part for part in parts if part.kind == kind} for way, parts in one.parts.items()}
    by_way = {way: parts for way, parts in by_way.items() if parts}
    if not by_way:
        return None
    names = list(dict.fromkeys(name for parts in by_way.values() for name in parts))
    first = next(iter(by_way))
    unit = metric_name(one.unit.get(first, ""))
    columns = [Column(TITLES[kind][:-1])]
    columns += [Column(f"Share by {way}", True, "Of the importance of all parts") for way in by_way]
    columns += [Column(f"Amount by {first}", True, f"In {unit}"), Column("95 % interval", True)]
    rows = []
    for name in names:
        cells = [Cell(name), *(_share(parts.get(name)) for parts in by_way.values())]
        known = by_way[first].get(name)
        low, high = (float("nan"), float("nan")) if known is None else (known.low, known.high)
        value = float("nan") if known is None else known.value
        rows.append(TableRow((*cells, Cell(fixed(value), value), Cell(span(low, high), low))))
    return Table(f"{TITLES[kind]} that count most", tuple(columns), tuple(rows))


def _share(part: Weighed | None) -> Cell:
    value = float("nan") if part is None else part.share
    return Cell(percent(value), value)
