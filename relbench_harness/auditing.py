"""`relbench-harness audit`: composes methods as `run` does, audits them, prints the findings and stores the reports.

The method is audited without the guard that a run puts around it, for the guard may answer in its place. Invariant: a report that is
there already, of the same method's code, configuration, budget and version of the data, is not made again by a sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from relbench_harness.composed_alone import composed_alone
from relbench_harness.errors import InputError
from relbench_harness.presets import check_choices

if TYPE_CHECKING:
    from rich.table import Table

    from relbench_harness.protocol.audit.audit import Audit
    from relbench_harness.protocol.audit.report import AuditReport
    from relbench_harness.protocol.stages import Stages
    from relbench_harness.request import RunRequest
    from relbench_harness.sweep.identity import Identities

Say = Callable[[str], None]


@dataclass(frozen=True)
class Opened:
    """The tasks that are audited; the last is kept open, since the next audit is as a rule of the same.

    Attributes:
        short: Whether methods learn for a moment, from few examples.
    """

    short: bool = False
    _last: dict[tuple[str, str], Stages] = field(default_factory=dict)

    @cached_property
    def _identities(self) -> Identities:
        from relbench_harness.sweep.identity import Identities

        return Identities()

    def stages(self, address: str, regime: str) -> Stages:
        """Raises `InputError` where there is no such task or regime."""
        from relbench_harness.data.dataset import open_task
        from relbench_harness.protocol.method import REGIMES
        from relbench_harness.protocol.stages import Stages
        from relbench_harness.request import choice

        chosen = choice(regime, REGIMES, "regime")
        if not any(known == address for known, _ in self._last):
            self._last.clear()
            opened = open_task(address)
            self._last.update({(address, one): Stages(*opened, choice(one, REGIMES, "regime")) for one in REGIMES})
        return self._last[address, chosen]

    def audit(self, request: RunRequest) -> Audit:
        """The audit of a run that has no guard; nothing is fitted yet.

        Raises:
            InputError: The request cannot be fulfilled, or the method has no query for the task.
        """
        from relbench_harness.request import written_for

        bare = self.without_queries(request)
        written = list(written_for(request.method, bare.subject.stages.task.id))
        queries = {
            f"the query {path.parent.name}/{path.name}": path.read_text(encoding="utf-8")
            for path in written
            if path.suffix == ".sql"
        }
        return replace(bare, subject=replace(bare.subject, queries=queries), code=self._code(request, written))

    def without_queries(self, request: RunRequest) -> Audit:
        """The audit without what was written for the task alone, which may be missing.

        Raises:
            InputError: There is no such task, or a key has no such value.
        """
        from relbench_harness.protocol.audit.audit import Audit
        from relbench_harness.protocol.audit.lengths import SHORT, short_config, shortened
        from relbench_harness.protocol.audit.scenes import Sizes
        from relbench_harness.protocol.audit.subject import Subject
        from relbench_harness.protocol.audit.trial import Learner
        from relbench_harness.protocol.work import FIT_ON
        from relbench_harness.request import choice

        stages = self.stages(request.task, request.regime)
        method, config, sizes = request.method, dict(request.config), Sizes()
        if self.short:
            method, config, sizes = shortened(method), short_config(config), SHORT
        learner = Learner(method, request.budget, choice(request.fit_on, FIT_ON, "fit_on"))
        subject = Subject(stages, learner, sizes=sizes)
        return Audit(subject, request.name, config, self._code(request, ()))

    def _code(self, request: RunRequest, written: Sequence[Path]) -> str:
        """The digest of the method's files that is part of a run's identity."""
        from relbench_harness.sweep.identity import code_digest

        return code_digest(self._identities.files(replace(request.described(), written_for=lambda _: written)))


def audit_overrides(overrides: Sequence[str], short: bool = False) -> tuple[AuditReport, Path]:
    """The report on what `overrides` compose, as `run` takes them, and the file in which it is stored.

    Args:
        short: Whether the method learns for a moment, from few examples; see `protocol.audit.lengths`.

    Raises:
        InputError: The request cannot be fulfilled, or the method does not do the task.
    """
    request = composed_alone(overrides, "audit").unguarded()
    from relbench_harness.board.audits import write_report

    folder = _folder(request)
    report = Opened(short).audit(request).execute()
    return report, write_report(report, folder)


def audit_all(overrides: Sequence[str], short: bool, show: Say, say: Say) -> int:
    """Audits every combination of the comma lists that has no report yet, one line for each.

    Returns:
        The exit code: 0 if no report says that a method failed, 1 if one does, 2 where a combination cannot be.

    Raises:
        InputError: Nothing can be composed, or the folder of results cannot be written to.
    """
    check_choices(overrides)
    from relbench_harness.board.audit_page import write_audit_page
    from relbench_harness.compose import composed
    from relbench_harness.progress import work

    opened, code, folders = Opened(short), 0, set[Path]()
    combinations = list(composed(overrides))
    with work("audits", len(combinations)) as progress:
        for number, one in enumerate(combinations):
            progress.at(number)
            try:
                if isinstance(one, InputError):
                    raise one
                request = one.unguarded()
                folders.add(_folder(request))
                code = max(code, _audit_one(opened, request, show))
            except InputError as error:
                code = 2
                say(str(error))
    for folder in sorted(folders):
        write_audit_page(folder)
    return code


def _audit_one(opened: Opened, request: RunRequest, show: Say) -> int:
    """Makes one report of a sweep, if it is not there; 1 if it says that the method failed."""
    from relbench_harness.board.audits import write_report

    stages = opened.stages(request.task, request.regime)
    line = f"{stages.task.id}  {request.regime}  {request.name}"
    if request.regime == "rolling" and _is_frozen(stages, opened.stages(request.task, "frozen")):
        show(f"{line}  left out: on this task the regimes are the same")
        return 0
    bare, folder = opened.without_queries(request), _folder(request)
    # what is wrong with the data shows before the method is fitted
    _ = bare.subject.scene
    try:
        audit = opened.audit(request)
        there = _there(audit, folder)
        report = there or audit.execute()
    except InputError as refusal:
        there = _there(bare, folder)
        report = there or bare.refused(_without_home(refusal))
    if there is None:
        write_report(report, folder)
    how = "there already" if there is not None else f"{report.seconds:.0f} s"
    reasons = [f"{finding.check}: {finding.evidence}" for finding in report.failed]
    show("; ".join([f"{line}  {report.verdict}, {how}", *reasons]))
    return int(report.verdict == "failed")


def _without_home(refusal: InputError) -> str:
    """What a method says of why it refuses a task, in which no folder of this machine is named."""
    from relbench_harness.home import home

    return " ".join(str(refusal).split()).replace(f"{home('configs').parent}/", "")


def _there(audit: Audit, folder: Path) -> AuditReport | None:
    """The report that lies in `folder`, if it is what the audit would be of."""
    from relbench_harness.board.audits import report_path
    from relbench_harness.protocol.audit.report import AuditReport

    wanted = audit.refused("")
    path = report_path(wanted, folder)
    try:
        found = AuditReport.from_json(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError, InputError):
        return None
    stated = AuditReport.from_json(wanted.to_json())
    same = replace(stated, findings=found.findings, started=found.started, seconds=found.seconds)
    return found if asdict(same) == asdict(found) else None


def _is_frozen(rolling: Stages, frozen: Stages) -> bool:
    """Whether examples see the same rows in both regimes, as where a split has one time."""
    import numpy as np

    if not np.array_equal(rolling.examples("val").cutoff, frozen.examples("val").cutoff):
        return False
    return np.array_equal(rolling.holdout("test").examples.cutoff, frozen.holdout("test").examples.cutoff)


def _folder(request: RunRequest) -> Path:
    """Where the report is to lie. Raises `InputError` where nothing can be written there."""
    from relbench_harness.board.store import ready

    if request.results_dir is None or not str(request.results_dir).strip():
        raise InputError("results_dir is empty; name a folder, such as results/mine")
    request.budget.check()
    folder = Path(request.results_dir)
    ready(folder)
    return folder


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
