"""What the page of a method says beside its scores: configuration, code, audits, and what its runs say of themselves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relbench_harness.protocol.audit.report import AuditReport
from relbench_harness.protocol.result import Result
from relbench_harness.site.rankings import Line, Ranking
from relbench_harness.site.tables import (
    Cell,
    Column,
    Table,
    TableRow,
    lines,
    quantity,
    runs,
    score,
    seconds,
    status,
    task_href,
)
from relbench_harness.site.words import NOTHING, fixed, metric_name

MOST_CONFIGURATIONS = 10
MOST_NOTED = 5
Rows = Sequence[tuple[Ranking, Line]]


@dataclass(frozen=True)
class Configuration:
    """A complete configuration as lines of `key: value`, and the rows that have it."""

    rows: tuple[str, ...]
    text: str


def configurations(rows: Rows) -> list[Configuration]:
    """The different configurations of a method, the most frequent first."""
    found: dict[str, list[str]] = {}
    for ranking, line in rows:
        text = "\n".join(f"{key}: {value}" for key, value in flat(line.results[-1].config))
        found.setdefault(text, []).append(f"{ranking.task}, {ranking.regime}")
    ordered = sorted(found.items(), key=lambda item: -len(item[1]))
    return [Configuration(tuple(dict.fromkeys(where)), text) for text, where in ordered[:MOST_CONFIGURATIONS]]


def flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(dotted key, value as JSON) of every leaf of a configuration."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(inner, Mapping) for inner in value):
        for place, inner in enumerate(value):
            yield from flat(inner, f"{path}.{place}")
    else:
        yield path, value if isinstance(value, str) else json.dumps(value, default=str)


def scores_table(rows: Rows) -> Table:
    """A method's rows on every task."""
    columns = (
        Column("Task"), Column("Regime"), Column("Row"), Column("Metric"), Column("Test", True), Column("Rank", True),
        Column("Seconds", True), Column("Memory, MB", True), Column("Lines", True), Column("Runs", True), Column("Status"),
    )  # fmt: skip
    made = [TableRow(_cells(ranking, line), failed=not line.complete) for ranking, line in rows]
    return Table("Scores on every task", columns, tuple(made))


def _cells(ranking: Ranking, line: Line) -> tuple[Cell, ...]:
    rank = line.number("rank")
    return (
        Cell(ranking.task, href=task_href(ranking.task)),
        Cell(ranking.regime),
        Cell(line.name),
        Cell(metric_name(ranking.metric)),
        score(line),
        Cell(f"{fixed(rank, 0)} of {len(ranking.lines)}", rank),
        seconds(line, "seconds"),
        quantity(line.number("peak_memory_mb")),
        lines(line),
        runs(line),
        status(line),
    )


@dataclass(frozen=True)
class Code:
    """What a method is made of.

    Attributes:
        counts: What is counted → (logical lines, tokens).
        files: Those of the method.
    """

    counts: tuple[tuple[str, str, str], ...]
    files: tuple[str, ...]


COUNTED = (("task", "for one task alone"), ("method", "of the method"), ("harness", "of the harness, shared by all"))


def code(result: Result) -> Code | None:
    """The code behind a result, None where it does not say."""
    if not result.lines:
        return None
    tokens, files = (part if isinstance(part := result.lines.get(key), Mapping) else {} for key in ("tokens", "files"))
    counts = tuple((words, _count(result.lines.get(part)), _count(tokens.get(part))) for part, words in COUNTED)
    named = files.get("method")
    return Code(counts, tuple(map(str, named)) if isinstance(named, list) else ())


def _count(value: object) -> str:
    return fixed(float(value), 0) if isinstance(value, int | float) else NOTHING


def said(rows: Rows) -> Table | None:
    """The notes of a method's runs, None where none has any."""
    made = [
        TableRow((Cell(ranking.task, href=task_href(ranking.task)), Cell(ranking.regime), quantity(result.seed), Cell(_note(result))))
        for ranking, line in rows for result in line.results[:MOST_NOTED] if result.notes
    ]  # fmt: skip
    columns = (Column("Task"), Column("Regime"), Column("Seed", True), Column("Note"))
    return Table("What the runs say of themselves", columns, tuple(made)) if made else None


def _note(result: Result) -> str:
    return "; ".join(f"{key}: {value}" for key, value in flat(result.notes))


def audits(rows: Rows, reports: Iterable[AuditReport]) -> Table | None:
    """Every finding of the audits of a method on its tasks, None where there is no report."""
    method, tasks = rows[0][1].method, {(ranking.task, ranking.regime) for ranking, _ in rows}
    made = [
        TableRow(
            (
                Cell(report.task, href=task_href(report.task)), Cell(report.regime), Cell(finding.check.replace("_", " ")),
                Cell(finding.verdict), Cell(finding.evidence),
            )
        )
        for report in sorted(reports, key=lambda one: (one.task, one.regime, one.started))
        if report.method == method and (report.task, report.regime) in tasks
        for finding in report.findings
    ]  # fmt: skip
    columns = (Column("Task"), Column("Regime"), Column("Check"), Column("Verdict"), Column("Evidence"))
    return Table("Audit", columns, tuple(made)) if made else None


def made_on(rows: Rows) -> list[str]:
    """The machines, versions and days of a method's runs."""
    results = [result for _, line in rows for result in line.results]
    machines = sorted({_machine(result) for result in results} - {""})
    days = sorted({result.started[:10] for result in results} - {""})
    versions = sorted({f"{name} {version}" for result in results for name, version in result.versions.items()})
    found = [f"Run on {' and '.join(machines)}."] if machines else []
    found += [f"Begun on {days[0]}." if len(days) == 1 else f"Begun from {days[0]} to {days[-1]}."] if days else []
    return found + ([f"Versions: {', '.join(versions)}."] if versions else [])


def _machine(result: Result) -> str:
    parts = [str(result.machine[key]) for key in ("cpu", "gpu", "system") if result.machine.get(key)]
    return ", ".join(parts)
