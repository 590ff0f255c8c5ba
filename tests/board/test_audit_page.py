"""The page of audits is what the reports give, and nothing on it reads as passed that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from relbench_harness.board.audit_page import audit_page, write_audit_page
from relbench_harness.board.audits import FOLDER, reports_at, write_report
from relbench_harness.errors import InputError
from relbench_harness.presets import method_names
from relbench_harness.protocol.audit.report import AuditReport, Finding

ROOT = Path(__file__).parents[2] / "results"
PASSED = Finding("clock", "passed", "No clock.")
FAILED = Finding("canary", "failed", "A column | helps.")
REFUSED = Finding("task", "not applicable", "It has no query.")


def report(method: str, task: str, regime: str, *findings: Finding) -> AuditReport:
    return AuditReport(
        task=task,
        method=method,
        regime=regime,
        config={},
        budget={"seed": 0, "threads": 1},
        dataset_fingerprint="abcdef0123",
        code="c",
        examples={"training": 400, "validation": 20, "answered": 30},
        findings=findings,
        started="2026-01-02T03:04:05+00:00",
        seconds=60.0,
    )


REPORTS = [
    report("gnn", "house/churn", "frozen", PASSED),
    report("gnn", "house/churn", "rolling", PASSED),
    report("gnn", "house/rent", "frozen", PASSED, FAILED),
    report("sql", "house/churn", "frozen", REFUSED),
]


def rows(page: str) -> dict[str, list[str]]:
    """First cell → the other cells of each line of a table."""
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in page.splitlines() if line.startswith("| ")]
    return {first: others for first, *others in cells}


def test_cells_count_verdicts(tmp_path: Path) -> None:
    found = rows(audit_page(REPORTS))
    assert found["method"] == ["house, frozen", "house, rolling"]
    assert found["gnn"] == ["1 passed, 1 failed", "passed"]
    assert found["sql"] == ["not run", "–"]
    assert found["audits"] == ["2 passed, 1 failed, 1 not run"]
    assert found["clock"] == ["3", "0", "0"] and found["canary"] == ["0", "1", "0"] and "task" not in found


def test_reasons_are_named() -> None:
    failed, refused = audit_page(REPORTS).split("## Failed")[1].split("## Not run")
    assert failed.strip() == r"- gnn on house/rent, frozen. canary: A column \| helps."
    assert refused.strip() == "- sql on house/churn, frozen. task: It has no query."


def test_the_page_is_written_beside_the_reports(tmp_path: Path) -> None:
    assert write_audit_page(tmp_path) is None
    for one in REPORTS:
        write_report(one, tmp_path)
    path = write_audit_page(tmp_path)
    assert path is not None and path.read_text(encoding="utf-8") == audit_page(
        reports_at(sorted(path.parent.glob("*/*/*.json")), refuse)
    )
    (path.parent / "house__churn" / "gnn" / "frozen.json").write_text("{")
    with pytest.raises(InputError, match="no audit report"):
        write_audit_page(tmp_path)


def refuse(error: InputError) -> None:
    raise error


def test_the_published_page_is_what_its_reports_give() -> None:
    reports = reports_at(sorted((ROOT / FOLDER).glob("*/*/*.json")), refuse)
    assert (ROOT / FOLDER / "README.md").read_text(encoding="utf-8") == audit_page(reports), (
        "make it again: relbench-harness audit --short -m study=audit"
    )
    assert not [one for one in reports if one.verdict == "failed"]
    assert {one.method for one in reports} <= set(method_names())
