"""Ensembles of stored predictions: what the mixture of the methods on a board reaches, without fitting anything again.

Invariants: weights rest on stored validation predictions alone; test predictions are mixed and scored as those of any run. An
ensemble costs what all the methods that it chose among cost together, whether they have weight or not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.board.leaderboard import Entry, Group, rows_of
from relbench_harness.board.predictions import (
    predictions_for,
    read_predictions,
    split_labels,
    stages_here,
)
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError, nearest
from relbench_harness.protocol.method import REGIMES
from relbench_harness.protocol.metrics import signed
from relbench_harness.protocol.mixture import greedy_weights, mixed
from relbench_harness.protocol.result import Outcome, Result
from relbench_harness.protocol.run import Answers
from relbench_harness.protocol.stages import Stages
from relbench_harness.protocol.work import Answered

ENSEMBLE = "ensemble"
FEWEST = 2
"""An ensemble has at least so many members."""
SUMS = ("seconds", "seconds_warm", "cpu_seconds")
SCORED: tuple[Answered, ...] = ("val", "test")


class Members(NamedTuple):
    """Runs of one task, regime, version of the data, budget and seed, one per method; and where their predictions lie."""

    group: Group
    runs: Mapping[str, tuple[Result, Path]]


def ensembles(
    folder: Path, results: Iterable[Result], methods: Sequence[str] = (), missing: Callable[[str], None] = lambda _: None
) -> Iterator[Outcome]:
    """A run for each task, regime, budget and seed of `results` of which two methods and more have stored predictions.

    Args:
        folder: Where the results and their predictions lie.
        methods: Names on the board of those to choose among; all of them where there is none.
        missing: Is called with a sentence for each that cannot be made.

    Raises:
        InputError: There is no such method, or predictions do not fit the labels of their task.
    """
    stages: dict[tuple[str, str, str], Stages | str] = {}
    for members in _members(folder, list(results), methods):
        task, regime, data, _ = members.group
        if len(members.runs) < FEWEST:
            continue
        key = (task, data, regime)
        if key not in stages:
            stages[key] = stages_here(task, data, next(one for one in REGIMES if one == regime))
        found = stages[key]
        if isinstance(found, str):
            missing(f"no ensemble for {task}, {regime}: {found}")
        else:
            yield _ensemble(found, members)


def _members(folder: Path, results: Sequence[Result], methods: Sequence[str]) -> Iterator[Members]:
    files = {path.name: path for path in sorted(folder.rglob("*.parquet"))}
    rows = [row for row in rows_of(results) if row.members[0].result.method != ENSEMBLE]
    known = {row.method for row in rows}
    for name in methods:
        if name not in known:
            raise InputError(f"there is no method {name!r} to choose; {nearest(name, known)}")
    together: dict[tuple[Group, str, int], dict[str, tuple[Result, Path]]] = {}
    for row in rows:
        for entry in row.members if not methods or row.method in methods else ():
            path = files.get(str(entry.result.predictions))
            if entry.scored and path is not None:
                together.setdefault(_like(entry), {})[row.method] = (entry.result, path)
    for (group, _, _), runs in sorted(together.items()):
        yield Members(group, dict(sorted(runs.items())))


def _like(entry: Entry) -> tuple[Group, str, int]:
    """What runs must share to be members of one ensemble."""
    budget = {name: value for name, value in entry.result.budget.items() if name != "seed"}
    return entry.group, json.dumps([budget, entry.result.fitted_on], sort_keys=True, default=str), entry.result.seed


def _ensemble(stages: Stages, members: Members) -> Outcome:
    first = next(iter(members.runs.values()))[0]
    labels = {split: split_labels(stages, split) for split in SCORED}
    given = {
        split: [
            predictions_for(read_predictions(path), split, labels[split], str(path)) for _, path in members.runs.values()
        ]
        for split in labels
    }
    kind = stages.task.type
    weights = greedy_weights(kind, given["val"], lambda mixture: signed(kind, labels["val"].score(mixture)))
    answers = Answers(stages, "train+val" if first.fitted_on == "train+val" else "train")
    for split in labels:
        answers.hand_in(split, _valid(kind, mixed(kind, *_weighted(given[split], weights))))
    return Outcome(_result(members, dict(zip(members.runs, weights, strict=True)), answers.scores), answers.table)


def _weighted(
    answers: Sequence[NDArray[np.generic]], weights: Sequence[float]
) -> tuple[list[NDArray[np.generic]], list[float]]:
    return [a for a, w in zip(answers, weights, strict=True) if w], [w for w in weights if w]


def _valid(kind: TaskType, mixture: NDArray[np.generic]) -> NDArray[np.generic]:
    """Probabilities within [0, 1], which a sum of shares may leave by a rounding error."""
    bounded = kind in (TaskType.BINARY, TaskType.MULTICLASS, TaskType.MULTILABEL)
    return np.clip(mixture.astype(np.float64), 0.0, 1.0) if bounded else mixture


def _result(members: Members, weights: Mapping[str, float], scores: Mapping[str, Mapping[str, float]]) -> Result:
    """The line of an ensemble: times, processor seconds and lines of code are the sums of its members', memory the most."""
    runs = [result for result, _ in members.runs.values()]
    sums: dict[str, Any] = {name: _sum(getattr(run, name) for run in runs) for name in SUMS}
    lines = {part: sum(int(run.lines.get(part) or 0) for run in runs) for part in ("task", "method")}
    return replace(
        runs[0],
        method=ENSEMBLE,
        config={"members": list(members.runs)},
        scores={split: dict(of_split) for split, of_split in scores.items()},
        **sums,
        peak_memory_mb=max(run.peak_memory_mb for run in runs),
        peak_device_memory_mb=max(run.peak_device_memory_mb for run in runs),
        energy_joules=None
        if any(run.energy_joules is None for run in runs)
        else sum(run.energy_joules or 0 for run in runs),
        lines={**lines, "harness": max(int(run.lines.get("harness") or 0) for run in runs)},
        started=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S+00:00}",
        notes={"weights": {name: weight for name, weight in weights.items() if weight}},
        limits={},
        identity=_identity(runs),
    )


def _sum(each: Iterable[Mapping[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in each:
        for phase, seconds in one.items():
            found[phase] = found.get(phase, 0.0) + seconds
    return found


def _identity(runs: Sequence[Result]) -> str:
    """Equal for the same members; empty where one of them has none."""
    if not all(run.identity for run in runs):
        return ""
    return hashlib.blake2b(" ".join([ENSEMBLE, *(run.identity for run in runs)]).encode(), digest_size=16).hexdigest()
