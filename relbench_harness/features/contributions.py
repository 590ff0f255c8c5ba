"""What features add to answers: the value that fitted trees give and explanations read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from relbench_harness.features.origin import Origin


class Contributions(NamedTuple):
    """What each feature adds to each answer, before the link (log odds for probabilities, square roots for `root`).

    Attributes:
        names: The f features.
        values: (n, outputs, f) SHAP values of the trees (Lundberg et al. 2020), the mean over the boosters.
        base: (n, outputs) the answer without any feature; `base + values.sum(-1)` is the margin.
        origins: What each feature rests on; nothing where its block does not say.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    base: NDArray[np.float64]
    origins: tuple[tuple[Origin, ...], ...]
