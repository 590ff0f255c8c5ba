"""The task of a trial: the one that the dataset has for the query, or a new one.

Invariant: a task that is there is never changed, and one query is one task.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from relbench_harness.authoring.new_task import new_task
from relbench_harness.authoring.predictive_query import aggregates, parse
from relbench_harness.data.dataset import Dataset, open_dataset
from relbench_harness.data.manifest_file import read_manifest
from relbench_harness.errors import InputError, nearest

MOST_TIMES = 6
"""At most so many times in each of validation and test."""
LONGEST = 48


@dataclass(frozen=True)
class Chosen:
    """A task to try methods on.

    Attributes:
        address: `dataset/task`.
        query: The predictive query, or what the task's manifest says of itself.
        written: Whether it is new.
    """

    address: str
    query: str
    written: bool


def task_of(address: str, query: str, name: str | None = None, times: int | None = None) -> Chosen:
    """The task of `query` on the dataset at `address`; `query` may also name a task that the dataset has.

    Args:
        name: What a new task is called; after its query where None.
        times: At how many times validation and test each ask; as many as fit, up to `MOST_TIMES`, where None.

    Raises:
        InputError: The query cannot be read, its labels cannot be made or are of one class, or the name is taken.
    """
    dataset = open_dataset(address)
    if query in dataset.task_names:
        return Chosen(f"{address}/{query}", _said(dataset, query) or str(dataset.task(query).description or query), False)
    if not re.match(r"\s*predict\b", query, re.IGNORECASE):
        raise InputError(
            f"{query!r} is neither a task of {dataset.name} nor a query PREDICT … FOR EACH …; {nearest(query, dataset.task_names)}"
        )
    text = " ".join(query.split())
    same = [task for task in dataset.task_names if _said(dataset, task) == text]
    if name in same or (name is None and same):
        return Chosen(f"{address}/{name or same[0]}", text, False)
    if name is not None and name in dataset.task_names:
        raise InputError(f"task {name!r} of {dataset.name} is there already and has another query; choose another --task")
    chosen = name or _name(text, dataset)
    for _ in new_task(f"{address}/{chosen}", text, times or fitting_times(dataset, text)):
        pass
    return Chosen(f"{address}/{chosen}", text, True)


def fitting_times(dataset: Dataset, query: str) -> int:
    """How many windows of the query, one after another, fit into validation and into test; 1 where it has no window."""
    parsed = parse(query)
    ends = [part.end for part in aggregates(parsed.target)]
    if not ends or parsed.top is not None or max(ends) <= pd.Timedelta(0):
        return 1
    val, test = dataset.cuts
    last = pd.Timestamp(dataset.database.span[1])
    room = min(test - val, last - test)
    return int(max(1, min(MOST_TIMES, room // max(ends))))


def _said(dataset: Dataset, task: str) -> str | None:
    """The query that the manifest of a task keeps, None where it was written otherwise."""
    manifest: dict[str, Any] = read_manifest(dataset.folder / "tasks" / task / "manifest.yaml", "task manifest")
    query = manifest.get("query")
    return " ".join(query.split()) if isinstance(query, str) else None


def _name(query: str, dataset: Dataset) -> str:
    """A task's name by the words of its query."""
    target, _, rest = re.sub(r"^\s*predict\s+", "", query, flags=re.IGNORECASE).partition(" FOR EACH ")
    entity = rest.partition(".")[0]
    target = re.sub(r"\bwhere\b.*?(?=,\s*[-+]?\d)", "", target, flags=re.IGNORECASE)
    words = [word for word in re.findall(r"[a-z0-9_]+", f"{entity} {target}".lower()) if word not in ("0", "as")]
    name = "-".join(dict.fromkeys(words))[:LONGEST].strip("-_") or "task"
    known = dataset.task_names
    return f"{name}-{hashlib.blake2b(query.encode(), digest_size=2).hexdigest()}" if name in known else name
