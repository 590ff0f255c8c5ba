"""`relbench-harness audit`: composes a method as `run` does, audits it, prints the findings and stores the report.

The method is audited without the guard that a run puts around it, for the guard may answer in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from relbench_harness.composed_alone import composed_alone
from relbench_harness.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from relbench_harness.protocol.audit.report import AuditReport
    from relbench_harness.request import RunRequest


def audit_overrides(overrides: Sequence[str]) -> tuple[AuditReport, Path]:
    """The report on what `overrides` compose, as `run` takes them, and the file in which it is stored.

    Raises:
        InputError: The request cannot be fulfilled, or the method does not do the task.
    """
    request = composed_alone(overrides, "audit").unguarded()
    from relbench_harness.board.audits import write_report
    from relbench_harness.board.store import ready

    if request.results_dir is None or not str(request.results_dir).strip():
        raise InputError("results_dir is empty; name a folder, such as results/mine")
    folder = Path(request.results_dir)
    request.budget.check()
    ready(folder)
    report = audited(request)
    return report, write_report(report, folder)


def audited(request: RunRequest) -> AuditReport:
    """The report on the method of a run that has no guard.

    Raises:
        InputError: The request cannot be fulfilled, or the method does not do the task.
    """
    from relbench_harness.board.lines import targets_of
    from relbench_harness.board.method_files import method_files
    from relbench_harness.data.dataset import open_task
    from relbench_harness.protocol.audit.audit import Audit
    from relbench_harness.protocol.audit.subject import Subject
    from relbench_harness.protocol.audit.trial import Learner
    from relbench_harness.protocol.method import REGIMES
    from relbench_harness.protocol.stages import Stages
    from relbench_harness.request import choice, written_for
    from relbench_harness.sweep.identity import code_digest

    dataset, task = open_task(request.task)
    stages = Stages(dataset, task, choice(request.regime, REGIMES, "regime"))
    queries = {
        f"the query {path.parent.name}/{path.name}": path.read_text(encoding="utf-8")
        for path in written_for(request.method, task.id)
        if path.suffix == ".sql"
    }
    subject = Subject(stages, Learner(request.method, request.budget), queries)
    return Audit(subject, request.name, request.config, code_digest(method_files(targets_of(request.config)))).execute()


def printed(report: AuditReport) -> Table:
    """The report as a table for the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    used = ", ".join(f"{count:,} {what}" for what, count in report.examples.items())
    title = f"{report.method} on {report.task}, {report.regime}, seed {report.budget['seed']} ({used} examples)"
    table = Table(title=Text(title, style="bold"), title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    for heading in ("check", "", "evidence"):
        table.add_column(heading, overflow="fold")
    styles = {"passed": "green", "failed": "bold red", "not applicable": "dim"}
    for finding in report.findings:
        table.add_row(Text(finding.check), Text(finding.verdict, style=styles[finding.verdict]), Text(finding.evidence))
    return table
