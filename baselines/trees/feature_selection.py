"""Fewer columns: those that a quick booster splits on most.

Composed blocks easily make a thousand columns, many of them near copies. A short booster with a fast learning rate, fitted to
a sample of the training examples, ranks them by gain; fitting on the best few hundred is as good and several times faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from relbench_harness.features.block import Features, FittedBlock
from relbench_harness.protocol.method import Budget, Examples

from .booster import TreeParameters
from .dataset import TreeDataset
from .ensemble import fit_booster
from .objectives import Objective

QUICK_ROUNDS = 60
QUICK_LEARNING_RATE = 0.1


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


def strongest_columns(
    parameters: TreeParameters, objectives: Sequence[Objective], data: TreeDataset, most: int, budget: Budget
) -> NDArray[np.int64]:
    """Ascending positions of the at most `most` columns with the greatest share of the gain, over all `objectives`."""
    quick = replace(parameters, learning_rate=QUICK_LEARNING_RATE, n_estimators=QUICK_ROUNDS)
    gain = np.zeros(data.values.shape[1])
    for number, objective in enumerate(objectives):
        output = data.output(number)
        if len(np.unique(output.labels)) > 1:
            found = fit_booster(quick, objective, output, None, budget).gains(len(gain))
            gain += found / max(found.sum(), 1e-30)
    order = np.argsort(-gain, kind="stable")[:most]
    return np.sort(order[gain[order] > 0])
