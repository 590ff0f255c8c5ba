"""Recommendation without learning: the entity's own items, those that it met lately and often first, then popular ones.

A met item's weight halves with every half-life, of the entity's own interactions and of everybody's alike. Which interactions count
and how long the half-life is, validation says. Invariant: only interactions older than the cut-off count.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from relbench_harness.errors import InputError, UnsupportedTaskError
from relbench_harness.features.pair_features import rank_in_run
from relbench_harness.protocol.method import Budget, Examples
from relbench_harness.temporal.closed_labels import closed_labels
from relbench_harness.temporal.interactions import (
    InteractionPath,
    Interactions,
    interaction_paths,
    interactions,
    past_answers,
)
from relbench_harness.temporal.visibility import visible
from relbench_harness.timing import phase

from ..quality import quality
from .candidates import LABEL_WINDOWS

ANSWERS = "answers"
"""The source of interactions that the items of the task's own past labels are."""
MOST_JUDGED = 2_000
"""Choices are made on so many validation examples."""
POPULAR_WEIGHT = 1e-6
"""What popularity adds to an item's weight: it decides among items that are equal otherwise."""


@dataclass(frozen=True)
class RecentItems:
    """The entity's own items by recency and count, then the most popular ones of late.

    Attributes:
        half_lives: Candidates for the half-life, in multiples of the task's horizon; infinity counts all alike.
        max_paths: How many tables of interactions are tried.
    """

    half_lives: Sequence[float] = (0.5, 2.0, 8.0, 32.0, math.inf)
    max_paths: int = 3

    def __post_init__(self) -> None:
        if not self.half_lives or min(self.half_lives) <= 0:
            raise InputError(f"recent items: half-lives are more than 0, got {list(self.half_lives)}")

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> FittedRecentItems:
        task = train.task
        if task.item_table is None:
            raise InputError(f"task {task.id} is no recommendation, so there are no items to name")
        paths = {p.name: p for p in interaction_paths(train.database, task.entity_table, task.item_table, self.max_paths)}
        sources = [*paths, *([ANSWERS] if task.sql is not None else [])]
        if not sources:
            raise UnsupportedTaskError(
                f"task {task.id}: no table's foreign keys lead to both {task.entity_table!r} and {task.item_table!r}, "
                "and the items of past labels are not known"
            )
        random = np.random.default_rng([budget.seed, 23])
        judged = valid
        if len(valid) > MOST_JUDGED:
            judged = valid.take(np.sort(random.choice(len(valid), MOST_JUDGED, replace=False)))
        best, reached = FittedRecentItems(paths, sources[0], self.half_lives[-1]), -math.inf
        with phase("tune"):
            for source in sources if len(judged) else ():
                found = _interactions(judged, paths, source)
                for half_life in self.half_lives:
                    candidate = FittedRecentItems(paths, source, half_life)
                    score = quality(judged, candidate.answer(judged, found))
                    if score > reached:
                        best, reached = candidate, score
        return best


@dataclass(frozen=True)
class FittedRecentItems:
    """Which interactions count, and how fast they lose weight.

    Attributes:
        source: One of `paths`, or `ANSWERS`.
        half_life: In multiples of the task's horizon.
    """

    paths: Mapping[str, InteractionPath]
    source: str
    half_life: float

    def predict(self, examples: Examples) -> NDArray[np.int64]:
        """(n, eval_k) row numbers of the items ranked first; −1 where there is no further item."""
        with phase("features"):
            found = _interactions(examples, self.paths, self.source)
        return self.answer(examples, found)

    def refit(self, examples: Examples) -> FittedRecentItems:
        """Nothing is learned but the choices, which stay."""
        return self

    def answer(self, examples: Examples, found: Interactions) -> NDArray[np.int64]:
        """What `predict` says, from the interactions `found`."""
        width = examples.task.eval_k or 1
        answers = np.full((len(examples), width), -1, np.int64)
        for cutoff, members in _by_cutoff(examples):
            entity, number = np.unique(examples.entity[members], return_inverse=True)
            answers[members] = self._ranked(examples, found.before(cutoff), cutoff, entity, width)[number]
        return answers

    def _ranked(
        self, examples: Examples, seen: Interactions, cutoff: int, entity: NDArray[np.int64], width: int
    ) -> NDArray[np.int64]:
        """(entities, width) the items of each entity at `cutoff`."""
        table = examples.database[examples.task.item_table or ""]
        life = self.half_life * float(examples.task.horizon.value)
        weight = np.exp2((seen.time - cutoff) / life)
        total = np.bincount(seen.item, weights=weight, minlength=len(table))
        popular = total / (total.sum() or 1.0)
        top = np.argsort(-popular, kind="stable")
        # an item that cannot be seen yet is no candidate; popular ones among the first are enough beside the entity's own
        top = top[visible(table, top, cutoff)]
        rank = np.searchsorted(entity, seen.entity).clip(max=len(entity) - 1)
        mine = np.flatnonzero(entity[rank] == seen.entity)
        own = sparse.csr_matrix((weight[mine], (rank[mine], seen.item[mine])), shape=(len(entity), len(table))).tocoo()
        there = visible(table, own.col.astype(np.int64), cutoff)
        row, item = own.row[there].astype(np.int64), own.col[there].astype(np.int64)
        order = np.lexsort((item, -(own.data[there] + POPULAR_WEIGHT * popular[item]), row))
        row, item = row[order], item[order]
        place = rank_in_run(row)
        first = place < width
        answer = np.full((len(entity), width), -1, np.int64)
        answer[row[first], place[first]] = item[first]
        for number in np.flatnonzero((answer < 0).any(axis=1)):
            met = int((answer[number] >= 0).sum())
            rest = top[: width + met]
            rest = rest[~np.isin(rest, answer[number, :met])][: width - met]
            answer[number, met : met + len(rest)] = rest
        return answer


def _interactions(examples: Examples, paths: Mapping[str, InteractionPath], source: str) -> Interactions:
    if source == ANSWERS:
        return past_answers(closed_labels(examples, windows=LABEL_WINDOWS))
    return interactions(examples.database, paths[source])


def _by_cutoff(examples: Examples) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each cut-off and the examples that have it."""
    order = np.argsort(examples.cutoff, kind="stable")
    values, starts = np.unique(examples.cutoff[order], return_index=True)
    for cutoff, members in zip(values, np.split(order, starts[1:]), strict=True):
        yield int(cutoff), members
