"""What a check found, and the dataset in figures; as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from relbench_harness.authoring.dataset_summary import TableSummary, TaskSummary
from relbench_harness.authoring.findings import Finding


@dataclass(frozen=True)
class Report:
    """A checked dataset: findings, tables and tasks in figures, its cut points and its schema as SVG."""

    name: str
    description: str = ""
    findings: list[Finding] = field(default_factory=list)
    tables: list[TableSummary] = field(default_factory=list)
    tasks: list[TaskSummary] = field(default_factory=list)
    cuts: tuple[str, str] = ("", "")
    diagram: str = ""

    def open(self, strict: bool = False) -> list[Finding]:
        """Findings that no `known` entry explains and that make the check fail: errors; leaks, too, where `strict`."""
        return [f for f in self.findings if f.known is None and (strict or f.level == "error")]


def lines(report: Report) -> Iterator[str]:
    """The report as text."""
    yield f"{report.name}: validation from {report.cuts[0]}, test from {report.cuts[1]}"
    for table in report.tables:
        yield f"  {table.name}: {table.rows:,} rows, {table.columns} columns, {table.first} to {table.last}"
    for task in report.tasks:
        rows = ", ".join(f"{split} {count:,} ({task.rates[split]})" for split, count in task.rows.items())
        yield f"  {task.name}: {task.type}, {rows}; {task.entities:,} entities, {task.overlap:.1%} of test seen in training"
        yield from (f"    note: {shift}" for shift in task.shifts)
    for finding in sorted(report.findings, key=lambda f: (f.known is not None, f.level)):
        yield str(finding)
    open_ = [f for f in report.findings if f.known is None]
    errors = sum(f.level == "error" for f in open_)
    yield f"{errors} errors, {len(open_) - errors} leaks, {len(report.findings) - len(open_)} known findings"
