"""The tasks that lines are about, opened once each: known and here, known to be none, or not here.

Invariant: a dataset that cannot be opened on this machine is no fault of a line; a task that its dataset does not have is one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from relbench_harness.data.dataset import open_task
from relbench_harness.data.names import dataset_folder, parse_address, split_address, task_manifest
from relbench_harness.errors import InputError, sentence
from relbench_harness.protocol.stages import Stages


@dataclass(frozen=True)
class Opened:
    """A task as it was found.

    Attributes:
        stages: Its labels and data; None where they are not here.
        fault: Why there is no such task.
        absent: Why its dataset is not here.
    """

    stages: Stages | None = None
    fault: str = ""
    absent: str = ""

    def manifests(self) -> list[Path]:
        """The files that describe dataset and task."""
        if self.stages is None:
            return []
        dataset, task = self.stages.dataset, self.stages.task
        return [dataset.folder / "manifest.yaml", *([task.folder / "manifest.yaml"] if task.folder else [])]


@dataclass(frozen=True)
class KnownTasks:
    _opened: dict[str, Opened] = field(default_factory=dict)

    def of(self, task: str) -> Opened:
        """What is here of the task with the id `task`."""
        if task not in self._opened:
            self._opened[task] = _open(task)
        return self._opened[task]


def _open(task: str) -> Opened:
    address, name = split_address(task)
    try:
        folder = dataset_folder(parse_address(address)[0])
    except InputError as error:
        return Opened(absent=str(error))
    if folder is not None:
        try:
            task_manifest(folder, name, address)
        except InputError as error:
            return Opened(fault=str(error))
    try:
        # labels do not depend on the regime
        stages = Stages(*open_task(task), "rolling")
        _ = stages.dataset.database
        for split in ("val", "test"):
            stages.labels(split)
    except Exception as error:
        reason = sentence(error)
        if reason is None:
            raise
        return Opened(absent=reason)
    return Opened(stages)
