"""`relbench-harness lines`: how the lines of a method on a task come about, file by file.

Invariant: the totals are those that a run of the method on the task stores in its result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath

from relbench_harness.board.lines import Count, by_file, count_harness_files, targets_of, written_files
from relbench_harness.board.method_files import method_files
from relbench_harness.compose import make_method
from relbench_harness.data.names import dataset_folder, parse_address, split_address, task_manifest
from relbench_harness.request import written_for

PARTS = {
    "task": "written again for each task: feature SQL and hyperparameters set for the task alone",
    "method": "written once for all tasks: the files of the method's classes and those that they import from baselines/",
    "harness": "the shared package, equal for all methods and not ranked",
}
NOT_COUNTED = (
    "Not counted: blank lines, comments and docstrings, which no program needs; configs/method/*.yaml, which only name classes "
    "and defaults; manifests and label SQL of the task, which are equal for all methods; packages such as torch or xgboost, "
    "which nobody writes again; tests and documentation."
)
UNITS = (
    "lines: logical lines (statements in Python, lines that hold more than comments in SQL and YAML). tokens: words and signs, "
    "without brackets and commas. gzip: bytes of each file compressed, without comments and layout."
)


@dataclass(frozen=True)
class LinesReport:
    """The counts behind a method on a task, one for each file.

    Attributes:
        parts: Part → its files.
    """

    method: str
    task: str
    parts: dict[str, list[Count]]

    def total(self, part: str) -> Count:
        return sum(self.parts[part], Count())

    def lines(self, every_file: bool = False) -> Iterator[str]:
        """What the shell prints.

        Args:
            every_file: The harness file by file, too, and not only by its folders.
        """
        yield f"{self.method} on {self.task}"
        for part, meaning in PARTS.items():
            yield ""
            yield f"{part}: {meaning}"
            counts = self.parts[part] if every_file or part != "harness" else by_folder(self.parts[part])
            yield f"{'lines':>8}{'tokens':>9}{'gzip':>9}  file"
            yield from (_row(count, count.files[0]) for count in counts)
            yield _row(self.total(part), f"total, files: {len(self.parts[part])}")
        yield ""
        yield UNITS
        yield NOT_COUNTED


def lines_report(method: str, task: str) -> LinesReport:
    """The counts behind the method of config `method` on the task at the address `task`.

    Raises:
        InputError: There is no such method or task, or the method needs a file for the task that is missing.
    """
    dataset, name = split_address(task)
    folder = dataset_folder(parse_address(dataset)[0])
    if folder is not None:
        task_manifest(folder, name, dataset)
    made, config = make_method(method)
    parts = {
        "task": by_file(written_files(config, written_for(made, task))),
        "method": by_file(method_files(targets_of(config))),
        "harness": list(count_harness_files()),
    }
    return LinesReport(method, task, parts)


def by_folder(counts: Sequence[Count]) -> list[Count]:
    """One count for each folder, named by it and how many files it holds."""

    def folder(count: Count) -> str:
        return str(PurePosixPath(count.files[0]).parent)

    found = []
    for name, several in groupby(sorted(counts, key=folder), folder):
        files = list(several)
        whole = sum(files, Count())
        found.append(Count((f"{name}/ (files: {len(files)})",), whole.lines, whole.tokens, whole.gzip))
    return found


def _row(count: Count, name: str) -> str:
    return f"{count.lines:>8,}{count.tokens:>9,}{count.gzip:>9,}  {name}"
