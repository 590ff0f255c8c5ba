"""`relbench-harness validate`: what continuous integration checks of result lines that somebody adds.

Invariant: a fault is one sentence that names its file; what cannot be checked here is a note and never passes in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from relbench_harness.board import audits, predictions, store
from relbench_harness.contributions.identities import IdentityCheck
from relbench_harness.contributions.known_tasks import KnownTasks
from relbench_harness.contributions.line_checks import TASK, line_faults
from relbench_harness.contributions.repetitions import repetitions
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.progress import work
from relbench_harness.protocol.audit.report import AuditReport
from relbench_harness.protocol.result import Result

Line = tuple[Path, Result]


@dataclass
class Validation:
    """What was found.

    Attributes:
        faults: A sentence each.
        remarks: What is worth a sentence of its own and no fault, such as a superseded row.
        notes: What could not be checked, or is missing → the files of which that is true.
        lines, rescored, identified: How many lines there are, scores of how many were made again, and how many identities.
    """

    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    notes: dict[str, list[Path]] = field(default_factory=dict)
    lines: int = 0
    rescored: int = 0
    identified: int = 0

    @property
    def code(self) -> int:
        """The exit code."""
        return 1 if self.faults else 0

    def fault(self, path: Path, sentence: str) -> None:
        self.faults.append(sentence if sentence.startswith(str(path)) else f"{path}: {sentence}")

    def note(self, path: Path, sentence: str) -> None:
        self.notes.setdefault(sentence, []).append(path)

    def said(self) -> Iterator[str]:
        """The lines that the shell prints, the summary last; file names come out as text, whatever they hold."""
        yield from (printable(f"fault: {one}") for one in self.faults)
        yield from (printable(f"note: {one}") for one in self.remarks)
        for sentence, paths in self.notes.items():
            many = f"{len(paths)} lines, the first {paths[0]}" if len(paths) > 1 else f"{paths[0]}"
            yield printable(f"note: {many}: {sentence}")
        counts = f"{self.rescored} scored again, {self.identified} identities computed again"
        verdict = "no fault" if not self.faults else "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        yield f"{self.lines} result line{'' if self.lines == 1 else 's'}: {counts}; {verdict}"


def printable(text: str) -> str:
    """`text` on one line, characters that are not for print escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def validate(paths: Sequence[Path]) -> Validation:
    """Every check of every result line in or below `paths`.

    Raises:
        InputError: One of `paths` is not there, or none holds a result line.
    """
    found, lines = Validation(), list[Line]()
    for path in paths:
        lines += _read(path, found)
    if not lines and not found.faults:
        raise InputError(f"no result lines in {', '.join(map(str, paths))}")
    found.lines = len(lines)
    superseded = _repetitions(lines, found)
    reports = _Reports.read(paths, found)
    tasks, identities = KnownTasks(), IdentityCheck()
    with work("result lines", len(lines)) as bar:
        for path, result in lines:
            broken = line_faults(path, result)
            for sentence in broken:
                found.fault(path, sentence)
            if TASK.fullmatch(result.task) and result.task_type in tuple(TaskType):
                _against_data(path, result, found, tasks, identities, path in superseded)
            if result.ok:
                reports.judge(path, result, found)
            bar.advance()
    return found


def _read(root: Path, found: Validation) -> list[Line]:
    """The lines in or below `root`; what cannot be read and what no line names is a fault."""
    if not root.exists():
        raise InputError(f"no file or folder {root}")

    def broken(error: InputError) -> None:
        found.faults.append(str(error))

    lines = list(store.located_results(root, broken))
    named = {path.with_suffix(".parquet") for path, _ in lines}
    for path in sorted(root.rglob("*.parquet")) if root.is_dir() else ():
        if path not in named and store.OWN.fullmatch(path.with_suffix(".json").name):
            found.fault(path, "no result line belongs to these predictions")
    for path, _ in lines:
        if root.is_dir() and not path.resolve().is_relative_to(root.resolve()):
            found.fault(path, f"this lies outside of {root}")
    return lines


def _repetitions(lines: Iterable[Line], found: Validation) -> set[Path]:
    superseded = set()
    for path, by, duplicate in repetitions(lines):
        if duplicate:
            found.fault(path, f"this is the same run as {by}")
        else:
            found.remarks.append(f"{path}: superseded by {by}")
            superseded.add(path)
    return superseded


def _against_data(
    path: Path, result: Result, found: Validation, tasks: KnownTasks, identities: IdentityCheck, superseded: bool
) -> None:
    """Scores and identity, as far as the dataset is here."""
    opened = tasks.of(result.task)
    if opened.fault:
        found.fault(path, opened.fault)
    if opened.absent:
        found.note(path, f"dataset of {result.task} is not here, so nothing is made again: {opened.absent}")
    if opened.stages is None:
        return
    ours = opened.stages.dataset.database.fingerprint
    if superseded and result.dataset_fingerprint != ours:
        found.note(path, "a superseded line, made on other data than those here, so nothing is made again")
        return
    file = path.with_name(result.predictions) if result.predictions else None
    if result.ok and file is not None and file.is_file() and not file.is_symlink():
        sentences = predictions.faults(result, file, opened.stages)
        for sentence in sentences:
            found.fault(file, sentence)
        found.rescored += not sentences
    verdict = identities.of(result, opened.manifests())
    found.identified += verdict.equal is True
    if verdict.equal is False:
        found.fault(path, verdict.reason)
    elif verdict.reason:
        found.note(path, verdict.reason)


@dataclass(frozen=True)
class _Reports:
    """Audit reports beside the lines, by what they are about."""

    known: audits.Audits

    @classmethod
    def read(cls, paths: Iterable[Path], found: Validation) -> _Reports:
        reports = list[AuditReport]()
        # a line lies in <board>/<dataset>__<task>/<method>/
        for board in dict.fromkeys(path if path.is_dir() else path.absolute().parent.parent.parent for path in paths):
            reports += audits.read_reports(board, lambda error: found.faults.append(str(error)))
        return cls(audits.audits_of(reports))

    def judge(self, path: Path, result: Result, found: Validation) -> None:
        verdict = audits.audited([result], self.known)
        if verdict == "failed":
            found.fault(path, f"the audit of {result.method} on {result.task} failed")
        elif verdict == "no":
            found.note(path, "the audit is missing")
