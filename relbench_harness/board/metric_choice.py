"""Another metric than the tasks' own to rank by: one name, one scale, and which way is better is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from relbench_harness.board.weighted import MAKERS
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError, nearest
from relbench_harness.protocol.result import Result

LOWER_IS_BETTER = frozenset({"nmae", "mae", "rmse", "log_loss"})
METRICS = frozenset(metric for makers in MAKERS.values() for metric in makers)
"""Every metric that the harness stores; none of them means one thing for one task and another for another."""


def ranked_by(metric: str, results: Sequence[Result]) -> list[Result]:
    """The results of tasks that have `metric`, to be ranked by it; a run that did not store it counts as undefined.

    Raises:
        InputError: There is no such metric, or none of the results' tasks has it.
    """
    if metric not in METRICS:
        raise InputError(f"there is no metric {metric!r}; {nearest(metric, METRICS)}")
    higher = metric not in LOWER_IS_BETTER
    found = [replace(r, metric=metric, higher_is_better=higher) for r in results if metric in metrics_of(r.task_type)]
    if not found:
        known = {name for result in results for name in metrics_of(result.task_type)}
        raise InputError(f"none of the tasks has the metric {metric!r}; {nearest(metric, known)}")
    return found


def metrics_of(task_type: str) -> Iterable[str]:
    """The metrics of a type of task; none for a type that another tool made up."""
    return MAKERS[TaskType(task_type)] if task_type in set(TaskType) else ()
