"""What a task's manifests say of it, where they are at hand; nothing is fetched for a site.

Invariant: what is not there is a sentence on the page, never a failure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from relbench_harness.board.predictions import SplitLabels, labels_here
from relbench_harness.data.dataset import Dataset, open_task
from relbench_harness.data.names import dataset_folder, parse_address, split_address
from relbench_harness.data.provenance import provenance
from relbench_harness.data.task import Task
from relbench_harness.errors import sentence


@dataclass(frozen=True)
class Facts:
    """What is known of a task here.

    Attributes:
        missing: Why its manifests are not at hand; empty where they are.
        source, licence: Of the data, empty where the manifest does not name them.
    """

    address: str
    missing: str = ""
    source: str = ""
    licence: str = ""
    description: str = ""
    opened: tuple[Dataset, Task] | None = field(default=None, compare=False)
    _labels: dict[str, SplitLabels | str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def task(self) -> Task | None:
        return None if self.opened is None else self.opened[1]

    def labels(self, data: str) -> SplitLabels | str:
        """The test labels of version `data` of the dataset, or why they are not at hand."""
        if self.opened is None:
            return self.missing
        if data not in self._labels:
            self._labels[data] = labels_here(self.address, data)
        return self._labels[data]


def facts_of(address: str) -> Facts:
    """What is known here of the task at `address`."""
    try:
        name = parse_address(split_address(address)[0])[0]
        if dataset_folder(name) is None:
            return Facts(address, f"the dataset {name} is not on this machine, and nothing is fetched for a site")
        dataset, task = open_task(address)
        described = task.description or str(dataset.manifest.description or "")
    except Exception as error:
        why = sentence(error)
        if why is None:
            raise
        return Facts(address, why)
    named = provenance(split_address(address)[0])
    return Facts(address, "", named.source, named.licence, described, (dataset, task))
