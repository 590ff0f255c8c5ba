"""The contract of a method, tested on any task: answers of the right shape, the same for the same seed, nothing later.

`check-plugin` runs it over a plugin's methods without their author writing a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.dataset import Dataset
from relbench_harness.data.task import Task
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Budget, Examples, Method
from relbench_harness.protocol.stages import Stages, cut

FEW = 300
"""Questions a contract test learns from and asks."""


@dataclass(frozen=True)
class Breach:
    """What a method did against the contract."""

    method: str
    task: str
    what: str

    def __str__(self) -> str:
        return f"error {self.method} on {self.task}: {self.what}"


def breaches(method: Method, name: str, dataset: Dataset, task: Task, budget: Budget) -> Iterator[Breach]:
    """Every breach of the contract by `method` on `task`. A task that it refuses with `InputError` is none."""
    stages = Stages(dataset, task, "rolling")
    train, valid = _few(stages.examples("train")), _few(stages.examples("val"))
    holdout = stages.holdout("test")
    try:
        predictor = method.fit(train, valid, budget)
    except InputError:
        return
    except Exception as error:
        yield Breach(name, task.id, f"fit raises {type(error).__name__}: {_short(error)}")
        return
    try:
        given = np.asarray(predictor.predict(holdout.examples))
        holdout.score(given)
    except Exception as error:
        yield Breach(name, task.id, f"its predictions are refused: {_short(error)}")
        return
    if not _same(given, np.asarray(predictor.predict(holdout.examples))):
        yield Breach(name, task.id, "it answers the same examples differently the second time")
    if not _same(given, np.asarray(method.fit(train, valid, budget).predict(holdout.examples))):
        yield Breach(name, task.id, "fitted again with the same seed, it answers differently")
    changed = changed_by_later_rows(predictor.predict, replace(_early(train), labels=None))
    if changed:
        yield Breach(name, task.id, f"{changed} answers change when rows at or after the example's time are taken away")


def changed_by_later_rows(predict: object, examples: Examples) -> int:
    """How many answers change when the database ends at the examples' own cut-off: rows that none of them may see."""
    end = int(examples.cutoff.max())
    shorter = replace(examples, database=cut(examples.database, examples.task, examples.entity, end))
    whole = np.asarray(predict(examples))  # type: ignore[operator]
    without = np.asarray(predict(shorter))  # type: ignore[operator]
    differ = ~np.isclose(whole.astype(float), without.astype(float), rtol=1e-5, atol=1e-6)
    return int(differ.reshape(len(differ), -1).any(axis=1).sum())


def _few(examples: Examples) -> Examples:
    """At most `FEW` of the examples, spread over all of them."""
    return examples.take(np.unique(np.linspace(0, len(examples) - 1, min(FEW, len(examples))).astype(np.int64)))


def _early(examples: Examples) -> Examples:
    """The examples of the earlier half: the database they come with holds rows that they may not see."""
    return examples.take(np.flatnonzero(examples.cutoff <= np.median(examples.cutoff)))


def _same(first: NDArray[np.generic], second: NDArray[np.generic]) -> bool:
    return first.shape == second.shape and bool(
        np.allclose(first.astype(float), second.astype(float), rtol=1e-5, atol=1e-6)
    )


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
