"""The same without the shell: open a task, score predictions, run a method, rank results."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relbench_harness.compose import make_method, run_task
from relbench_harness.data import dataset as datasets
from relbench_harness.data.database import Database
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.labels import SPLITS, Split
from relbench_harness.data.task import Task
from relbench_harness.errors import InputError, nearest
from relbench_harness.protocol.method import Budget, Method
from relbench_harness.protocol.metrics import Scores
from relbench_harness.protocol.result import Result
from relbench_harness.protocol.stages import Stages


@dataclass(frozen=True)
class OpenTask:
    """A task with its data."""

    dataset: Dataset
    task: Task

    @cached_property
    def _stages(self) -> Stages:
        return Stages(self.dataset, self.task, "frozen")

    @cached_property
    def database(self) -> Database:
        """What may be known at the test timestamp, without the columns that the task hides."""
        return self.task.visible_columns(self.dataset.database).upto(self.dataset.cuts.test)

    def table(self, split: Split) -> pd.DataFrame:
        """The questions of `split` in the order that `score` expects, with their answers except for the test split."""
        frame = self._stages.labels(_split(split)).frame(self.task)
        return frame.drop(columns=self.task.target) if split == "test" else frame

    def score(self, split: Split, predictions: NDArray[np.generic]) -> Scores:
        """Every metric of the task's type for predictions in the order of `table(split)`."""
        return self._stages.holdout(_split(split)).score(np.asarray(predictions))


def _split(name: str) -> Split:
    for split in SPLITS:
        if split == name:
            return split
    raise InputError(f"no split {name!r}; {nearest(name, SPLITS)}")


def open_task(address: str) -> OpenTask:
    """The task `dataset/task`."""
    return OpenTask(*datasets.open_task(address))


def run(
    task: str,
    method: str | Method,
    seed: int = 0,
    regime: str = "frozen",
    fit_on: str = "train",
    results_dir: str | None = None,
    budget: Budget | None = None,
    **overrides: Any,
) -> Result:
    """One run of `method`, by the name of its config (with fields overridden) or as an object, on `task`."""
    if isinstance(method, str):
        made, config = make_method(method, **overrides)
        name = method
    else:
        if overrides:
            raise InputError(f"fields can be overridden for a method given by name, not for {method!r}")
        made, name = method, type(method).__name__
        config = {"_target_": f"{type(method).__module__}.{type(method).__qualname__}", **vars(method)}
    chosen = budget or Budget(seed=seed)
    return run_task(task, made, name, config, regime, fit_on, chosen, results_dir).result
