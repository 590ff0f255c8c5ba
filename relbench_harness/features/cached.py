"""Features that were computed already: of one set of examples, or of all that a cache met while it was open.

A method that is fitted many times on the same examples computes each set of them once. Invariant: features are taken for those
of other examples only where all that a feature may rest on is equal: entities, times, cut-offs, known labels and the rows of
the database; and a cache holds features only until its owner closes it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import numpy as np

from relbench_harness.features.block import Block, Features, FittedBlock, within
from relbench_harness.features.copied_rows import Sources, reading_copies
from relbench_harness.protocol.method import Examples


@dataclass(frozen=True)
class KnownFeatures:
    """A fitted block, and its features of some examples."""

    block: FittedBlock
    examples: Examples
    features: Features

    def transform(self, examples: Examples) -> Features:
        return self.features if same_examples(examples, self.examples) else self.block.transform(examples)

    def for_copies(self, whole: Examples) -> Callable[[Sources], FittedBlock]:
        """See `CopyBlock`."""
        return reading_copies(self.block, whole)

    def for_keeping(self) -> FittedBlock:
        """What a kept model holds: no features of examples that were."""
        return self.block


def same_examples(one: Examples, other: Examples) -> bool:
    """Whether any feature must be equal for both; their own labels do not count.

    Rows are compared by value, so a database that was cut twice at one time is the same. One that holds NaN, which equals
    nothing, is the same only as itself.
    """
    mine, theirs = one.database, other.database
    return (
        one.fit_end == other.fit_end
        and one.training is other.training
        and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("entity", "time", "cutoff"))
        and (mine is theirs or (set(mine) == set(theirs) and all(mine[n].rows.equals(theirs[n].rows) for n in mine)))
    )


@dataclass
class FeatureCache(AbstractContextManager["FeatureCache"]):
    """What blocks were fitted to and computed, until the end of the `with` statement; after that it keeps nothing."""

    fitted: list[tuple[Block, Examples, FittedBlock]] = field(default_factory=list)
    computed: list[KnownFeatures] = field(default_factory=list)
    is_open: bool = True

    def __exit__(self, *_: object) -> None:
        self.is_open = False
        self.fitted.clear()
        self.computed.clear()

    def fit(self, block: Block, train: Examples) -> FittedBlock:
        """`block` fitted to `train`, or what an equal block was fitted to equal examples before."""
        for seen, examples, known in self.fitted:
            if seen == block and same_examples(examples, train):
                return known
        found = block.fit(train)
        if self.is_open:
            self.fitted.append((block, train, found))
        return found

    def transform(self, block: FittedBlock, examples: Examples) -> Features:
        """The features of `examples` by this very fitted block."""
        for known in self.computed:
            if known.block is block and same_examples(known.examples, examples):
                return known.features
        found = block.transform(examples)
        if self.is_open:
            self.computed.append(KnownFeatures(block, examples, found))
        return found


@dataclass(frozen=True)
class Cached:
    """`block`, its features kept in `cache`."""

    block: Block
    cache: FeatureCache = field(compare=False, repr=False)

    def for_keeping(self) -> Block:
        """What a kept model holds."""
        return self.block

    def within(self, memory_mb: int) -> Cached:
        return replace(self, block=within(self.block, memory_mb))

    def fit(self, train: Examples) -> FittedBlock:
        return FittedCached(self.cache.fit(self.block, train), self.cache)


@dataclass(frozen=True)
class FittedCached:
    """A fitted block, its features kept in `cache`."""

    block: FittedBlock
    cache: FeatureCache = field(compare=False, repr=False)

    def transform(self, examples: Examples) -> Features:
        return self.cache.transform(self.block, examples)

    def for_keeping(self) -> FittedBlock:
        """What a kept model holds."""
        return self.block
