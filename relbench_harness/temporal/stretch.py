"""What an example sees of rows in time order: a stretch of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Stretch(NamedTuple):
    """For each of n examples, positions `first` to `last` (exclusive) in an array of rows; equal where there is none."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]
