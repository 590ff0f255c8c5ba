"""Runs that stand in a log more than once: a duplicate is a fault, a superseded row stays and is named.

Invariant: of the lines of one run, the one that started last counts, as on the board.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from relbench_harness.protocol.result import Result


class Repeated(NamedTuple):
    """A line that another one stands for.

    Attributes:
        duplicate: Whether the same run scored twice; else the other one is by later code or follows a failure.
    """

    path: Path
    by: Path
    duplicate: bool


def repetitions(lines: Iterable[tuple[Path, Result]]) -> Iterator[Repeated]:
    """Every line that is not the last of its run, each with the last."""
    runs: dict[str, list[tuple[Path, Result]]] = {}
    for path, result in lines:
        runs.setdefault(_run(result), []).append((path, result))
    for several in runs.values():
        *earlier, (last, counted) = sorted(several, key=lambda one: (one[1].started, one[0].name))
        for path, result in earlier:
            yield Repeated(path, last, _same(result, counted))


def _same(result: Result, counted: Result) -> bool:
    if result.identity and counted.identity:
        return result.identity == counted.identity and result.ok
    return result.started == counted.started


def _run(result: Result) -> str:
    """What a row of the board and a seed are: all that makes a run but the code of its method."""
    settings = [result.task, result.regime, result.dataset_fingerprint, result.method, result.fitted_on, result.seed]
    return json.dumps([*settings, result.config, result.budget], sort_keys=True, default=str)
