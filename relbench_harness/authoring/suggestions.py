"""The predictive queries that a database offers, the most useful first, each of them one that `task new` takes.

Invariant: what is suggested has labels in all three splits, of several values, that neither a column of the entity's row nor the
entity's own past labels give away.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from relbench_harness.authoring.event_rows import event_rows
from relbench_harness.authoring.leakage import auroc, giveaways
from relbench_harness.authoring.new_task import Draft
from relbench_harness.authoring.query_candidates import Candidate, Candidates, attributes
from relbench_harness.authoring.split_summary import base_rate, single_label
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.labels import SPLITS, LabelTable, Split
from relbench_harness.data.task import Task, TaskType
from relbench_harness.errors import InputError
from relbench_harness.progress import work

LIMIT = 10
GIVEN_AWAY = 0.98
"""AUROC of past labels alone on validation from which nothing is left to predict."""
FEWEST = 20
"""Examples of each split, and examples of the rarer label in validation and test together."""
WORTHLESS = 0.01
"""Candidates of a lower score are not looked at."""
REPEATED = 0.6
"""A kind, a pair of tables, or a table of entities that was suggested before counts so much the next time."""
TRIED = 6
"""So many candidates are looked at for each that is wanted."""


@dataclass(frozen=True)
class Suggestion:
    """A predictive query with what its labels are like.

    Attributes:
        dataset: The dataset's address, as it was opened.
        name: A name for the task that the dataset does not have yet.
        kind: churn, volume, value, level, items, event, next or attribute.
        window: The length of a label window; None for a column of the row itself.
        rate: The base rate or mean, in words.
        first, last: The times of the first and the last example.
        past_labels: AUROC of past labels alone on validation, of a number for lying above its median (or at it, where that is the most); None where it has none.
        score: By which the list is ranked.
        eval_timestamps: At how many times, a horizon apart, validation and test make examples.
    """

    dataset: str
    name: str
    kind: str
    query: str
    task_type: str
    window: str | None
    rate: str
    examples: Mapping[Split, int]
    first: pd.Timestamp
    last: pd.Timestamp
    past_labels: float | None
    score: float
    eval_timestamps: int = 1

    @property
    def command(self) -> str:
        """What makes the task."""
        times = "" if self.eval_timestamps == 1 else f" --eval-timestamps {self.eval_timestamps}"
        return f"relbench-harness task new {shlex.quote(f'{self.dataset}/{self.name}')} {_shell(self.query)}{times}"


def _shell(query: str) -> str:
    """The query as one word of a shell."""
    return f'"{query}"' if not set('"$`\\!') & set(query) else shlex.quote(query)


def suggestions(dataset: Dataset, limit: int = LIMIT) -> list[Suggestion]:
    """At most `limit` predictive queries about `dataset`, the most useful first; none where it has no table with a time."""
    return list(_checked(dataset, list(candidates(dataset)), limit))


def candidates(dataset: Dataset) -> Iterator[Candidate]:
    """Every query that the schema offers, in no order, before its labels are made."""
    database = dataset.database
    for events in event_rows(database, dataset.manifest.tables):
        yield from Candidates(events, dataset.cuts, database).all()
    for table in database.values():
        yield from attributes(dataset, table)


def _checked(dataset: Dataset, left: list[Candidate], limit: int) -> Iterator[Suggestion]:
    """The best that is left, again and again; what was suggested before makes its like less useful."""
    seen: Counter[object] = Counter()
    names = set(dataset.task_names)
    found, tried = 0, 0
    with work("suggestions", limit) as progress:
        while left and found < limit and tried < TRIED * limit:
            best = max(left, key=lambda candidate: _useful(candidate, seen))
            if _useful(best, seen) < WORTHLESS * REPEATED**6 or best.score < WORTHLESS:
                break
            left.remove(best)
            tried += 1
            suggestion = _suggestion(dataset, best, _free(best.name, names))
            if suggestion is not None:
                yield suggestion
                found += 1
                names.add(suggestion.name)
                left = [candidate for candidate in left if candidate.idea != best.idea]
                seen.update(_likeness(best))
                progress.advance(suggestion.name)


def _likeness(candidate: Candidate) -> list[object]:
    return [candidate.kind, candidate.about, ("entity", candidate.about[0])]


def _useful(candidate: Candidate, seen: Mapping[object, int]) -> float:
    return float(candidate.score * REPEATED ** sum(seen.get(part, 0) for part in _likeness(candidate)))


def _free(name: str, taken: set[str]) -> str:
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found


def _suggestion(dataset: Dataset, candidate: Candidate, name: str) -> Suggestion | None:
    """The candidate with its labels; None where `task new` would refuse it, or where it is empty or given away."""
    try:
        draft = Draft.of(dataset, name, candidate.query, candidate.eval_timestamps)
        tables: dict[Split, LabelTable] = {split: dataset.labels(draft.task, split) for split in SPLITS}
    except InputError:
        return None
    task = draft.task
    if any(len(table) < FEWEST or single_label(task, table) is not None for table in tables.values()):
        return None
    if _too_rare(task, tables) or next(giveaways(task, _visible(dataset, task), tables["train"]), None) is not None:
        return None
    past = past_labels(task, tables)
    if past is not None and past >= GIVEN_AWAY:
        return None
    times = np.concatenate([table.time for table in tables.values()])
    return Suggestion(
        dataset.address, name, candidate.kind, candidate.query, str(task.type),
        None if candidate.window is None else candidate.window.shown, base_rate(task, tables["train"]),
        {split: len(table) for split, table in tables.items()},
        pd.Timestamp(int(times.min())), pd.Timestamp(int(times.max())), past, candidate.score,
        candidate.eval_timestamps,
    )  # fmt: skip


def _visible(dataset: Dataset, task: Task) -> pa.Table:
    return task.visible_columns(dataset.database)[task.entity_table]


def _too_rare(task: Task, tables: Mapping[Split, LabelTable]) -> bool:
    if task.type is not TaskType.BINARY:
        return False
    held = np.concatenate([_numbers(tables[split]) for split in ("val", "test")]) > 0.5
    return bool(min(held.sum(), (~held).sum()) < FEWEST)


def _numbers(labels: LabelTable) -> NDArray[np.float64]:
    return np.asarray(labels.target.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def past_labels(task: Task, tables: Mapping[Split, LabelTable]) -> float | None:
    """How well the mean of an entity's training labels alone tells its label in validation, as AUROC of at least 0.5."""
    if task.own_row_visible or task.type not in (TaskType.BINARY, TaskType.REGRESSION):
        return None
    train, valid = tables["train"], tables["val"]
    values = _numbers(train)
    mean = pd.Series(values).groupby(train.entity).mean()
    score = np.asarray(mean.reindex(valid.entity).fillna(float(np.nanmean(values))), dtype=np.float64)
    label = _numbers(valid)
    middle = 0.5 if task.type is TaskType.BINARY else float(np.nanmedian(label))
    positive = label > middle if (label > middle).any() else label >= middle
    if positive.all() or not positive.any():
        return None
    area = auroc(score, positive)
    return max(area, 1 - area)
