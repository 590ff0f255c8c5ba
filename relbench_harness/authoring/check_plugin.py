"""`check-plugin`: an installed plugin's datasets pass the check of datasets, its methods the contract of methods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf import OmegaConf

from relbench_harness.authoring.check import check_dataset
from relbench_harness.authoring.contract import breaches
from relbench_harness.data.dataset import Dataset, open_dataset
from relbench_harness.data.task import Task
from relbench_harness.errors import InputError
from relbench_harness.plugins import Plugin, plugin
from relbench_harness.protocol.method import Budget

SHIPPED = "rel-shop"
"""The dataset that every plugin's methods are tried on: generated, so it needs no download."""


def check_plugin(name: str, only: Sequence[str] = ()) -> Iterator[tuple[bool, str]]:
    """(whether it is a fault, what to say) for every dataset and method that the plugin brings.

    Args:
        name: The plugin's or its package's name.
        only: Names of methods and datasets to look at; all where empty.
    """
    one = plugin(name)
    datasets = [n for n in _datasets(one) if not only or n in only]
    methods = {n: p for n, p in _methods(one).items() if not only or n in only}
    if not datasets and not methods:
        raise InputError(f"plugin {one.name!r} brings neither datasets nor methods" + (" of those names" if only else ""))
    for dataset in datasets:
        yield from _checked(dataset)
    tasks = list(_tasks([*datasets, SHIPPED]))
    for method, path in methods.items():
        yield from _tried(method, path, tasks)


def _datasets(one: Plugin) -> list[str]:
    folder = one.brings("datasets")
    return [] if folder is None else sorted(path.parent.name for path in folder.glob("*/manifest.yaml"))


def _methods(one: Plugin) -> dict[str, Path]:
    folder = one.brings("configs")
    return {} if folder is None else {path.stem: path for path in sorted(folder.glob("method/*.yaml"))}


def _checked(name: str) -> Iterator[tuple[bool, str]]:
    report = check_dataset(name)
    faults = [f for f in report.findings if f.level == "error" and f.known is None]
    for finding in report.findings:
        yield finding in faults, f"dataset {name}: {finding}"
    yield False, f"dataset {name}: {len(report.tables)} tables, {len(report.tasks)} tasks, {len(faults)} errors"


def _tasks(datasets: Sequence[str]) -> Iterator[tuple[Dataset, Task]]:
    """One task of each type from each dataset."""
    for name in datasets:
        dataset = open_dataset(name)
        seen: set[tuple[str, str]] = set()
        for task in map(dataset.task, dataset.task_names):
            if (kind := (str(task.type), str(task.kind))) not in seen:
                seen.add(kind)
                yield dataset, task


def _tried(name: str, path: Path, tasks: Sequence[tuple[Dataset, Task]]) -> Iterator[tuple[bool, str]]:
    try:
        method: Any = hydra.utils.instantiate(OmegaConf.load(path), _convert_="all")
    except HydraException as error:
        yield True, f"method {name}: {path} makes no method ({' '.join(str(error.__cause__ or error).split())})"
        return
    if not callable(getattr(method, "fit", None)):
        yield True, f"method {name}: {type(method).__name__} has no fit(train, valid, budget)"
        return
    found = 0
    for dataset, task in tasks:
        for breach in breaches(method, name, dataset, task, Budget(seed=1, threads=1, trials=1, device="cpu")):
            found += 1
            yield True, str(breach)
    yield False, f"method {name}: tried on {len(tasks)} tasks, {found} breaches"
