"""Fewer columns: those that a quick forest splits on most.

Composed blocks easily make a thousand columns, many of them near copies. A short forest with a fast learning rate, grown on
a sample of the training questions, ranks them by gain; growing on the best few hundred is as good and several times faster.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from relbench_harness.features.block import Block, Features, FittedBlock
from relbench_harness.protocol.method import Budget, Examples

from .boosting import Growth, Matrix, Target

ROWS = 20_000
ROUNDS = 60


@dataclass(frozen=True)
class Selected:
    """A block of which only the columns `names` are kept."""

    block: FittedBlock
    names: tuple[str, ...]

    def compute(self, examples: Examples) -> Features:
        return self.block.compute(examples).select(self.names)


def best_columns(
    growth: Growth, goals: Sequence[Target], rows: Sequence[Matrix], names: Sequence[str], most: int, budget: Budget
) -> tuple[str, ...]:
    """The at most `most` names with the greatest gain over the forests of all `goals`, in their order."""
    quick = replace(growth, learning_rate=0.1, rounds=ROUNDS)
    gain: NDArray[np.float64] = np.zeros(len(names))
    for goal, matrix in zip(goals, rows, strict=True):
        if len(np.unique(matrix.labels)) < 2:
            continue
        found = quick.grow(goal, matrix, None, ROUNDS, budget.seed, budget).gains(len(names))
        gain += found / max(found.sum(), 1e-30)
    order = np.argsort(-gain, kind="stable")[:most]
    kept = np.sort(order[gain[order] > 0])
    return tuple(names[i] for i in kept)


@dataclass(frozen=True)
class Remembered:
    """A block that computes each set of questions once, for methods that are fitted many times on the same examples."""

    block: Block
    known: dict[bytes, Features | FittedBlock] = field(default_factory=dict, compare=False, repr=False)

    def fit(self, train: Examples) -> FittedBlock:
        key = _identity(train, b"fit")
        if key not in self.known:
            self.known[key] = self.block.fit(train)
        return _FittedRemembered(self.known[key], key, self.known)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _FittedRemembered:
    block: FittedBlock
    key: bytes
    known: dict[bytes, Features | FittedBlock] = field(compare=False, repr=False)

    def compute(self, examples: Examples) -> Features:
        key = _identity(examples, self.key)
        if key not in self.known:
            self.known[key] = self.block.compute(examples)
        return self.known[key]  # type: ignore[return-value]


def _identity(examples: Examples, start: bytes) -> bytes:
    """A digest of the questions, and of their database by how many rows of each table it holds."""
    state = hashlib.blake2b(start)
    for array in (examples.entity, examples.time, examples.cutoff):
        state.update(np.ascontiguousarray(array).tobytes())
    state.update(repr((examples.fit_end, sorted((n, len(t)) for n, t in examples.database.items()))).encode())
    return state.digest()
