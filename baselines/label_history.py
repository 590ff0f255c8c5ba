"""The entity's own past labels: no training, and on many tasks hard to beat.

Invariant: a past label counts only where its window had closed before the example's time (`temporal.closed_labels`); entities
without one get the answer of `constant`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import Budget, Examples, Ragged
from relbench_harness.temporal.closed_labels import ClosedLabels, closed_labels
from relbench_harness.timing import phase

from .constant import constant_answer, most_popular, repeated
from .quality import quality


@dataclass(frozen=True)
class LabelHistory:
    """Mean (of numbers) or vote (of classes) of the last k labels of the entity whose windows had closed.

    A recommendation names the items of those k labels, the most frequent first, equal ones by how recent they are, then
    the most popular items.

    Attributes:
        choices: The values of k from which the best on validation is taken; the smallest of equally good ones.
        windows: How many windows after the last of training are computed for each cut-off, at most.
    """

    choices: Sequence[int] = (1, 2, 3, 5, 10, 20, 50)
    windows: int = 60

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> FittedHistory:
        """Take the global answer from `train` and k from `valid`."""
        if not self.choices or min(self.choices) < 1 or self.windows < 1:
            raise InputError(f"method label_history: k and windows are at least 1, got {self.choices}, {self.windows}")
        past = closed_labels(valid, self.windows, train)
        with phase("tune"):
            candidates = [FittedHistory(self, k, train) for k in sorted(set(self.choices))]
            return max(candidates, key=lambda c: quality(valid, c.answer(valid, past)))


@dataclass(frozen=True)
class FittedHistory:
    """The chosen `k` and the training examples that answer for entities without a past."""

    method: LabelHistory
    k: int
    learned: Examples

    def predict(self, examples: Examples) -> NDArray[np.generic]:
        return self.answer(examples, closed_labels(examples, self.method.windows, self.learned))

    def refit(self, examples: Examples) -> FittedHistory:
        """The same k, with the global answer of `examples`."""
        return FittedHistory(self.method, self.k, examples)

    def answer(self, examples: Examples, past: ClosedLabels) -> NDArray[np.generic]:
        span = past.known(examples, self.k)
        if examples.task.type is TaskType.RECOMMENDATION:
            return _recent_items(examples, past, span.first, span.last, most_popular(self.learned))
        fallback = repeated(constant_answer(self.learned), len(examples)).astype(np.float64)
        counts = span.last - span.first
        seen = counts > 0
        owner, rows = _spread(span.first[seen], counts[seen])
        values = _as_rows(past.value, examples)[rows]
        sums = np.zeros((int(seen.sum()), values.shape[1]))
        np.add.at(sums, owner, values)
        fallback[seen] = (sums / counts[seen, None]).reshape(fallback[seen].shape)
        return fallback


def _spread(first: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows `first[i] … first[i] + counts[i] − 1` of each i, and the i that each belongs to."""
    owner = np.repeat(np.arange(len(first)), counts)
    inner = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return owner, first[owner] + inner


def _as_rows(value: object, examples: Examples) -> NDArray[np.float64]:
    """Labels as (m, 1), (m, classes) with a one for the class, or (m, labels)."""
    labels = np.asarray(value)
    if examples.task.type is TaskType.MULTICLASS:
        # an unknown class, −1, votes for none
        return np.eye(len(examples.classes) + 1)[labels.astype(np.int64)][:, :-1]
    return labels.astype(np.float64).reshape(len(labels), examples.width or 1)


def _recent_items(
    examples: Examples,
    past: ClosedLabels,
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    popular: NDArray[np.int64],
) -> NDArray[np.int64]:
    """(n, eval_k) item rows: those of the labels `first` to `last`, then `popular` ones not among them."""
    assert isinstance(past.value, Ragged)
    k = examples.task.eval_k or 1
    offsets, items = past.value
    answers = np.full((len(examples), k), -1, np.int64)
    for i, (start, end) in enumerate(zip(offsets[first], offsets[last], strict=True)):
        # latest label first; a stable sort by count then keeps the more recent of equally frequent items ahead
        recent, place, counts = np.unique(items[start:end][::-1], return_index=True, return_counts=True)
        own = recent[np.lexsort((place, -counts))]
        answers[i] = _filled(own, popular, k)
    return answers


def _filled(own: NDArray[np.int64], popular: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    if len(own) >= k:
        return own[:k]
    # among the first k + |own| popular items at least k are none of the entity's own
    others = popular[: k + len(own)]
    rest = others[~np.isin(others, own)]
    filled = np.concatenate([own, rest, np.full(k, -1, np.int64)])
    return filled[:k]
