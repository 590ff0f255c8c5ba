"""The cut-offs of a backtest: the same dataset and task, cut at one instant after another.

Invariant: an origin is a dataset whose cut points are moved, so it is cut by `Stages` as any other and holds no row after the
labels of its own test split. Unless it is wished otherwise, no origin's labels reach past the dataset's test timestamp.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import pandas as pd

from relbench_harness.data.backtest import in_a_row
from relbench_harness.data.dataset import Dataset, open_task
from relbench_harness.data.task import Kind, Task
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Regime
from relbench_harness.protocol.stages import Stages

Step = Literal["span", "horizon"]
STEPS: tuple[Step, ...] = get_args(Step)
"""How far origins lie apart: the time from validation to test of the dataset, or the task's horizon."""
Last = Literal["val", "test"]
LASTS: tuple[Last, ...] = get_args(Last)
"""The split in whose time the last origin's examples lie."""
MOST = 100


@dataclass(frozen=True)
class Plan:
    """How many origins there are, how far apart, and where they end."""

    number: int = 6
    step: Step = "span"
    last: Last = "val"

    def __post_init__(self) -> None:
        if not 2 <= self.number <= MOST:
            raise InputError(f"origins is {self.number}; it is a whole number from 2 to {MOST}")


def length(plan: Plan, dataset: Dataset, task: Task) -> pd.Timedelta:
    """The time from one origin to the next.

    Raises:
        InputError: The task has no horizon by which to step.
    """
    if plan.step == "span":
        return dataset.cuts.test - dataset.cuts.val
    if task.kind is Kind.AUTOCOMPLETE or task.horizon <= pd.Timedelta(0):
        raise InputError(f"task {task.id} has no horizon by which origins could lie apart; use step=span")
    return task.horizon


def origins(address: str, plan: Plan, regime: Regime) -> list[Stages]:
    """The stages at each origin of the task at `address`, the earliest first; the labels of each have been read.

    Raises:
        InputError: The task cannot be opened, has labels for fixed cut points only, or an origin has too little data.
    """
    dataset, task = open_task(address)
    if dataset.is_moved:
        raise InputError(f"{address} has its cut points moved already; name the dataset without @backtest")
    if task.kind is Kind.EXTERNAL:
        raise InputError(f"task {task.id}: its labels are made for fixed cut points, so there is nothing to go back to")
    cuts = in_a_row(dataset.cuts, length(plan, dataset, task), plan.number, plan.last == "test")
    found = []
    for number, at in enumerate(cuts, start=1):
        stages = Stages(replace(dataset, origin=at), task, regime)
        try:
            for split in ("train", "val", "test"):
                stages.labels(split)
        except InputError as error:
            hint = "use fewer origins" if plan.step == "horizon" else "use fewer origins or step=horizon"
            raise InputError(f"origin {number} of {plan.number}, at {at.test}: {error}; {hint}") from None
        found.append(stages)
    return found
