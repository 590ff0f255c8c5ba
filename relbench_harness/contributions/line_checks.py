"""What can be said of one result line from the line and its file's name alone: no dataset is opened and no code is run.

Invariant: a line that passes is strict JSON with the fields of this version, and lies where `board.store` would have written it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from relbench_harness.board import store
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError, nearest
from relbench_harness.protocol.budget import Budget
from relbench_harness.protocol.method import REGIMES
from relbench_harness.protocol.metrics import PRIMARY
from relbench_harness.protocol.result import FAILURES, Result
from relbench_harness.protocol.work import FIT_ON

TASK = re.compile(r"\w[\w.-]*(@[\w.=,+-]+)?/\w[\w.-]*")
"""Ids of tasks as runs store them. Nothing else is looked up: an address may name a folder, whose code would be run."""
STATUSES = ("ok", *FAILURES)
NAME = re.compile(r"(?P<regime>frozen|rolling)-seed(?P<seed>-?\d+)-(?:(?P<identity>[0-9a-f]{32})-)?.*")


def line_faults(path: Path, result: Result) -> list[str]:
    """What is wrong with the line in the file `path`, a sentence each."""
    faults = [*_of_text(path), *_of_fields(result), *_of_numbers(result), *_of_place(path, result)]
    return faults if result.status != "ok" else [*faults, *_of_success(path, result)]


def _of_text(path: Path) -> Iterator[str]:
    """Faults that a reader of JSON passes over: numbers that JSON does not have, keys that stand twice, unknown fields."""
    repeated: list[str] = []

    def pairs(given: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in given]
        repeated.extend(name for name in dict.fromkeys(names) if names.count(name) > 1)
        return dict(given)

    text = path.read_text(encoding="utf-8-sig").strip()
    if "\n" in text:
        yield "the file holds more than one line"
        return
    try:
        loaded = json.loads(text, parse_constant=_no_number, object_pairs_hook=pairs)
    except InputError as error:
        yield str(error)
        return
    yield from (f"the key {name!r} stands twice" for name in repeated)
    known = {entry.name for entry in fields(Result)}
    yield from (f"there is no field {name!r}; {nearest(name, known)}" for name in loaded if name not in known)


def _no_number(constant: str) -> NoReturn:
    raise InputError(f"the line holds {constant}, which is no number of JSON")


def _of_fields(result: Result) -> Iterator[str]:
    choices: dict[str, tuple[str, tuple[str, ...]]] = {
        "status": (result.status, STATUSES),
        "regime": (result.regime, REGIMES),
        "fitted_on": (result.fitted_on, FIT_ON),
        "task_type": (result.task_type, tuple(TaskType)),
    }
    for name, (value, known) in choices.items():
        if value not in known:
            yield f"{name} is {value!r}; {nearest(value, map(str, known))}"
    if not TASK.fullmatch(result.task):
        yield f"task is {result.task!r}, which does not read dataset/task"
    if result.task_type in tuple(TaskType) and PRIMARY[TaskType(result.task_type)].name != result.metric:
        expected = PRIMARY[TaskType(result.task_type)].name
        yield f"metric is {result.metric!r}, but {result.task_type} is ranked by {expected!r}"
    budget = {entry.name for entry in fields(Budget)}
    if odd := sorted(set(result.budget) ^ budget):
        yield f"the budget has the keys {sorted(result.budget)}, and {odd[0]!r} is one too few or too many"
    elif result.budget["seed"] != result.seed:
        yield f"seed is {result.seed}, but the budget says {result.budget['seed']!r}"


def _of_numbers(result: Result) -> Iterator[str]:
    amounts = {"seconds": result.seconds, "seconds_warm": result.seconds_warm, "cpu_seconds": result.cpu_seconds}
    for name, amount in [(f"{kind}.{part}", value) for kind, parts in amounts.items() for part, value in parts.items()]:
        if not (math.isfinite(amount) and amount >= 0):
            yield f"{name} is {amount}, not a number of seconds"
    if not (math.isfinite(result.peak_memory_mb) and result.peak_memory_mb >= 0):
        yield f"peak_memory_mb is {result.peak_memory_mb}, not a number of megabytes"
    if result.ok and "total" not in result.seconds:
        yield "seconds has no total"


def _of_success(path: Path, result: Result) -> Iterator[str]:
    for split in ("val", "test"):
        value = result.scores.get(split, {}).get(result.metric, math.nan)
        if not math.isfinite(value):
            yield f"{split} {result.metric} is no number, but the status is ok"
    if odd := sorted(set(result.scores) - {"val", "test"}):
        yield f"there are scores of split {odd[0]!r}; splits are 'val' and 'test'"
    if not result.dataset_fingerprint:
        yield "dataset_fingerprint is empty, so the data that the scores are about are unknown"
    if result.predictions is None:
        yield "there are no predictions, so the scores cannot be made again"
    elif result.predictions != f"{path.stem}.parquet":
        yield f"the predictions are called {result.predictions!r}; the store calls them {path.stem + '.parquet'!r}"
    elif path.with_name(result.predictions).is_symlink():
        yield f"the predictions {result.predictions!r} are a link, not a file"


def _of_place(path: Path, result: Result) -> Iterator[str]:
    named = NAME.fullmatch(path.name)
    if path.is_symlink():
        yield "this is a link, not a file"
    if named is None or not store.OWN.fullmatch(path.name):
        yield "the file's name is none that the store writes"
    else:
        said = {"regime": result.regime, "seed": str(result.seed), "identity": result.identity or None}
        for part, value in said.items():
            if named[part] != value:
                yield f"the file's name says {part} {named[part]}, the line {value}"
    expected = store.home_of(result.task, result.method, Path())
    if path.resolve().parent.parts[-2:] != expected.parts:
        yield f"a result of {result.method} on {result.task} belongs in a folder {expected.as_posix()!r}"
