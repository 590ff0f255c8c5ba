"""Feature blocks that compute each set of examples once, for methods that are fitted many times on the same examples.

Invariant: a cache holds features only while it is open; its owner closes it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from relbench_harness.features.block import Block, Features, FittedBlock, within
from relbench_harness.protocol.method import Examples

from .known_features import KnownFeatures, same_examples


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
