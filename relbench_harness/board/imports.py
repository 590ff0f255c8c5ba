"""Published rows from the files of other benchmarks: RelArena's results and the entries of RelBench's leaderboard.

Invariant: metric names and units become those of `protocol.metrics`, what a file does not say is not guessed, and what
comes out are `PublishedRow`s, never results.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relbench_harness.board.published import PublishedRow, distinct, published_row, records
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError, sentence
from relbench_harness.protocol.method import Regime
from relbench_harness.protocol.metrics import PRIMARY

RELARENA = ("model", "dataset", "task", "seed", "metric", "selected", "test_score")
RELARENA_REGIME: Regime = "frozen"
"""RelArena shows every method the database up to the test timestamp."""


def relarena_rows(path: Path, source: str) -> list[PublishedRow]:
    """One row per model and task of RelArena's result CSV: the configuration it selected, the mean over seeds.

    Configurations that were tried and not selected, and runs without a score, are left out.

    Raises:
        InputError: The file is none of RelArena's results, or holds two selected runs of one model, task and seed.
    """
    seeds: dict[tuple[str, str, str], dict[str, tuple[str, float]]] = {}
    for where, cells in records(path, RELARENA):
        if cells["selected"].lower() != "true" or not cells["test_score"]:
            continue
        row = _row(cells["model"], f"{cells['dataset']}/{cells['task']}", cells["metric"], cells["test_score"])
        made = published_row({**row, "regime": RELARENA_REGIME, "source": source}, where)
        runs = seeds.setdefault((made.method, made.task, made.metric), {})
        earlier, _ = runs.setdefault(cells["seed"], (where, made.value))
        if earlier != where:
            raise InputError(f"{where} is a second selected run of {made.method!r} on {made.task}, after {earlier}")
    return [
        PublishedRow(method, task, metric, math.fsum(v for _, v in runs.values()) / len(runs), RELARENA_REGIME, source)
        for (method, task, metric), runs in seeds.items()
    ]


def relbench_rows(path: Path, regimes: Mapping[str, Regime], source: str) -> list[PublishedRow]:
    """The rows of RelBench's leaderboard: a file of one entry, or of a list of them.

    Each board of an entry is a task type and is ranked by that type's primary metric.

    Args:
        regimes: Name of an entry → its regime, which the file does not say. Entries that are not named are left out.

    Raises:
        InputError: The file holds no such entries.
    """
    rows: list[tuple[str, PublishedRow]] = []
    for where, entry in _entries(path):
        if entry["name"] in regimes:
            for cells in _board_cells(entry, where):
                made = published_row({**cells, "regime": regimes[entry["name"]], "source": source}, where)
                rows.append((f"{where}, {made.task}", made))
    return distinct(rows)


def relbench_entries(path: Path) -> list[str]:
    """The names of the entries of a file of RelBench's leaderboard. Raises `InputError` as `relbench_rows` does."""
    return [str(entry["name"]) for _, entry in _entries(path)]


def _entries(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(where, entry) for each entry, which has a name."""
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON file: {sentence(error) or error}") from None
    for i, entry in enumerate(loaded if isinstance(loaded, list) else [loaded]):
        where = f"{path}, entry {i + 1}"
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise InputError(f"{where} is no entry of RelBench's leaderboard: it has no name")
        yield where, entry


def _board_cells(entry: Mapping[str, Any], where: str) -> Iterator[dict[str, str]]:
    boards = entry.get("boards")
    if not isinstance(boards, dict):
        raise InputError(f"{where} has no boards")
    for family, board in boards.items():
        if family not in set(TaskType):
            raise InputError(f"{where} has a board {family!r}; known are {', '.join(sorted(TaskType))}")
        results = board.get("results") if isinstance(board, dict) else None
        if not isinstance(results, dict):
            raise InputError(f"{where}: board {family!r} has no results")
        for task, value in results.items():
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise InputError(f"{where}: {task} has value {value!r}, which is no number")
            yield _row(entry["name"], task, PRIMARY[TaskType(family)].name, repr(value))


def _row(method: str, task: str, metric: str, value: str) -> dict[str, str]:
    return {"method": method, "task": task, "metric": metric, "value": value}
