"""The views of training examples that boosters learn from: as they are, as stale as later examples, or both.

Whether stale training helps differs by task, and a few hundred validation examples hardly tell. The mean of boosters
fitted both ways (`blend`) is close to the better one everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from relbench_harness.protocol.method import Examples
from relbench_harness.temporal.staleness import simulate_staleness

from .dataset import TreeDataset, concatenated, labelled, sampled

View = Literal["fresh", "stale", "mixed"]
"""Training examples as they are, with simulated staleness, or both one after the other."""
Staleness = Literal["fresh", "stale", "mixed", "blend"]
VIEWS: Mapping[Staleness, tuple[View, ...]] = {
    "blend": ("fresh", "mixed"),
    "mixed": ("mixed",),
    "stale": ("stale",),
    "fresh": ("fresh",),
}
"""The views for each of which an ensemble is fitted; the ensembles' mean is the answer."""


@dataclass(frozen=True)
class TrainingViews:
    """How training examples become the data of boosters, at the first fit and at every refit.

    Attributes:
        views: One ensemble is fitted for each.
        staleness: (s,) nanoseconds; how stale validation is.
        max_rows: More training examples than this are sampled.
    """

    views: tuple[View, ...]
    staleness: NDArray[np.int64]
    max_rows: int

    @staticmethod
    def of(choice: Staleness, staleness: NDArray[np.int64], max_rows: int) -> TrainingViews:
        """The views of `choice`; fresh ones alone where validation is not stale."""
        return TrainingViews(VIEWS[choice] if staleness.max(initial=0) > 0 else ("fresh",), staleness, max_rows)

    def examples(self, train: Examples, seed: int) -> list[Examples]:
        """The labelled examples of `train`, sampled; where a view needs them, the same again with simulated staleness."""
        fresh = sampled(labelled(train), self.max_rows, seed)
        if self.views == ("fresh",):
            return [fresh]
        return [fresh, simulate_staleness(fresh, self.staleness, np.random.default_rng([seed, 77]))]

    def datasets(self, parts: Sequence[TreeDataset]) -> dict[View, TreeDataset]:
        """The data of each view; `parts` belong to what `examples` returned."""
        return {
            view: concatenated(parts) if view == "mixed" else parts[0 if view == "fresh" else -1] for view in self.views
        }
