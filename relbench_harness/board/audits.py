"""Audit reports on disk, beside the results that they are about, and which results are audited.

Layout: `<folder>/audit/<dataset>__<task>/<method>/<regime>.json`, with `-train+val` after the regime where the method learned from
both. Of a method on a task in a regime the last report stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from relbench_harness.board.store import Report, folder_name, read_each
from relbench_harness.data.backtest import PARAMETER
from relbench_harness.data.names import split_address
from relbench_harness.data.writing import write_whole
from relbench_harness.protocol.audit.lengths import without_lengths
from relbench_harness.protocol.audit.report import AuditReport
from relbench_harness.protocol.result import Result

FOLDER = "audit"
AROUND = ("guard", "objective", "answers")
"""Keys of a result's configuration that describe what stands around the method; an audit is of the method alone."""


def report_path(report: AuditReport, folder: Path) -> Path:
    """Where below `folder` a report lies."""
    home = folder / FOLDER / folder_name(report.task.replace("/", "__")) / folder_name(report.method)
    return home / f"{report.regime}{'' if report.fit_on == 'train' else f'-{report.fit_on}'}.json"


def write_report(report: AuditReport, folder: Path) -> Path:
    """Writes the report below `folder`, in place of an earlier one."""
    path = report_path(report, folder)
    write_whole(path, report.to_json() + "\n")
    return path


def read_reports(folder: Path, broken: Report) -> list[AuditReport]:
    """Every report below `folder`, after those in the folder `audit` beside it; one that cannot be read goes to `broken`."""
    beside = folder.resolve().parent / FOLDER
    paths = sorted(beside.glob("*/*/*.json")) if folder.is_dir() else []
    paths += sorted(path for path in folder.rglob(f"{FOLDER}/*/*/*.json") if path.resolve() not in set(paths))
    return reports_at(paths, broken)


def reports_at(paths: Iterable[Path], broken: Report) -> list[AuditReport]:
    """The reports in the files `paths`; one that cannot be read goes to `broken`."""
    return read_each(paths, AuditReport.from_json, broken)


Audits = Mapping[str, bool]
"""What an audit is of → whether it passed."""


def audits_of(reports: Iterable[AuditReport]) -> Audits:
    """The last report on each method, configuration, task and version of the data; those on tasks that a method refuses left out."""
    made = (report for report in reports if report.verdict != "not run")
    return {_identity((*_about(r), r.regime, r.method, r.fit_on), r.config): r.passed for r in made}


def audited(results: Iterable[Result], audits: Audits) -> str:
    """`yes` if every result has a report without fault, `failed` if one has a report with faults, else `no`.

    A report is about a result if task, regime, method, `fit_on`, version of the data and configuration are equal; how long the
    method learns does not count, nor does it which build parameters the name of the dataset spells out: they shape the version
    of the data. The configurations of `results` are equal.
    """
    if not audits:
        return "no"
    distinct = {(*_about(r), r.regime, r.method, r.fitted_on): r.config for r in results}
    found = {audits.get(_identity(key, config)) for key, config in distinct.items()}
    return "failed" if False in found else "yes" if found == {True} else "no"


def _about(one: AuditReport | Result) -> tuple[str, str]:
    """The task and the version of its data."""
    if not one.dataset_fingerprint:
        return one.task, ""
    dataset, task = split_address(one.task)
    name, _, parameters = dataset.partition("@")
    moved = [part for part in parameters.split(",") if part.partition("=")[0] == PARAMETER]
    return f"{'@'.join([name, *moved])}/{task}", one.dataset_fingerprint


def _identity(about: tuple[str, ...], config: Mapping[str, Any]) -> str:
    alone = without_lengths({key: value for key, value in config.items() if key not in AROUND})
    return json.dumps([*about, alone], sort_keys=True, default=str)
