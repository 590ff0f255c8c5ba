"""How a predictor answers examples about copies of rows: what a fitted method offers and explanations read.

Invariant: statistics over whole tables are those of the database that the rows are copies of, whichever method reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from relbench_harness.features.block import FittedBlock
from relbench_harness.protocol.method import Examples, Predictor

Sources = Mapping[str, NDArray[np.int64]]
"""Table → (m,) the row of the whole database that each row is a copy of."""
Answering = Callable[[Examples, Sources], NDArray[np.generic]]


@runtime_checkable
class CopyPredictor(Protocol):
    """A predictor that reads statistics over whole tables, which copies must not change."""

    def for_copies(self, whole: Examples) -> Answering:
        """A function that predicts examples about copies of rows of `whole`'s database, with the statistics of that."""
        ...


@runtime_checkable
class CopyBlock(Protocol):
    """A fitted block that reads statistics over whole tables."""

    def for_copies(self, whole: Examples) -> Callable[[Sources], FittedBlock]:
        """From what rows are copies of, the block that reads them with the statistics of `whole`'s database."""
        ...


def reading_copies(block: FittedBlock, whole: Examples) -> Callable[[Sources], FittedBlock]:
    """How `block` reads copies of rows of `whole`."""
    return block.for_copies(whole) if isinstance(block, CopyBlock) else lambda _: block


def predicting_copies(predictor: Predictor, whole: Examples) -> Answering:
    """How `predictor` answers examples about copies of rows of `whole`."""
    if isinstance(predictor, CopyPredictor):
        return predictor.for_copies(whole)
    return lambda examples, _: np.asarray(predictor.predict(examples))
