"""For notebooks: runs of one task side by side, from the predictions that they hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.board.metric_choice import LOWER_IS_BETTER
from relbench_harness.board.paired import Difference, in_words, paired
from relbench_harness.board.predictions import SplitLabels, predictions_for, split_labels
from relbench_harness.data.dataset import open_task
from relbench_harness.errors import InputError, nearest
from relbench_harness.notebook import Finished
from relbench_harness.protocol.result import Result
from relbench_harness.protocol.stages import Stages
from relbench_harness.trial.notebook import Tried

Runs = Tried | Iterable[Finished]
"""What a trial came to, or runs that have ended."""


@dataclass(frozen=True)
class SideBySide:
    """The test predictions of several methods on one task.

    Attributes:
        answers: Method → the predictions of each of its runs, in the order of `labels`.
    """

    task: str
    metric: str
    labels: SplitLabels
    answers: dict[str, list[NDArray[np.generic]]]


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same test examples; `difference` is first minus second, with its 95 % interval."""

    first: str
    second: str
    metric: str
    difference: Difference
    said: str

    def __repr__(self) -> str:
        return f"<{self.metric}: {self.first} against {self.second}: {self.said}>"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.metric)}, <b>{escape(self.first)}</b> against <b>{escape(self.second)}</b>: {escape(self.said)}.</p>"


def compare(results: Runs, first: str, second: str, metric: str | None = None) -> Comparison:
    """The paired difference of two methods on the test examples, by a bootstrap over entities and seeds.

    Args:
        results: A trial, or runs of one task, several seeds of a method among them.
        metric: One of the task's metrics; that which the task is ranked by where None.

    Raises:
        InputError: A method has no predictions, runs are of several tasks, or there is no such metric.
    """
    beside = side_by_side(results)
    for name in (first, second):
        if name not in beside.answers:
            raise InputError(f"no predictions of a method {name!r}; {nearest(name, beside.answers)}")
    chosen = metric or beside.metric
    found = paired(chosen, beside.labels, beside.answers[first], beside.answers[second])
    return Comparison(first, second, chosen, found, in_words(found, chosen not in LOWER_IS_BETTER))


def runs_of(results: Runs) -> list[Result]:
    """The results of a trial, or of runs that have ended; all of one task, regime and version of the data.

    Raises:
        InputError: They are of several tasks.
    """
    found = list(results.trial.results) if isinstance(results, Tried) else [one.result for one in results]
    for one in found:
        _check_same(found[0], one)
    return found


def side_by_side(results: Runs) -> SideBySide:
    """The runs that have predictions, all of one task, regime and version of the data.

    Raises:
        InputError: There are none, or they are of several tasks.
    """
    if isinstance(results, Tried):
        trial = results.trial
        known = {name: [found] for name in trial.lines if (found := trial.predictions(name)) is not None}
        return SideBySide(trial.chosen.address, trial.metric, trial.labels, known)
    runs = [one for one in results if one.result.ok and one.predictions is not None]
    if not runs:
        raise InputError("there is no run with predictions to compare")
    first = runs[0].result
    for one in runs:
        _check_same(first, one.result)
    labels = split_labels(Stages(*open_task(first.task), "rolling"), "test")
    answers: dict[str, list[NDArray[np.generic]]] = {}
    for one in runs:
        table = pa.Table.from_pandas(one.predictions, preserve_index=False)
        where = f"the run of {one.result.method}, seed {one.result.seed},"
        answers.setdefault(one.result.method, []).append(predictions_for(table, "test", labels, where))
    return SideBySide(first.task, first.metric, labels, answers)


def _check_same(first: Result, other: Result) -> None:
    for what in ("task", "regime", "dataset_fingerprint"):
        one, two = getattr(first, what), getattr(other, what)
        if one != two:
            raise InputError(
                f"runs that are compared have one {what.replace('_', ' ')}, but these have {one!r} and {two!r}"
            )
