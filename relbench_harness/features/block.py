"""What a feature block is: fitted once on training's known rows, then computed for any examples about that schema.

Invariant: row i of every `Features` belongs to example i, and no value rests on a row that the example may not see.
Vocabularies, kinds of columns and feature definitions come from `fit`, so train, validation and test share columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relbench_harness.features.origin import Origin
from relbench_harness.progress import track
from relbench_harness.protocol.method import Examples

FEW = 12


@dataclass(frozen=True)
class Column:
    """One feature of n examples.

    Attributes:
        values: (n,) floating numbers with NaN where missing; for a categorical column (n,) int32 codes into
            `vocabulary`, −1 where missing or not known at training.
        vocabulary: The categories behind the codes, None for a number.
        origins: What the values rest on; nothing where a block does not say.
    """

    name: str
    values: NDArray[np.generic]
    vocabulary: tuple[object, ...] | None = None
    origins: tuple[Origin, ...] = ()

    @property
    def numbers(self) -> NDArray[np.float64]:
        """(n,) the values, or the codes with NaN for −1."""
        values = self.values.astype(np.float64)
        if self.vocabulary is not None:
            values[values < 0] = np.nan
        return values


def sourced(columns: Iterable[Column], *origins: Origin) -> Iterator[Column]:
    """`columns`, whose values rest on `origins`."""
    for column in columns:
        yield replace(column, origins=origins)


@dataclass(frozen=True)
class Features:
    """Named columns of n examples, each numeric or categorical."""

    rows: int
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        for column in self.columns:
            if column.values.shape != (self.rows,):
                raise ValueError(f"feature {column.name!r} has shape {column.values.shape}, expected ({self.rows},)")

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def categorical(self) -> NDArray[np.bool_]:
        """(columns,) which columns are categorical."""
        return np.asarray([column.vocabulary is not None for column in self.columns], dtype=bool)

    @property
    def native(self) -> NDArray[np.bool_]:
        """(columns,) categorical columns with so few categories that trees may split them at will.

        With more, a tree that may choose any subset of categories learns names by heart. Codes follow frequency, so that as
        numbers they still tell common categories from rare ones.
        """
        few = [column.vocabulary is not None and len(column.vocabulary) <= FEW for column in self.columns]
        return np.asarray(few, dtype=bool)

    def concat(self, other: Features) -> Features:
        """Both sets of columns, side by side; a name that both have gets a number in the second."""
        taken = set(self.names)
        renamed = []
        for column in other.columns:
            name, copy = column.name, 2
            while name in taken:
                name, copy = f"{column.name} #{copy}", copy + 1
            taken.add(name)
            renamed.append(replace(column, name=name))
        return Features(self.rows, self.columns + tuple(renamed))

    def take(self, rows: NDArray[np.int64]) -> Features:
        """The examples `rows`."""
        return Features(len(rows), tuple(replace(c, values=c.values[rows]) for c in self.columns))

    def select(self, names: Iterable[str]) -> Features:
        """The columns `names`, in that order."""
        return Features(self.rows, tuple(self[name] for name in names))

    def to_matrix(self) -> NDArray[np.float32]:
        """(n, columns) float32 in C order, codes as numbers, NaN where missing."""
        matrix = np.empty((self.rows, len(self.columns)), dtype=np.float32)
        with np.errstate(over="ignore"):
            for index, column in enumerate(self.columns):
                matrix[:, index] = column.numbers
        # a number beyond float32 is as missing to a tree as an infinity would be fatal
        matrix[np.isinf(matrix)] = np.nan
        return matrix

    def to_frame(self) -> pd.DataFrame:
        """(n, columns) data frame; categorical columns have pandas categories (their codes' own vocabulary)."""
        parts: dict[str, object] = {}
        for column in self.columns:
            if column.vocabulary is None:
                parts[column.name] = column.values
            else:
                kinds = pd.CategoricalDtype(list(column.vocabulary))
                parts[column.name] = pd.Categorical.from_codes(column.values.astype(np.int64), dtype=kinds)
        return pd.DataFrame(parts, index=pd.RangeIndex(self.rows))


@runtime_checkable
class FittedBlock(Protocol):
    """A block whose definitions and vocabularies are fixed."""

    def transform(self, examples: Examples) -> Features:
        """The features of every example: the same names, kinds and order for any examples of this schema."""
        ...


@runtime_checkable
class Block(Protocol):
    """A way to make features; its fields are its hyperparameters."""

    def fit(self, train: Examples) -> FittedBlock:
        """Fix definitions and vocabularies on `train.known`, the rows visible at the end of training."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """A block that takes a limit on the memory its method may use."""

    def within(self, memory_mb: int) -> Block: ...


def within(block: Block, memory_mb: int) -> Block:
    """`block` with the limit on memory that its method should stay within, if the block takes it."""
    return block.within(memory_mb) if isinstance(block, Bounded) else block


@dataclass(frozen=True)
class FeatureUnion:
    """Several blocks side by side."""

    blocks: tuple[Block, ...]

    def fit(self, train: Examples) -> FittedFeatureUnion:
        return FittedFeatureUnion(tuple(block.fit(train) for block in track(self.blocks, "feature blocks, fitted")))


@dataclass(frozen=True)
class FittedFeatureUnion:
    blocks: tuple[FittedBlock, ...]

    def transform(self, examples: Examples) -> Features:
        parts = [block.transform(examples) for block in track(self.blocks, "feature blocks")]
        return reduce(Features.concat, parts, Features(len(examples), ()))


def transform_many(block: FittedBlock, stages: Sequence[Examples]) -> list[Features]:
    """The features of several examples, in one pass where their databases are prefixes of the largest one.

    A pass over the largest database is right for all, since every example is judged by its own cut-off.
    """
    whole = united(stages)
    if whole is None:
        return [block.transform(examples) for examples in stages]
    features = block.transform(whole)
    ends = np.cumsum([0, *(len(examples) for examples in stages)])
    return [features.take(np.arange(first, last)) for first, last in pairwise(ends)]


def united(stages: Sequence[Examples]) -> Examples | None:
    """The examples of all `stages` about the largest of their databases; None if they are not prefixes of it."""
    if not stages:
        return None
    largest = max(stages, key=lambda e: sum(len(table) for table in e.database.values()))
    for examples in stages:
        for name, table in examples.database.items():
            if name not in largest.database:
                return None
            whole = largest.database[name]
            if len(table) > len(whole) or table.rows.schema != whole.rows.schema:
                return None
            if table.times is not None and whole.times is not None:
                ends = [0, len(table) - 1] if len(table) else []
                if any(table.times[i] != whole.times[i] for i in ends):
                    return None
    return replace(
        largest,
        entity=np.concatenate([e.entity for e in stages]),
        time=np.concatenate([e.time for e in stages]),
        cutoff=np.concatenate([e.cutoff for e in stages]),
        labels=None,
    )
