"""The parts of a report about the data: what there is, what is predicted, and which findings of the check matter for that."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd

from relbench_harness.authoring.dataset_summary import TaskSummary
from relbench_harness.authoring.findings import KINDS, Finding
from relbench_harness.authoring.predictive_query import Aggregate, aggregates, parse, walk
from relbench_harness.authoring.predictive_query import Column as Named
from relbench_harness.data.labels import SPLITS, Split
from relbench_harness.errors import InputError
from relbench_harness.site.tables import Cell, Column
from relbench_harness.site.words import counted, percent
from relbench_harness.trial.facts import Trial
from relbench_harness.trial.parts import Part, plain, whole

HOW = {
    "there": "The dataset `{0}` was there already.",
    "found": "The import of before, `{0}`, was used: its source has not changed since.",
    "imported": "Imported from {1} as the dataset `{0}`.",
    "imported again": "Imported again from {1} into the dataset `{0}`, for its source changed or does not say whether it did.",
}
MOST_NOTES = 12
MOST_FINDINGS = 20


def data(trial: Trial) -> Part:
    """Tables, span, examples of each split."""
    checked, task = trial.checked, trial.summary
    columns = (Column("Table"), Column("Rows", True), Column("Columns", True), Column("First row"), Column("Last row"))
    rows = [(Cell(t.name), whole(t.rows), whole(t.columns), Cell(t.first[:10]), Cell(t.last[:10])) for t in checked.tables]
    tables = [plain(f"Tables of {checked.name}", columns, rows)]
    said = [HOW[trial.found.how].format(checked.name, trial.found.source or "its source")]
    if task is not None:
        heads = (
            Column("Split"), Column("Times", True), Column("First"), Column("Last"), Column("Examples", True), Column("Labels"),
        )  # fmt: skip
        splits = [_split(trial, task, name) for name in SPLITS]
        tables.append(plain("Examples of each split", heads, splits))
        said.append(
            f"{task.type.replace('_', ' ').capitalize()} about `{trial.task.entity_table}`"
            + ("." if trial.task.own_row_visible else f", over the {_horizon(task.horizon)} after each time.")
            + f" {counted(task.entities, 'entity', 'entities')} in all; {percent(task.overlap)} of those of test occur in training as well."
        )
        said += [f"Mind the shift: {shift}." for shift in task.shifts]
    return Part("data", "Data", tuple(said), tuple(tables))


def _split(trial: Trial, task: TaskSummary, split: Split) -> tuple[Cell, ...]:
    times = trial.times_of(split)
    first, last = (_day(str(pd.Timestamp(int(times[end])))) for end in (0, -1))
    return Cell(split), whole(len(times)), Cell(first), Cell(last), whole(task.rows[split]), Cell(task.rates[split])


def _horizon(text: str) -> str:
    return re.sub(r"^1 (day|hour|minute|second)s?$", r"\1", text.removesuffix(" 00:00:00"))


def _day(stamp: str) -> str:
    return stamp.removesuffix(" 00:00:00")[:16]


def findings(trial: Trial) -> Part | None:
    """What the check found that matters for the task, and what the import noted."""
    ours, others = relevant(trial)
    heads = (Column("Level"), Column("Kind"), Column("Where"), Column("What"))
    rows = [(Cell(_level(f)), Cell(f.kind), Cell(f.where), Cell(f.what)) for f in ours[:MOST_FINDINGS]]
    tables = [plain("Findings of the check", heads, rows)] if rows else []
    said = [
        f"The check has {counted(len(ours), 'finding')} about this task and the tables that it is made of."
        if ours
        else "The check found nothing about this task and the tables that it is made of."
    ]
    said += [f"{_CONSEQUENCES[kind]}" for kind in dict.fromkeys(f.kind for f in ours) if kind in _CONSEQUENCES]
    hidden = len(others) + max(len(ours) - MOST_FINDINGS, 0)
    after = (
        [f"{counted(hidden, 'more finding')} about other tables and tasks: check.html beside this report has all."]
        if hidden
        else []
    )
    notes = trial.found.notes
    after += [f"The import says: {note.rstrip('.')}." for note in notes[:MOST_NOTES]]
    after += (
        [f"{counted(len(notes) - MOST_NOTES, 'more note')} in the dataset's manifest."] if len(notes) > MOST_NOTES else []
    )
    return Part("findings", "What the check found", tuple(said), tuple(tables), after=tuple(after))


_CONSEQUENCES = {
    "giveaway": "A column that gives the label away makes every score here too good to be true: hide it by `remove_columns` in the task's manifest, and try again.",
    "afterwards": "A column that is filled only where there is a label is written after the fact: hide it by `remove_columns` in the task's manifest, and try again.",
    "future-column": "A column that knows what comes later makes scores too good: hide it, or move it to a table of its own with `--late`.",
    "future-member": "Some test examples are there only because of what their entity does later: in daily use they could not be picked out. A condition such as `WHERE COUNT(…, -180, 0, days) > 0` in the query leaves them out.",
    "growing": "Rows of a table without a time are seen before they were there. Where the mere presence of a row says something, scores are somewhat too good; `--time TABLE=COLUMN` gives it a time.",
    "late-date": "A date after its row's time is seen too early: `--late TABLE.COLUMN` moves it.",
}


def _level(finding: Finding) -> str:
    return f"known {finding.level}" if finding.known is not None else finding.level


def relevant(trial: Trial) -> tuple[list[Finding], list[Finding]]:
    """The findings about the task and the tables that its labels and entities are made of, grave ones first; and the others."""
    task = trial.task.name
    tables = {name.lower() for name in _tables(trial)}
    ours: list[Finding] = []
    others: list[Finding] = []
    for finding in sorted(trial.checked.findings, key=lambda f: (f.known is not None, list(KINDS).index(f.kind))):
        first = finding.where.split(" ")[0]
        about = finding.where == task or first == task or _table_of(finding.where, tables)
        (ours if about or finding.level == "error" else others).append(finding)
    return ours, others


def _table_of(where: str, tables: set[str]) -> bool:
    place = where.lower()
    return any(place == name or place.startswith(f"{name}.") for name in tables)


def _tables(trial: Trial) -> Iterator[str]:
    """The entity's table, the items', and those that the query names."""
    yield trial.task.entity_table
    if trial.task.item_table is not None:
        yield trial.task.item_table
    try:
        query = parse(trial.chosen.query)
    except InputError:
        # a task that was written by hand: its SQL names its tables
        yield from (t.name for t in trial.checked.tables if re.search(rf"\b{re.escape(t.name)}\b", trial.task.sql or ""))
        return
    parts: list[Aggregate] = [*aggregates(query.target), *aggregates(query.where)]
    for part in parts:
        yield from (inner.table for inner in walk(part.value) if isinstance(inner, Named))
