"""The whole audit: every check on one method, one after the other, and the report that comes of it.

Invariant: a method that raises in a check has failed that check. What is wrong with the data or the request, and a task that the
method refuses, is an `InputError` before any check; a query that looks ahead is none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from relbench_harness.ending import end_if_signalled
from relbench_harness.errors import InputError, LookAheadError
from relbench_harness.progress import work
from relbench_harness.protocol.audit.canary import Canary
from relbench_harness.protocol.audit.clock import Clock
from relbench_harness.protocol.audit.determinism import Determinism
from relbench_harness.protocol.audit.invariance import Invariance
from relbench_harness.protocol.audit.perturbation import FuturePerturbation
from relbench_harness.protocol.audit.report import AuditReport, Finding
from relbench_harness.protocol.audit.seal import LabelSeal
from relbench_harness.protocol.audit.subject import Check, Subject

log = logging.getLogger(__name__)
CHECKS: tuple[Check, ...] = (FuturePerturbation(), Canary(), LabelSeal(), Invariance(), Determinism(), Clock())


@dataclass(frozen=True)
class Audit:
    """A subject, and how it stands in the report.

    Attributes:
        name: What the method is called on the board.
        config: Its hyperparameters, as they stand in results.
        code: A digest of its files.
    """

    subject: Subject
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    checks: Sequence[Check] = CHECKS

    def execute(self) -> AuditReport:
        """Raises `InputError` for faults of the data and for a task that the method does not do."""
        begin, started = time.perf_counter(), _now()
        _ = self.subject.scene
        with suppress(LookAheadError):
            self._prepare()
        findings: list[Finding] = []
        with work("checks", len(self.checks)) as progress:
            for check in self.checks:
                progress.at(len(findings), check.name)
                findings.append(found(check, self.subject))
                end_if_signalled()
        return replace(self._report(findings), started=started, seconds=round(time.perf_counter() - begin, 2))

    def refused(self, reason: str) -> AuditReport:
        """The report on a method that does not do the task."""
        return self._report([Finding("task", "not applicable", reason)])

    def _report(self, findings: Sequence[Finding]) -> AuditReport:
        subject = self.subject
        stages, scene = subject.stages, subject.scene
        return AuditReport(
            task=stages.task.id,
            method=self.name,
            regime=stages.regime,
            fit_on=subject.learner.fit_on,
            config=dict(self.config),
            budget=asdict(subject.learner.budget),
            dataset_fingerprint=stages.dataset.database.fingerprint,
            code=self.code,
            examples={"training": len(scene.train), "validation": len(scene.valid), "answered": len(scene.answered)},
            findings=tuple(findings),
            started=_now(),
            seconds=0.0,
        )

    def _prepare(self) -> None:
        """Fits the method once; what it refuses it refuses here, and any other failure is left to the checks."""
        try:
            _ = self.subject.answers
        except InputError:
            raise
        except Exception as failure:
            end_if_signalled()
            log.info("the method failed: %s", failure)


def found(check: Check, subject: Subject) -> Finding:
    """What `check` finds; a method that raises has failed it."""
    try:
        return check.find(subject)
    except Exception as failure:
        log.warning("%s: the method failed", check.name, exc_info=failure)
        reason = f"{type(failure).__name__}: {' '.join(str(failure).split())}"
        verb = "refuses what it is given" if isinstance(failure, InputError) else "fails"
        return Finding(check.name, "failed", f"The method {verb} ({reason}).")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
