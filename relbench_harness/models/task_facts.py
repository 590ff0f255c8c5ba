"""A task as a manifest of a kept model holds it, its SQL included, so that predictions need no other file of the task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pandas as pd

from relbench_harness.data.task import Kind, Task, TaskType
from relbench_harness.errors import InputError


def task_facts(task: Task) -> dict[str, Any]:
    """Every field but the folder in which the task lies."""
    found = {entry.name: getattr(task, entry.name) for entry in fields(Task) if entry.name != "folder"}
    delay = {"label_delay": task.label_delay.isoformat()} if found.pop("label_delay") else {}
    return {
        **found,
        **delay,
        "horizon": task.horizon.isoformat(),
        "remove_columns": [list(pair) for pair in task.remove_columns],
    }


def read_facts(facts: Mapping[str, Any], what: str) -> Task:
    """The task that `facts` describe. Raises `InputError` where they describe none; `what` is the file they stand in."""
    try:
        return Task(
            **{
                **facts,
                "kind": Kind(facts["kind"]),
                "type": TaskType(facts["type"]),
                "horizon": pd.Timedelta(facts["horizon"]),
                "label_delay": pd.Timedelta(facts.get("label_delay", 0)),
                "remove_columns": tuple((table, column) for table, column in facts["remove_columns"]),
            }
        )
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(f"{what} describes no task: {type(error).__name__}: {error}") from None
