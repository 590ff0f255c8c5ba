"""The page of a folder of audits: `README.md`, made from the reports alone, so that a test can make it again.

Invariant: what a method refuses, and what no audit was made of, never reads as passed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from relbench_harness.board import render
from relbench_harness.board.audits import FOLDER, reports_at
from relbench_harness.data.names import split_address
from relbench_harness.data.writing import write_whole
from relbench_harness.errors import InputError
from relbench_harness.protocol.audit.report import AuditReport

NONE = "–"
"""A cell without an audit."""
VERDICTS = ("passed", "failed", "not run")
Column = tuple[str, str]
"""A dataset and a regime."""


def write_audit_page(folder: Path) -> Path | None:
    """Writes the page of the audits in a folder of results beside them; None where there are none.

    Raises:
        InputError: A report cannot be read.
    """

    def refuse(error: InputError) -> None:
        raise error

    reports = reports_at(sorted((folder / FOLDER).glob("*/*/*.json")), refuse)
    if not reports:
        return None
    path = folder / FOLDER / "README.md"
    write_whole(path, audit_page(reports))
    return path


def audit_page(reports: Sequence[AuditReport]) -> str:
    """The text of the page."""
    lines = ["# Audits", ""]
    lines += [
        "Does a method look at rows of the future, or at labels? [audit.md](../../docs/audit.md) explains the checks. This page is made from the"
    ]
    lines += ["reports of this folder by `relbench-harness audit -m`; a test makes it again.", ""]
    lines += ["## How it was made", "", *render.table_lines(("what", "detail"), _facts(reports)), ""]
    lines += ["## Methods and datasets", "", *_matrix(reports), ""]
    lines += [f"{NONE}: no audit. A number says of how many tasks.", ""]
    lines += ["## Tasks", "", *render.table_lines(("dataset", "task", "regime", "version"), _tasks(reports)), ""]
    lines += ["## Checks", "", *render.table_lines(("check", "passed", "failed", "not applicable"), _checks(reports)), ""]
    for verdict, title in (("failed", "Failed"), ("not run", "Not run")):
        lines += [f"## {title}", "", *(_reasons(reports, verdict) or ["None."]), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _facts(reports: Sequence[AuditReport]) -> Iterator[tuple[str, str]]:
    days = sorted({report.started[:10] for report in reports})
    counts: Counter[str] = Counter(report.verdict for report in reports)
    yield "published audits", "relbench-harness audit --short -m study=audit"
    yield "date", days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    yield "audits", ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
    yield "methods", str(len({report.method for report in reports}))
    yield "seeds", _joined(report.budget["seed"] for report in reports)
    yield "threads", _joined(report.budget["threads"] for report in reports)
    yield (
        "examples at most",
        ", ".join(f"{max(r.examples.get(what, 0) for r in reports):,} {what}" for what in reports[0].examples),
    )
    yield "wall minutes", f"{sum(report.seconds for report in reports) / 60:.0f}"


def _matrix(reports: Sequence[AuditReport]) -> Iterator[str]:
    columns = sorted({_column(report) for report in reports})
    cells: dict[tuple[str, Column], list[str]] = {}
    for report in reports:
        cells.setdefault((report.method, _column(report)), []).append(report.verdict)
    headings = ("method", *(f"{dataset}, {regime}" for dataset, regime in columns))
    methods = sorted({report.method for report in reports})
    yield from render.table_lines(headings, ((m, *(_cell(cells.get((m, c), [])) for c in columns)) for m in methods))


def _cell(verdicts: Sequence[str]) -> str:
    counts = Counter(verdicts)
    if len(verdicts) <= 1:
        return verdicts[0] if verdicts else NONE
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])


def _column(report: AuditReport) -> Column:
    return split_address(report.task)[0], report.regime


def _tasks(reports: Sequence[AuditReport]) -> list[tuple[str, str, str, str]]:
    found: dict[tuple[str, str, str], set[str]] = {}
    for report in reports:
        dataset, task = split_address(report.task)
        found.setdefault((dataset, task, report.dataset_fingerprint[:8]), set()).add(report.regime)
    return [
        (dataset, task, ", ".join(sorted(regimes)), version) for (dataset, task, version), regimes in sorted(found.items())
    ]


def _checks(reports: Sequence[AuditReport]) -> Iterator[tuple[str, ...]]:
    findings = [finding for report in reports if report.verdict != "not run" for finding in report.findings]
    counts = Counter((finding.check, finding.verdict) for finding in findings)
    for check in dict.fromkeys(finding.check for finding in findings):
        yield check, *(str(counts[check, verdict]) for verdict in ("passed", "failed", "not applicable"))


def _reasons(reports: Sequence[AuditReport], verdict: str) -> list[str]:
    """Why each report that came to `verdict` did, one line for each method and reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for report in reports:
        if report.verdict == verdict:
            findings = report.failed or report.findings
            reason = " ".join(f"{finding.check}: {finding.evidence}" for finding in findings)
            found.setdefault((report.method, reason), []).append(f"{report.task}, {report.regime}")
    return [
        f"- {render.escaped(method)} on {render.escaped('; '.join(places))}. {render.escaped(reason)}"
        for (method, reason), places in found.items()
    ]


def _joined(values: Iterator[object]) -> str:
    return ", ".join(sorted({str(value) for value in values}))
