"""Features that were computed already, found again by the examples that they belong to.

Invariant: features are taken for those of other examples only where all that a feature may rest on is equal: entities,
times, cut-offs, known labels and the rows of the database.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relbench_harness.features.block import Features, FittedBlock
from relbench_harness.protocol.method import Examples


@dataclass(frozen=True)
class KnownFeatures:
    """A fitted block, and its features of some examples."""

    block: FittedBlock
    examples: Examples
    features: Features

    def transform(self, examples: Examples) -> Features:
        return self.features if same_examples(examples, self.examples) else self.block.transform(examples)


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
