"""The best possible score of tasks whose generator knows the truth, and each method's share of the way to it.

The way leads from the best constant answer (learned from the training labels) to the true answers, both scored on the
labels that came about, so chance moves all three alike. Beside it stands what the true answers score on average over
labels drawn anew from the truth: the stated ceiling, with the standard deviation of one such draw.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relbench_harness.board.leaderboard import GROUP
from relbench_harness.data.dataset import Dataset, open_task
from relbench_harness.data.labels import Split
from relbench_harness.data.names import truth_may_be_known
from relbench_harness.data.task import Task, TaskType
from relbench_harness.data.truth import Truth
from relbench_harness.errors import ResultWarning, sentence
from relbench_harness.protocol.method import Labels, Ragged, label_values
from relbench_harness.protocol.metrics import PRIMARY, Scores, score
from relbench_harness.protocol.stages import Stages

DRAWS = 40
COLUMNS = ("optimal", "stated", "stated_sd", "constant", "way")
"""What `with_ceilings` adds to a leaderboard on which the truth of some task is known; NaN where it is not."""


@dataclass(frozen=True)
class Ceiling:
    """Scores by metric on one split of a task.

    Attributes:
        reached: The true answers, on the labels that came about.
        stated, spread: The true answers on labels drawn from the truth: mean and standard deviation.
        constant: The best constant answer, on the labels that came about.
    """

    task: Task
    reached: Scores
    stated: Scores
    spread: Scores
    constant: Scores

    def share(self, value: float) -> float:
        """How far `value` of the primary metric is on the way from constant to optimal; 1 is all of it."""
        metric = PRIMARY[self.task.type].name
        way = self.reached[metric] - self.constant[metric]
        return (value - self.constant[metric]) / way if way else math.nan


def ceiling(dataset: Dataset, task: Task, split: Split = "test", draws: int = DRAWS) -> Ceiling | None:
    """The ceiling of `task`, None where nobody knows the truth about it."""
    truth = dataset.truth(task, split)
    if truth is None:
        return None
    stages = Stages(dataset, task, "rolling")
    answers = _in_order(truth, stages)
    random = np.random.default_rng(0)
    drawn = [_score(stages, label_values(task, truth.draw(random), stages.classes), answers) for _ in range(max(draws, 2))]
    return Ceiling(
        task=task,
        reached=_score(stages, _labels(stages, split), answers),
        stated={name: float(np.nanmean([s[name] for s in drawn])) for name in drawn[0]},
        spread={name: float(np.nanstd([s[name] for s in drawn], ddof=1)) for name in drawn[0]},
        constant=_score(stages, _labels(stages, split), _constant(stages, len(answers))),
    )


def with_ceilings(board: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard with the columns `COLUMNS`, in the tasks' primary metric."""
    groups = {key: group.index for key, group in board.groupby(GROUP, sort=False)}
    found_at = {(str(key[0]), str(key[2])): _ceiling_at(str(key[0]), str(key[2])) for key in groups}
    board = board.copy()
    for key in groups:
        found = found_at[str(key[0]), str(key[2])]
        if found is None or str(key[3]) != PRIMARY[found.task.type].name:
            continue
        if "way" not in board:
            board[list(COLUMNS)] = math.nan
        rows, metric = groups[key], PRIMARY[found.task.type].name
        for name, scores in (
            ("optimal", found.reached),
            ("stated", found.stated),
            ("stated_sd", found.spread),
            ("constant", found.constant),
        ):
            board.loc[rows, name] = scores[metric]
        board.loc[rows, "way"] = [found.share(float(value)) for value in board.loc[rows, "test"]]
    return board


def _ceiling_at(address: str, data: str) -> Ceiling | None:
    """The ceiling of the task at `address`, if its database here is the version called `data`."""
    try:
        if not truth_may_be_known(address):
            # nothing is fetched to find that nobody knows the truth
            return None
        dataset, task = open_task(address)
        if dataset.database.fingerprint[: len(data)] != data:
            return None
        return ceiling(dataset, task)
    except Exception as error:
        # whatever keeps the truth from being read here keeps nobody from being ranked
        why = sentence(error)
        if why is None:
            raise
        warnings.warn(f"{address} is ranked without its best possible score: {why}", ResultWarning, stacklevel=2)
        return None


def _labels(stages: Stages, split: Split) -> Labels:
    return label_values(stages.task, stages.labels(split).target, stages.classes)


def _score(stages: Stages, labels: Labels, answers: NDArray[np.generic]) -> Scores:
    return score(stages.task, labels, answers, stages.scale, len(stages.classes) or stages.width)


def _in_order(truth: Truth, stages: Stages) -> NDArray[np.generic]:
    """The true answers with classes in the order of the task's; a class that training never saw is left out."""
    if not truth.classes:
        return truth.answers
    return truth.answers[:, [truth.classes.index(str(name)) for name in stages.classes]]


def _constant(stages: Stages, examples: int) -> NDArray[np.generic]:
    """The best single answer that the training labels give, once per example."""
    labels, task = _labels(stages, "train"), stages.task
    answer: NDArray[np.generic]
    if isinstance(labels, Ragged):
        counts = np.bincount(labels.values, minlength=task.eval_k or 1)
        answer = np.argsort(-counts, kind="stable")[: task.eval_k or 1]
    elif task.type is TaskType.REGRESSION:
        answer = np.asarray(np.median(labels))
    elif task.type is TaskType.MULTICLASS:
        counts = np.bincount(labels[labels >= 0].astype(np.int64), minlength=len(stages.classes))
        answer = counts / counts.sum()
    else:
        answer = np.asarray(labels.mean(axis=0))
    return np.broadcast_to(answer, (examples, *answer.shape)).copy()
