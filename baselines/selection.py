"""Fewer columns: those that a quick forest splits on most.

Composed blocks easily make a thousand columns, many of them near copies. A short forest with a fast learning rate, grown on
a sample of the training questions, ranks them by gain; growing on the best few hundred is as good and several times faster.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.table import Table
from relbench_harness.features.block import Block, Features, FittedBlock, within
from relbench_harness.protocol.method import Budget, Examples

from .boosting import Growth, Matrix, Target

ROWS = 20_000
ONE_PASS = 60_000
ROUNDS = 60


@runtime_checkable
class Narrowable(Protocol):
    """A fitted block that saves work when only some of its columns are wanted."""

    def only(self, names: Sequence[str]) -> FittedBlock: ...


@dataclass(frozen=True)
class Selected:
    """Blocks side by side, of each only the columns named; a block of which none is wanted is not computed."""

    parts: tuple[tuple[FittedBlock, tuple[str, ...]], ...]

    def transform(self, examples: Examples) -> Features:
        found = Features(len(examples), ())
        for block, names in self.parts:
            found = found.concat(block.transform(examples).select(names))
        return found

    @staticmethod
    def of(blocks: Sequence[FittedBlock], columns: Sequence[Sequence[str]], kept: NDArray[np.int64]) -> Selected:
        """The columns whose positions, counted over all `columns` of all blocks, are in `kept`."""
        parts, first = [], 0
        for block, names in zip(blocks, columns, strict=True):
            wanted = tuple(names[i - first] for i in kept if first <= i < first + len(names))
            first += len(names)
            if wanted:
                parts.append((block.only(wanted) if isinstance(block, Narrowable) else block, wanted))
        return Selected(tuple(parts))


def best_columns(
    growth: Growth, goals: Sequence[Target], rows: Sequence[Matrix], most: int, budget: Budget
) -> NDArray[np.int64]:
    """Ascending positions of the at most `most` columns with the greatest gain over the forests of all `goals`."""
    quick = replace(growth, learning_rate=0.1, rounds=ROUNDS)
    columns = rows[0].values.shape[1]
    gain: NDArray[np.float64] = np.zeros(columns)
    for goal, matrix in zip(goals, rows, strict=True):
        if len(np.unique(matrix.labels)) < 2:
            continue
        found = quick.grow(goal, matrix, None, ROUNDS, budget.seed, budget).gains(columns)
        gain += found / max(found.sum(), 1e-30)
    order = np.argsort(-gain, kind="stable")[:most]
    return np.sort(order[gain[order] > 0])


@dataclass(frozen=True)
class Remembered:
    """A block that computes each set of questions once, for methods that are fitted many times on the same examples."""

    block: Block
    known: dict[bytes, Features | FittedBlock] = field(default_factory=dict, compare=False, repr=False)

    def within(self, memory_mb: int) -> Remembered:
        return replace(self, block=within(self.block, memory_mb))

    def fit(self, train: Examples) -> FittedBlock:
        key = identity(train, b"fit")
        if key not in self.known:
            self.known[key] = self.block.fit(train)
        return _FittedRemembered(self.known[key], key, self.known)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _FittedRemembered:
    block: FittedBlock
    key: bytes
    known: dict[bytes, Features | FittedBlock] = field(compare=False, repr=False)

    def transform(self, examples: Examples) -> Features:
        key = identity(examples, self.key)
        if key not in self.known:
            self.known[key] = self.block.transform(examples)
        return self.known[key]  # type: ignore[return-value]


def identity(examples: Examples, start: bytes = b"") -> bytes:
    """A digest of the questions and of where in memory the rows lie that they are about: equal only for the same rows."""
    state = hashlib.blake2b(start)
    for array in (examples.entity, examples.time, examples.cutoff):
        state.update(np.ascontiguousarray(array).tobytes())
    state.update(repr((examples.fit_end, sorted(map(_place, examples.database.values())))).encode())
    return state.digest()


def _place(table: Table) -> tuple[str, int, list[int]]:
    """A table's name, length and the addresses of its values; foreign keys are left out, as every cut makes them anew."""
    places = []
    for name in table.rows.column_names:
        if name not in table.references:
            for chunk in table.rows.column(name).chunks:
                places += [chunk.offset, *(buffer.address for buffer in chunk.buffers() if buffer is not None)]
    return table.name, len(table), places
