"""Many columns cut down to those that a method wants, at the cost of computing all of them once at most.

Invariant: columns are chosen by training examples alone, and their values do not depend on how they were computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from relbench_harness.features.block import Features, FeatureUnion, FittedBlock, transform_many
from relbench_harness.progress import track
from relbench_harness.protocol.method import Examples


@runtime_checkable
class Narrowable(Protocol):
    """A fitted block that saves work when only some of its columns are wanted."""

    def only(self, names: Sequence[str]) -> FittedBlock: ...


@dataclass(frozen=True)
class SelectedFeatures:
    """Fitted blocks side by side, of each only the columns named."""

    parts: tuple[tuple[FittedBlock, tuple[str, ...]], ...]

    def transform(self, examples: Examples) -> Features:
        found = Features(len(examples), ())
        for block, names in self.parts:
            found = found.concat(block.transform(examples).select(names))
        return found

    @staticmethod
    def of(blocks: Sequence[FittedBlock], columns: Sequence[Sequence[str]], kept: NDArray[np.int64]) -> SelectedFeatures:
        """The columns whose positions, counted over all `columns` of all blocks, are in `kept`.

        A block of which none is kept is not computed.
        """
        parts, first = [], 0
        for block, names in zip(blocks, columns, strict=True):
            wanted = tuple(names[i - first] for i in kept if first <= i < first + len(names))
            first += len(names)
            if wanted:
                parts.append((block.only(wanted) if isinstance(block, Narrowable) else block, wanted))
        return SelectedFeatures(tuple(parts))


Choose = Callable[[Sequence[Features]], NDArray[np.int64] | None]
"""Given all features of the stages, or of the sample: ascending positions of the columns wanted, None for all."""


class Selection(NamedTuple):
    """A block of the columns wanted, and its features of every stage that was asked for."""

    block: FittedBlock
    features: list[Features]


def fit_selected(
    union: FeatureUnion, stages: Sequence[Examples], sample: Sequence[Examples] | None, choose: Choose
) -> Selection:
    """`union` fitted to the first of `stages`, cut down to the columns that `choose` wants, and its features of all stages.

    Args:
        sample: Training examples to choose by; then only the columns wanted are computed for all stages. Without them all
            columns of all stages are computed, in one pass, and `choose` gets the features of all.
    """
    fitted = union.fit(stages[0])
    looked = stages if sample is None else sample
    parts = [transform_many(block, looked) for block in track(fitted.blocks, "feature blocks")]
    found = [reduce(Features.concat, each, Features(len(seen), ())) for seen, *each in zip(looked, *parts, strict=True)]
    kept = choose(found)
    if kept is None:
        return Selection(fitted, found if sample is None else transform_many(fitted, stages))
    block = SelectedFeatures.of(fitted.blocks, [part[0].names for part in parts], kept)
    if sample is not None:
        return Selection(block, transform_many(block, stages))
    return Selection(block, [Features(f.rows, tuple(f.columns[i] for i in kept)) for f in found])
