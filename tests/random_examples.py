"""Examples, labels and predictions drawn at random, of every task type, with several examples per entity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relbench_harness.board.predictions import SplitLabels
from relbench_harness.data.task import Kind, Task, TaskType
from relbench_harness.protocol.method import Labels, Ragged

CLASSES = 3
K = 4
ITEMS = 7


def task_of(type_: TaskType) -> Task:
    recommends = type_ is TaskType.RECOMMENDATION
    return Task(
        dataset="toy",
        name=str(type_),
        kind=Kind.FORECAST,
        type=type_,
        entity_table="people",
        entity_col="who",
        target="y",
        time_col="t",
        horizon=pd.Timedelta(days=1),
        item_table="items" if recommends else None,
        item_col="item" if recommends else None,
        eval_k=K if recommends else None,
    )


def examples_of(type_: TaskType, entity: Sequence[int] | NDArray[np.int64], random: np.random.Generator) -> SplitLabels:
    """Random labels for examples about `entity`."""
    about = np.asarray(entity, dtype=np.int64)
    classes = CLASSES if type_ in (TaskType.MULTICLASS, TaskType.MULTILABEL) else 0
    return SplitLabels(task_of(type_), about, np.arange(len(about)), labels_of(type_, len(about), random), 1.7, classes)


def labels_of(type_: TaskType, n: int, random: np.random.Generator) -> Labels:
    if type_ is TaskType.RECOMMENDATION:
        lists = [np.sort(random.permutation(ITEMS)[: random.integers(0, 6)]) for _ in range(n)]
        offsets = np.concatenate([[0], np.cumsum([len(items) for items in lists])]).astype(np.int64)
        return Ragged(offsets, np.concatenate([*lists, np.zeros(0)]).astype(np.int64))
    if type_ is TaskType.MULTICLASS:
        return random.integers(-1, CLASSES, n)
    if type_ is TaskType.MULTILABEL:
        return random.integers(0, 2, (n, CLASSES)).astype(np.float64)
    if type_ is TaskType.BINARY:
        return random.integers(0, 2, n).astype(np.float64)
    return random.normal(3, 2, n).round(1)


def predictions_of(type_: TaskType, n: int, random: np.random.Generator, ties: bool = True) -> NDArray[np.generic]:
    """Random predictions, many of them equal where `ties`."""
    if type_ is TaskType.RECOMMENDATION:
        return np.stack([random.permutation(ITEMS)[:K] for _ in range(n)])
    if type_ is TaskType.REGRESSION:
        return random.normal(3, 2, n).round(1 if ties else 9)
    chances = random.random((n, CLASSES)).round(1 if ties else 9)
    return chances[:, 0] if type_ is TaskType.BINARY else chances
