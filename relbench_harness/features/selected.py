"""Many columns cut down to those that a method wants, however many the schema gives.

Blocks, cheap ones first, give their columns in parts; each part competes with the columns that the parts before it left over,
so that never more than a fixed number is held. Invariant: columns are chosen by training examples alone, and their values do
not depend on how they were computed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import pairwise
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.features.block import Features, FeatureUnion, FittedBlock, transform_many
from relbench_harness.features.copied_rows import Sources, reading_copies
from relbench_harness.progress import track
from relbench_harness.protocol.method import Examples

COMPUTE_SHARE = 0.5
"""The columns wanted may take so large a part of the seconds that screening may, once they are computed for all stages."""
TIMED_AGAIN = 8
"""A block that seems too dear is timed again on at most so many times as many examples: much of its cost may not grow with them."""
Rank = Callable[[Sequence[Features]], NDArray[np.float64]]
"""Given features of training examples, view by view: (columns,) how much each column is worth, 0 where it is worth nothing."""


@runtime_checkable
class Narrowable(Protocol):
    """A fitted block that saves work when only some of its columns are wanted."""

    def only(self, names: Sequence[str]) -> FittedBlock: ...


@runtime_checkable
class Limited(Protocol):
    """A fitted block that can give up: `transform` raises `TimeoutError` after so many seconds."""

    def limited(self, seconds: float) -> FittedBlock: ...


@dataclass(frozen=True)
class SelectedFeatures:
    """Fitted blocks side by side, of each only the columns named."""

    parts: tuple[tuple[FittedBlock, tuple[str, ...]], ...]

    def transform(self, examples: Examples) -> Features:
        found = Features(len(examples), ())
        for block, names in self.parts:
            found = found.concat(block.transform(examples).select(names))
        return found

    def for_copies(self, whole: Examples) -> Callable[[Sources], FittedBlock]:
        """See `CopyBlock`."""
        readers = [(reading_copies(block, whole), names) for block, names in self.parts]
        return lambda sources: SelectedFeatures(tuple((reader(sources), names) for reader, names in readers))

    @staticmethod
    def of(blocks: Sequence[FittedBlock], columns: Sequence[tuple[int, str]]) -> SelectedFeatures:
        """`columns`, each given by the number of its block and its name there, in the order of the blocks.

        A block of which none is wanted is not computed.
        """
        parts = []
        for number, block in enumerate(blocks):
            wanted = tuple(name for owner, name in columns if owner == number)
            if wanted:
                parts.append((block.only(wanted) if isinstance(block, Narrowable) else block, wanted))
        return SelectedFeatures(tuple(parts))


@dataclass(frozen=True)
class Screening:
    """How columns are chosen.

    Attributes:
        most: At most so many are kept.
        views: How many of the features that are looked at, the first ones, are of training examples.
        seconds: Once so many have passed, no further part is computed; the blocks that had no turn are left out.
        at_once: At most so many are held at any time, and twice `most` at least; a block that cannot be divided may give more.
    """

    rank: Rank
    most: int
    views: int = 1
    seconds: float = math.inf
    at_once: int = 1000

    @property
    def room(self) -> int:
        """How many columns a part may give; fewer where time is limited, which is looked at between parts."""
        return max(self.at_once - self.most, self.most) if self.seconds == math.inf else self.most


class Selection(NamedTuple):
    """A block of the columns wanted, and its features of every stage that was asked for.

    Attributes:
        seconds: About what the features of all stages cost.
        left_out: Classes of the blocks that were not, or not wholly, computed for lack of time, or whose columns would take too long.
    """

    block: FittedBlock
    features: list[Features]
    seconds: float
    left_out: tuple[str, ...]


def fit_selected(
    union: FeatureUnion, stages: Sequence[Examples], sample: Sequence[Examples] | None, screening: Screening
) -> Selection:
    """`union` fitted to the first of `stages`, cut down to the columns that win the screening, and its features of all stages.

    Args:
        sample: Training examples to choose by; then only the columns wanted are computed for all stages. Without them the
            choice is made on all stages, whose features are then at hand.
    """
    begin = time.monotonic()
    fitted = union.fit(stages[0])
    looked = stages if sample is None else sample
    pool, left_out = _Pool(screening, [Features(len(examples), ()) for examples in looked]), list[str]()
    costs, made = [0.0] * len(fitted.blocks), [0] * len(fitted.blocks)
    for number, block in enumerate(track(fitted.blocks, "feature blocks")):
        for part in divided(block, looked[0], screening.room):
            start = time.monotonic()
            if pool.owners and start - begin > screening.seconds:
                left_out.append(type(union.blocks[number]).__name__)
                break
            try:
                found = transform_many(within_seconds(part, screening.seconds - (start - begin)), looked)
            except TimeoutError:
                left_out.append(type(union.blocks[number]).__name__)
                break
            costs[number] += time.monotonic() - start
            made[number] += len(found[0].columns)
            pool.add(number, found)
    pool.reduce()
    if sample is not None and screening.seconds < math.inf:
        prices = _Prices(fitted.blocks, stages, sample, COMPUTE_SHARE * screening.seconds)
        dropped = pool.drop_dear(prices.of(pool.owners, costs, made), prices.most)
        left_out += [type(union.blocks[number]).__name__ for number in dropped]
    block = SelectedFeatures.of(fitted.blocks, pool.owners)
    if sample is None:
        used = {number for number, _ in pool.owners}
        return Selection(block, pool.named(), sum(costs[number] for number in used), tuple(left_out))
    start = time.monotonic()
    return Selection(block, transform_many(block, stages), time.monotonic() - start, tuple(left_out))


def within_seconds(block: FittedBlock, seconds: float) -> FittedBlock:
    """`block` with a limit, where there is one and it can give up."""
    return block.limited(seconds) if seconds < math.inf and isinstance(block, Limited) else block


def divided(block: FittedBlock, examples: Examples, most: int) -> Iterator[FittedBlock]:
    """Blocks of at most `most` columns each that together give those of `block`, if it can be divided."""
    if not isinstance(block, Narrowable):
        yield block
        return
    names = names_of(block, examples)
    for first in range(0, len(names), most):
        yield block if len(names) <= most else block.only(names[first : first + most])


def names_of(block: FittedBlock, examples: Examples) -> list[str]:
    """What the columns are called, at the cost of none of them: those of no example about tables without rows."""
    nothing = Database(table.prefix(0) for table in examples.database.values())
    return block.transform(replace(examples.take(np.zeros(0, np.int64)), database=nothing)).names


@dataclass
class _Pool:
    """Columns that are still wanted, and which block each comes from and what it is called there."""

    screening: Screening
    features: list[Features]
    owners: list[tuple[int, str]] = field(default_factory=list)

    def add(self, block: int, found: list[Features]) -> None:
        """Take in the columns that one part of a block gives, but for those that say nothing."""
        new = [i for i in range(len(found[0].columns)) if _varies(found[: self.screening.views], i)]
        if len(self.owners) + len(new) > self.screening.at_once:
            self.reduce()
        self.owners += [(block, found[0].columns[i].name) for i in new]
        self.features = [
            have.concat(Features(more.rows, tuple(more.columns[i] for i in new)))
            for have, more in zip(self.features, found, strict=True)
        ]

    def reduce(self) -> None:
        """Keep the best columns, in the order that they have."""
        if len(self.owners) <= self.screening.most:
            return
        worth = self.screening.rank(self.features[: self.screening.views])
        best = np.argsort(-worth, kind="stable")[: self.screening.most]
        kept = np.sort(best[worth[best] > 0])
        self.owners = [self.owners[i] for i in kept]
        self.features = [Features(f.rows, tuple(f.columns[i] for i in kept)) for f in self.features]

    def drop_dear(self, seconds: Mapping[int, float], most: float) -> list[int]:
        """Drop the columns of the dearest blocks until the others take at most `most` seconds; the blocks that were dropped.

        Args:
            seconds: Block → what its columns take.
        """
        dropped = list[int]()
        dear = dict(seconds)
        while len(dear) > 1 and sum(dear.values()) > most:
            worst = max(dear, key=lambda number: dear[number])
            kept = [i for i, (number, _) in enumerate(self.owners) if number != worst]
            self.owners = [self.owners[i] for i in kept]
            self.features = [Features(f.rows, tuple(f.columns[i] for i in kept)) for f in self.features]
            dropped.append(worst)
            del dear[worst]
        return dropped

    def named(self) -> list[Features]:
        """The features, called as `SelectedFeatures` calls them."""
        ends = np.flatnonzero(np.diff([number for number, _ in self.owners])) + 1
        bounds = list(pairwise([0, *ends.tolist(), len(self.owners)]))
        found = []
        for features in self.features:
            columns = [replace(c, name=name) for c, (_, name) in zip(features.columns, self.owners, strict=True)]
            parts = [Features(features.rows, tuple(columns[first:last])) for first, last in bounds]
            found.append(reduce(Features.concat, parts, Features(features.rows, ())))
        return found


@dataclass(frozen=True)
class _Prices:
    """What the wanted columns of each block take for all stages, reckoned from what they took for a sample.

    Attributes:
        most: Seconds that all blocks together may take.
    """

    blocks: Sequence[FittedBlock]
    stages: Sequence[Examples]
    sample: Sequence[Examples]
    most: float

    def of(self, owners: Sequence[tuple[int, str]], costs: Sequence[float], made: Sequence[int]) -> dict[int, float]:
        """Block → seconds, in proportion to the examples; where all blocks would then take too long, as far as they grow with them.

        Args:
            costs: Block → what all its columns took for the sample.
            made: Block → how many columns these were.
        """
        wanted = {number: [name for owner, name in owners if owner == number] for number, _ in owners}
        for_sample = {number: costs[number] * len(names) / max(made[number], 1) for number, names in wanted.items()}
        count = sum(map(len, self.stages))
        ratio = count / max(sum(map(len, self.sample)), 1)
        prices = {number: ratio * cost for number, cost in for_sample.items()}
        if sum(prices.values()) <= self.most:
            return prices
        dear = [number for number in prices if prices[number] > self.most / len(prices)]
        return prices | {number: self._again(number, wanted[number], for_sample[number]) for number in dear}

    def _again(self, number: int, names: Sequence[str], cost: float) -> float:
        """The price of `names` of a block that took `cost` seconds for the sample, from a second measurement on more examples."""
        few, count = sum(map(len, self.sample)), sum(map(len, self.stages))
        factor = min(TIMED_AGAIN, count / few, self.most / (2 * max(cost, 1e-9)))
        if factor < 2:  # too dear to be measured, or nearly all examples were
            return cost * count / few
        some = [_spread(examples, few * factor / count) for examples in self.stages]
        block = SelectedFeatures.of(self.blocks, [(number, name) for name in names])
        begin = time.monotonic()
        try:
            transform_many(block, some)
        except TimeoutError:
            return math.inf
        spent, more = time.monotonic() - begin, sum(map(len, some))
        return spent + max(0.0, spent - cost) / max(more - few, 1) * (count - more)


def _spread(examples: Examples, share: float) -> Examples:
    """So large a part of the examples, evenly spread."""
    return examples.take(np.linspace(0, len(examples) - 1, int(len(examples) * share)).astype(np.int64))


def _varies(found: Sequence[Features], column: int) -> bool:
    """Whether the column has more than one value, missing among them."""
    values = np.concatenate([features.columns[column].numbers for features in found])
    missing = np.isnan(values)
    if missing.all() or not len(values):
        return False
    return bool(missing.any() or values.min() != values.max())
