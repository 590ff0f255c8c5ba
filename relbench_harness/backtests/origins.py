"""The cut-offs of a backtest: the same dataset and task, cut at one instant after another.

Invariant: an origin is a dataset whose cut points are moved, so it is cut by `Stages` as any other and holds no row after the
labels of its own test split. With `last=val` no origin's labels reach past the dataset's test timestamp.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from relbench_harness.backtests.plan import Plan
from relbench_harness.data.backtest import in_a_row
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.task import Kind, Task
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Regime
from relbench_harness.protocol.stages import Stages


def length(plan: Plan, dataset: Dataset, task: Task) -> pd.Timedelta:
    """The time from one origin to the next.

    Raises:
        InputError: The task has no horizon by which to step.
    """
    if plan.step == "span":
        return dataset.cuts.test - dataset.cuts.val
    if task.kind is Kind.AUTOCOMPLETE:
        raise InputError(f"task {task.id} has no horizon by which origins could lie apart; use step=span")
    return task.horizon


def origins(opened: tuple[Dataset, Task], plan: Plan, regime: Regime) -> list[Stages]:
    """The stages at each origin of a dataset and task, the earliest first; the labels of each have been read.

    Raises:
        InputError: The task has labels for fixed cut points only, or an origin has too little data.
    """
    dataset, task = opened
    if dataset.is_moved:
        raise InputError(f"{dataset.name} has its cut points moved already; name the dataset without @backtest")
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
