"""What makes a run the run that it is, as one hash: the same run has the same identity in every process and on every machine.

Invariant: the identity is made of everything that the harness can know to change a score, and of nothing else. The order of
keys, the address by which a dataset is found, the machine and the time are no part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from relbench_harness.board.lines import named_files, targets_of
from relbench_harness.board.method_files import method_files
from relbench_harness.data.cache import stored_fingerprint
from relbench_harness.data.dataset import Dataset, open_dataset
from relbench_harness.data.labels import SPLITS
from relbench_harness.data.names import split_address
from relbench_harness.data.task import Task
from relbench_harness.progress import work
from relbench_harness.protocol.budget import Budget
from relbench_harness.protocol.metrics import METRICS_VERSION

DIGITS = 32
"""Hexadecimal digits of an identity."""


@dataclass(frozen=True)
class Ingredients:
    """What an identity is the hash of.

    Attributes:
        data: The dataset's fingerprint, its declared semantic types, its cut points and how often they are moved back.
        task: The task's definition, the digests of its hosted labels among it.
        method: What the method is called on the board.
        config: Its complete configuration, the guard included.
        code: A digest of the files that the method is made of.
        budget: What the run may use, its seed as well.
        metrics: The version of the metrics.
    """

    data: Mapping[str, Any]
    task: Mapping[str, Any]
    method: str
    config: Mapping[str, Any]
    code: str
    regime: str
    fit_on: str
    budget: Mapping[str, Any]
    metrics: int = METRICS_VERSION


def identity(ingredients: Ingredients) -> str:
    """The hash of a run's ingredients, in `DIGITS` hexadecimal digits."""
    text = json.dumps(_plain(asdict(ingredients)), sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGITS // 2).hexdigest()


def _plain(value: Any) -> Any:
    """`value` in the one form that JSON gives back: keys are text, sequences lists, and 60.0 seconds are 60."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True)
class Described:
    """A run by what is known of it before anything is read.

    Attributes:
        task: The address `dataset/task`.
        name: What the method is called on the board.
        config: Its complete configuration, the guard included.
        written_for: Task id → files that were written for this task alone, such as a feature query.
    """

    task: str
    name: str
    config: Mapping[str, Any]
    regime: str
    fit_on: str
    budget: Budget
    written_for: Callable[[str], Iterable[Path]] = lambda _: ()


@dataclass(frozen=True)
class Identities:
    """Identities of many runs: each dataset, task and method is looked up once, and little is kept of it."""

    _data: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _tasks: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _files: dict[tuple[str, ...], set[Path]] = field(default_factory=dict)

    @classmethod
    def with_opened(cls, address: str, dataset: Dataset, task: Task) -> Identities:
        """Identities of runs on a task that is open already."""
        known = cls()
        known._add(address, dataset, task)
        return known

    def of(self, run: Described) -> str:
        """The identity of `run`.

        Raises:
            InputError: Its dataset, its task or the code of its method cannot be read.
        """
        self.task_id(run.task)
        return identity(
            Ingredients(
                data=self._data[split_address(run.task)[0]],
                task=self._tasks[run.task],
                method=run.name,
                config=run.config,
                code=code_digest(self.files(run)),
                regime=run.regime,
                fit_on=run.fit_on,
                budget=asdict(run.budget),
            )
        )

    def files(self, run: Described) -> set[Path]:
        """The files that the line counter finds: those of the method's classes, and what was written for the task."""
        targets = tuple(targets_of(run.config))
        if targets not in self._files:
            self._files[targets] = method_files(targets)
        return self._files[targets] | set(named_files(run.config)) | set(run.written_for(self.task_id(run.task)))

    def task_id(self, address: str) -> str:
        """The id, by which results name it, of the task at `address`."""
        if address not in self._tasks:
            self._read(address)
        return f"{self._tasks[address]['dataset']}/{self._tasks[address]['name']}"

    def _read(self, address: str) -> None:
        name, task = split_address(address)
        dataset = open_dataset(name)
        # a wrong name of a task is found before a database is built
        opened = dataset.task(task)
        with work(f"dataset {name}"):
            self._add(address, dataset, opened)

    def _add(self, address: str, dataset: Dataset, task: Task) -> None:
        name = split_address(address)[0]
        if name not in self._data:
            self._data[name] = data_facts(dataset)
        self._tasks[address] = definition(task, hosted=not dataset.backtest)


def data_facts(dataset: Dataset) -> dict[str, Any]:
    """What of a dataset is part of a run's identity. The database is built where it was not yet, and not kept open."""
    return {
        "fingerprint": stored_fingerprint(dataset.stored),
        "stypes": dataset.declared_stypes(),
        "cuts": [str(dataset.cuts.val), str(dataset.cuts.test)],
        "backtest": dataset.backtest,
    }


def definition(task: Task, hosted: bool = True) -> dict[str, Any]:
    """What of a task is part of a run's identity: all but its description and the folder in which it lies.

    Args:
        hosted: Whether labels that lie beside the manifest are used.
    """
    defined = {f.name: getattr(task, f.name) for f in fields(task) if f.name not in ("description", "folder")}
    files = [] if task.folder is None or not hosted else [task.folder / f"{split}.parquet" for split in SPLITS]
    labels = {path.stem: file_digest(path) for path in files if path.is_file()}
    delay = {"label_delay": str(task.label_delay)} if defined.pop("label_delay") else {}
    return {**defined, "horizon": str(task.horizon), "labels": labels, **delay}


def code_digest(files: Iterable[Path]) -> str:
    """A digest of the content of `files`, whatever folder they lie in."""
    state = hashlib.blake2b(digest_size=DIGITS // 2)
    for name, content in sorted((path.name, file_digest(path)) for path in files):
        state.update(f"{name} {content}\n".encode())
    return state.hexdigest()


def file_digest(path: Path) -> str:
    """A digest of a file's content; a file that did not change is read once in a process."""
    status = path.stat()
    return _file_digest(path, status.st_mtime_ns, status.st_size)


@cache
def _file_digest(path: Path, changed: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGITS // 2)).hexdigest()
